//! Which rule of a host acts?
//!
//! The first whose conditions all hold. `nth` and `every` count only the requests that passed all
//! other conditions of their rule, so they are looked at last.

use std::time::Duration;

use super::tags::Tags;
use super::{Headers, Lost, Now, Place, Plan, Request, Simulation, fill};
use crate::format::{Action, Answer, CloseKind, Host, HttpVersion, When};

impl Simulation {
    /// What `host` does with a request; `spent` has passed since the client sent it.
    pub(super) fn serve(
        &mut self,
        now: Now,
        host: &str,
        request: &Request,
        place: Place<'_>,
        spent: Duration,
    ) -> Result<Plan, Lost> {
        let world = std::sync::Arc::clone(&self.world);
        let Some(host) = world.host(host) else { return Err(Lost::TcpRefused) };
        let tags = self.tags(now, host, request);
        for (index, rule) in host.rules.iter().enumerate() {
            if !self.holds(now, (host, index), &rule.when, request, &tags, place) {
                continue;
            }
            return match &rule.action {
                Action::Answer(answer) => Ok(own_answer(host, answer, now, spent)),
                Action::Close(CloseKind::Reset) => Err(Lost::HttpReset),
                Action::Close(CloseKind::Fin) => Err(Lost::HttpClosed),
                Action::Stall => Err(Lost::HttpTimeout),
                Action::Forward(forward) => {
                    self.forward(now, (host, index), forward, request, place, spent)
                }
            };
        }
        let headers = vec![["Content-Type".to_owned(), "text/html".to_owned()]];
        Ok(bare_answer(host, 404, headers, spent))
    }

    fn holds(
        &mut self,
        now: Now,
        rule: (&Host, usize),
        when: &When,
        request: &Request,
        tags: &Tags,
        place: Place<'_>,
    ) -> bool {
        request_holds(when, request)
            && credential_holds(when, tags)
            && place_holds(when, place)
            && now.seconds >= when.from_s.unwrap_or(0.0)
            && when.until_s.is_none_or(|it| now.seconds < it)
            && self.number_holds(rule, when)
    }

    fn number_holds(&mut self, (host, index): (&Host, usize), when: &When) -> bool {
        if when.nth.is_none() && when.every.is_none() {
            return true;
        }
        let number = self.hits.entry((host.name.clone(), index)).or_insert(0);
        *number += 1;
        when.nth.is_none_or(|[first, last]| (first..=last).contains(number))
            && when
                .every
                .is_none_or(|[modulus, remainder]| number.checked_rem(modulus) == Some(remainder))
    }
}

fn request_holds(when: &When, request: &Request) -> bool {
    let query = request.query.to_lowercase();
    let contains = |text: &str| query.contains(&text.to_lowercase());
    when.methods.as_ref().is_none_or(|it| it.contains(&request.method))
        && when.path.as_ref().is_none_or(|it| {
            it.as_slice().iter().any(|p| path_is(p, &request.path, when.path_case))
        })
        && when.query.as_deref().is_none_or(contains)
        && !when.no_query.as_deref().is_some_and(contains)
        && when
            .host
            .as_ref()
            .is_none_or(|it| it.iter().any(|h| h.eq_ignore_ascii_case(&request.host)))
        && when.headers.iter().all(|(name, want)| header_holds(&request.headers, name, want))
}

fn credential_holds(when: &When, tags: &Tags) -> bool {
    let named = |it: &crate::format::OneOrMore| {
        tags.account.as_ref().is_some_and(|account| it.as_slice().contains(account))
    };
    when.auth
        .as_ref()
        .is_none_or(|it| it.as_slice().iter().any(|tag| tags.words.contains(tag.as_str())))
        && when.account.as_ref().is_none_or(named)
}

fn place_holds(when: &When, place: Place<'_>) -> bool {
    let names = |list: &Option<Vec<String>>, name: &str| {
        list.as_ref().is_none_or(|it| it.iter().any(|one| one == name))
    };
    when.port.is_none_or(|it| it == place.port)
        && names(&when.peer, place.peer)
        && names(&when.origin, place.origin)
}

fn header_holds(headers: &Headers, name: &str, want: &str) -> bool {
    let mut values =
        headers.iter().filter(|[it, _]| it.eq_ignore_ascii_case(name)).map(|[_, value]| value);
    match want {
        "present" => values.next().is_some(),
        "absent" => values.next().is_none(),
        text => values.any(|it| it.to_lowercase().contains(&text.to_lowercase())),
    }
}

/// Exact, or a prefix where the pattern ends with `*`.
pub(super) fn path_is(pattern: &str, path: &str, case_counts: bool) -> bool {
    let fold = |text: &str| if case_counts { text.to_owned() } else { text.to_lowercase() };
    let (pattern, path) = (fold(pattern), fold(path));
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

/// A scripted answer of a host, with its words in braces filled in.
pub(super) fn own_answer(host: &Host, answer: &Answer, now: Now, spent: Duration) -> Plan {
    Plan {
        status: answer.status,
        reason: answer.reason.clone(),
        version: answer.version,
        headers: fill::headers(&answer.headers, host, now.wall),
        body: answer.body.clone(),
        chunked: answer.chunked,
        delay: spent.saturating_add(Duration::from_millis(answer.delay_ms)),
        by: host.name.clone(),
    }
}

/// An answer that no rule wrote.
pub(super) fn bare_answer(host: &Host, status: u16, headers: Headers, spent: Duration) -> Plan {
    Plan {
        status,
        reason: None,
        version: HttpVersion::V11,
        headers,
        body: String::new(),
        chunked: false,
        delay: spent,
        by: host.name.clone(),
    }
}
