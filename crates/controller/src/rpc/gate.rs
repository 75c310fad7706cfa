//! Stands before every RPC of the API: who calls, whether they may, and until when.
//!
//! Absent on purpose: anything that reads a message. A caller is refused before its request is looked at (AIP-211), so
//! that nobody learns from an error what exists.
//!
//! INVARIANT: a path without a rule in the permission table is refused.
//! INVARIANT: the token reaches neither log nor error.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::permissions::{Length, Permission, Principal, rule};
use crate::reasons::{Reason, Refusal};
use crate::token::TokenDigest;

/// For calls that bring no deadline: none may last for ever.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);
/// For calls that bring a longer one.
const DEADLINE_CAP: Duration = Duration::from_mins(2);

/// When the caller stops waiting; only for RPCs that wait themselves. `None`: it did not say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDeadline(pub Option<Instant>);

#[derive(Clone, Debug)]
pub(crate) struct GateLayer {
    token: Arc<TokenDigest>,
}

impl GateLayer {
    pub(crate) fn new(token: TokenDigest) -> Self {
        Self { token: Arc::new(token) }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, token: Arc::clone(&self.token) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    inner: S,
    token: Arc<TokenDigest>,
}

/// A call that may go on.
struct Admitted {
    principal: Option<Principal>,
    length: Length,
    /// What the caller's `grpc-timeout` leaves.
    deadline: Option<Instant>,
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
        let admitted = match admit(&self.token, request.uri().path(), request.headers()) {
            Ok(admitted) => admitted,
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        if let Some(principal) = admitted.principal {
            request.extensions_mut().insert(principal);
        }
        request.extensions_mut().insert(CallDeadline(admitted.deadline));
        // The clone takes our place; the one that was polled ready serves this call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let answered = match admitted.length {
                Length::Long => Ok(inner.call(request).await),
                Length::Short => {
                    let now = Instant::now();
                    let until = admitted
                        .deadline
                        .map_or(now + DEADLINE_DEFAULT, |it| it.min(now + DEADLINE_CAP));
                    tokio::time::timeout_at(until, inner.call(request)).await
                }
            };
            match answered {
                Ok(response) => Ok(name_oversize(response?)),
                Err(_) => Ok(too_late().into_http()),
            }
        })
    }
}

fn admit(token: &TokenDigest, path: &str, headers: &HeaderMap) -> Result<Admitted, Status> {
    let rule = rule(path);
    let principal = if rule.is_some_and(|it| it.permission == Permission::Public) {
        None
    } else {
        Some(authenticate(token, headers)?)
    };
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
    Ok(Admitted { principal, length: rule.length, deadline })
}

fn authenticate(token: &TokenDigest, headers: &HeaderMap) -> Result<Principal, Status> {
    let missing = "a bearer token is required: send `authorization: Bearer TOKEN` with the token of the controller's token file";
    let given = headers
        .get(http::header::AUTHORIZATION)
        .ok_or_else(|| Refusal::new(Reason::TokenMissing, missing).into_status())?;
    let given = given.to_str().ok().and_then(|it| it.split_once(' '));
    match given {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case("bearer") => {
            if token.is(given.trim()) {
                Ok(Principal::token_holder())
            } else {
                let message = "the bearer token is not the one in the controller's token file";
                Err(Refusal::new(Reason::TokenWrong, message).into_status())
            }
        }
        Some(_) | None => Err(Refusal::new(Reason::TokenMissing, missing).into_status()),
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

    const TARGETS: &str = "/parallax.v1.TargetService/ListTargets";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().expect("name"), value.parse().expect("value")))
            .collect()
    }

    #[track_caller]
    fn code(path: &str, pairs: &[(&'static str, &str)]) -> Code {
        admit(&TokenDigest::of("right"), path, &headers(pairs))
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
