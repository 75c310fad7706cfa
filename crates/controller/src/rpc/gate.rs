//! Stands before every RPC of the API: who calls, how often, whether they may, and until when.
//!
//! Absent on purpose: anything that reads a message. A caller is refused before its request is looked at (AIP-211), so
//! that nobody learns from an error what exists.
//!
//! INVARIANT: a path without a rule in the permission table is refused.
//! INVARIANT: the token reaches neither log nor error.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::callers::Callers;
use super::door::{Door, Room};
use crate::limits::ApiLimits;
use crate::listener::Peer;
use crate::permissions::{Class, Length, Permission, Principal, rule};
use crate::reasons::{Reason, Refusal};

/// For calls that bring no deadline: none may last for ever.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);
/// For calls that bring a longer one.
const DEADLINE_CAP: Duration = Duration::from_mins(2);

/// When the caller stops waiting; only for RPCs that wait themselves. `None`: it did not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDeadline(pub Option<Instant>);

#[derive(Clone, Debug)]
pub(crate) struct GateLayer {
    guard: Arc<Guard>,
}

impl GateLayer {
    pub(crate) fn new(callers: Callers, limits: &ApiLimits) -> Self {
        Self { guard: Arc::new(Guard { callers, door: Door::new(limits) }) }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, guard: Arc::clone(&self.guard) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    inner: S,
    guard: Arc<Guard>,
}

/// A call that may go on.
struct Admitted {
    principal: Option<Principal>,
    length: Length,
    /// What the caller's `grpc-timeout` leaves.
    deadline: Option<Instant>,
    room: Room,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let source = request
            .extensions()
            .get::<Peer>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |it| it.address.ip());
        let admitted = self.guard.admit(source, request.uri().path(), request.headers());
        let Admitted { principal, length, deadline, room } = match admitted {
            Ok(admitted) => admitted,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        if let Some(principal) = principal {
            request.extensions_mut().insert(principal);
        }
        request.extensions_mut().insert(CallDeadline(deadline));
        let now = Instant::now();
        let until = match length {
            Length::Long => deadline,
            Length::Short => {
                Some(deadline.map_or(now + DEADLINE_DEFAULT, |it| it.min(now + DEADLINE_CAP)))
            }
        };
        // The clone takes our place; the one that was polled ready serves this call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let answered = match until {
                None => Ok(inner.call(request).await),
                Some(until) => tokio::time::timeout_at(until, inner.call(request)).await,
            };
            match answered {
                Ok(response) => Ok(name_oversize(response?).map(|body| holding(body, room))),
                Err(_) => Ok(too_late().into_http()),
            }
        })
    }
}

/// Keeps the room of a call until its answer has gone out, or nobody waits for it any more.
fn holding(body: Body, room: Room) -> Body {
    Body::new(body.map_err(move |status| {
        let _held = &room;
        status
    }))
}

/// What stands before every call.
#[derive(Debug)]
struct Guard {
    callers: Callers,
    door: Door,
}

impl Guard {
    fn admit(&self, source: IpAddr, path: &str, headers: &HeaderMap) -> Result<Admitted, Status> {
        let rule = rule(path);
        let principal = if rule.is_some_and(|it| it.permission == Permission::Public) {
            self.door.count_open(source)?;
            None
        } else {
            Some(self.authenticate(source, headers)?)
        };
        if let Some(principal) = &principal {
            self.door.count(&principal.name, rule.map_or(Class::Read, |it| it.class))?;
        }
        let Some(rule) = rule else {
            return Err(Status::unimplemented(format!("there is no RPC `{path}`")));
        };
        if let Some(principal) = &principal
            && !principal.may(rule.permission)
        {
            let message =
                format!("`{path}` needs a permission that `{}` does not have", principal.name);
            return Err(Refusal::new(Reason::PermissionMissing, message)
                .with("permission", format!("{:?}", rule.permission))
                .into_status());
        }
        let deadline = read_timeout(headers)?.map(|left| Instant::now() + left);
        let room = self.door.room(principal.is_none(), rule.length)?;
        Ok(Admitted { principal, length: rule.length, deadline, room })
    }

    /// Missing and wrong tokens spend the same rate, which keeps nobody waiting who has a good one.
    fn authenticate(&self, source: IpAddr, headers: &HeaderMap) -> Result<Principal, Status> {
        let found = bearer(headers).and_then(|token| {
            self.callers.find(token).cloned().ok_or_else(|| {
                let message = "the bearer token is not the one in the controller's token file";
                Refusal::new(Reason::TokenWrong, message)
            })
        });
        match found {
            Ok(principal) => Ok(principal),
            Err(refusal) => {
                Err(self.door.count_failure(source).err().unwrap_or(refusal).into_status())
            }
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let missing = || {
        let message = "a bearer token is required: send `authorization: Bearer TOKEN` with the token of the controller's token file";
        Refusal::new(Reason::TokenMissing, message)
    };
    let given = headers.get(http::header::AUTHORIZATION).ok_or_else(missing)?;
    match given.to_str().ok().and_then(|it| it.split_once(' ')) {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") => Ok(given.trim()),
        Some(_) | None => Err(missing()),
    }
}

/// `grpc-timeout`: up to eight digits and a unit. A time that is over already ends the call before anything is done.
fn read_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let wrong = || {
        Status::invalid_argument(
            "`grpc-timeout`: has to be 1 to 8 digits and one of H, M, S, m, u, n",
        )
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let left = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return Err(wrong()),
    };
    if left.is_zero() {
        return Err(too_late());
    }
    Ok(Some(left))
}

fn too_late() -> Status {
    Refusal::new(Reason::DeadlineExceeded, "the call's deadline passed before it was done")
        .into_status()
}

/// tonic refuses a message over the limit with a bare `OUT_OF_RANGE`, which nothing else here gives.
fn name_oversize(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    match Status::from_header_map(headers) {
        Some(status) if status.code() == Code::OutOfRange && status.details().is_empty() => {
            Refusal::new(Reason::MessageTooLarge, status.message().to_owned())
                .into_status()
                .into_http()
        }
        Some(_) | None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenDigest;

    const TARGETS: &str = "/parallax.v1.TargetService/ListTargets";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().expect("name"), value.parse().expect("value")))
            .collect()
    }

    #[track_caller]
    fn code(path: &str, pairs: &[(&'static str, &str)]) -> Code {
        let callers = Callers::new(TokenDigest::of("right"), Vec::new());
        let guard = Guard { callers, door: Door::new(&crate::limits::Limits::default().api) };
        guard
            .admit(IpAddr::V4(Ipv4Addr::LOCALHOST), path, &headers(pairs))
            .err()
            .map_or(Code::Ok, |it| it.code())
    }

    #[test]
    fn only_the_right_token_opens() {
        assert_eq!(code(TARGETS, &[("authorization", "Bearer right")]), Code::Ok);
        assert_eq!(code(TARGETS, &[("authorization", "bearer right")]), Code::Ok);
        for wrong in ["Bearer wrong", "Bearer", "Basic right", "right", "Bearer right2"] {
            assert_eq!(
                code(TARGETS, &[("authorization", wrong)]),
                Code::Unauthenticated,
                "{wrong}"
            );
        }
        assert_eq!(code(TARGETS, &[]), Code::Unauthenticated);
    }

    #[test]
    fn health_is_open_and_the_unknown_is_not_told_apart_without_a_token() {
        assert_eq!(code("/grpc.health.v1.Health/Check", &[]), Code::Ok);
        assert_eq!(code("/parallax.v1.TargetService/Nothing", &[]), Code::Unauthenticated);
        let right = [("authorization", "Bearer right")];
        assert_eq!(code("/parallax.v1.TargetService/Nothing", &right), Code::Unimplemented);
        assert_eq!(code("/parallax.agent.v1.AgentService/Session", &right), Code::Unimplemented);
    }

    #[test]
    fn a_deadline_that_is_over_ends_the_call_before_it_begins() {
        let right = ("authorization", "Bearer right");
        assert_eq!(code(TARGETS, &[right, ("grpc-timeout", "0m")]), Code::DeadlineExceeded);
        assert_eq!(code(TARGETS, &[right, ("grpc-timeout", "5S")]), Code::Ok);
        for wrong in ["", "S", "5", "5x", "123456789S", "-1S"] {
            assert_eq!(
                code(TARGETS, &[right, ("grpc-timeout", wrong)]),
                Code::InvalidArgument,
                "{wrong}"
            );
        }
    }
}
