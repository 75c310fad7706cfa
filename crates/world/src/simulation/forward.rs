//! What comes back when a host hands a request on?
//!
//! The next host is chosen, reached and asked; headers are edited on both ways. What the next host
//! does not answer becomes `on_unreachable` or `on_timeout`, or is lost for the client as well.
//! Absent on purpose: trust in the next host's certificate, which a world says with an answer.

use std::time::Duration;

use super::rules::{bare_answer, own_answer};
use super::{Credential, Headers, Lost, Now, Place, Plan, Request, Simulation, fill};
use crate::format::{Answer, Edits, Family, Forward, Host, Reach, ReachDefault};

/// What a gateway answers by itself when nothing came in time and its file says nothing better.
const GATEWAY_TIMEOUT: u16 = 504;

impl Simulation {
    pub(super) fn forward(
        &mut self,
        now: Now,
        (host, rule): (&Host, usize),
        forward: &Forward,
        request: &Request,
        place: Place<'_>,
        spent: Duration,
    ) -> Result<Plan, Lost> {
        if forward.methods.as_ref().is_some_and(|it| !it.contains(&request.method)) {
            return Ok(bare_answer(host, 405, Vec::new(), spent));
        }
        let to = self.pick((&host.name, Some(rule)), &forward.to, forward.balance, place.origin);
        let onward = onward(forward, request, host, now);
        let answered = self.ask_next(now, host, &to, forward, &onward, place.origin, spent);
        let mut plan = match answered {
            Ok(plan) => plan,
            Err(lost) => {
                return fallback(forward, lost)
                    .map_or(Err(lost), |it| Ok(own_answer(host, it, now, spent)));
            }
        };
        if let Some(limit) = forward.timeout_ms.map(Duration::from_millis)
            && plan.delay.saturating_sub(spent) > limit
        {
            let spent = spent.saturating_add(limit);
            return Ok(match &forward.on_timeout {
                Some(answer) => own_answer(host, answer, now, spent),
                None => bare_answer(host, GATEWAY_TIMEOUT, Vec::new(), spent),
            });
        }
        plan.headers = edit(plan.headers, &forward.response, host, now);
        plan.version = forward.http.unwrap_or(plan.version);
        Ok(plan)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one hop is named by all of these, and nothing else takes them"
    )]
    fn ask_next(
        &mut self,
        now: Now,
        host: &Host,
        to: &str,
        forward: &Forward,
        request: &Request,
        origin: &str,
        spent: Duration,
    ) -> Result<Plan, Lost> {
        match super::routing::reach(&host.reach, ReachDefault::Open, to, forward.port, Family::V4) {
            Reach::Refused => return Err(Lost::TcpRefused),
            Reach::Blackhole => return Err(Lost::TcpTimeout),
            // These two are of the network between an agent and a host; between hosts they are open.
            Reach::Open | Reach::ResetAfterRequest(_) | Reach::TlsStall => {}
        }
        let landed = self.land(to, forward.port, origin).ok_or(Lost::TcpRefused)?;
        if forward.tls {
            super::routing::handshake(landed.tls.as_ref())?;
        }
        let place = Place { peer: &host.name, origin, port: forward.port };
        self.serve(now, &landed.host, request, place, spent)
    }
}

fn fallback(forward: &Forward, lost: Lost) -> Option<&Answer> {
    let unreachable = forward.on_unreachable.as_ref()?;
    if lost.is_timeout() {
        forward.on_timeout.as_ref().or(Some(unreachable))
    } else {
        Some(unreachable)
    }
}

fn onward(forward: &Forward, request: &Request, host: &Host, now: Now) -> Request {
    let strips_authorization =
        forward.request.strip.iter().any(|it| it.eq_ignore_ascii_case("authorization"));
    Request {
        method: request.method.clone(),
        path: forward.path.clone().unwrap_or_else(|| request.path.clone()),
        query: request.query.clone(),
        host: forward.host.clone().unwrap_or_else(|| request.host.clone()),
        headers: edit(request.headers.clone(), &forward.request, host, now),
        credential: if strips_authorization {
            Credential::None
        } else {
            request.credential.clone()
        },
        client_certificate: request.client_certificate.clone(),
        ntlm_begun: request.ntlm_begun && !forward.per_request_connection,
    }
}

fn edit(headers: Headers, edits: &Edits, host: &Host, now: Now) -> Headers {
    let is = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let mut out: Headers = headers
        .into_iter()
        .filter(|[name, _]| !edits.strip.iter().any(|it| is(it, name)))
        .collect();
    for [old, new] in &edits.rename {
        for [name, _] in out.iter_mut().filter(|[name, _]| is(name, old)) {
            name.clone_from(new);
        }
    }
    for set in fill::headers(&edits.set, host, now.wall) {
        out.retain(|[name, _]| !is(name, &set[0]));
        out.push(set);
    }
    out.extend(fill::headers(&edits.add, host, now.wall));
    if edits.lower_case {
        for [name, _] in &mut out {
            *name = name.to_lowercase();
        }
    }
    out
}
