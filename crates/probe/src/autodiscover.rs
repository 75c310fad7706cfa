//! Anonymous Autodiscover v2: one `GET` with a ready-made client, held to the same rules as our own.
//!
//! No redirect, no retry, no proxy, no pool; the address is the one already checked, the TLS setup is that of every probe.
//! Lost against our own stage: letter case of field names, and the count of interim answers, which only the limit bounds.
//!
//! INVARIANT: nothing but the given address is dialled; the client is never asked to resolve a name.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::ext::ReasonPhrase;
use hyper_util::client::legacy::connect::HttpInfo;
use parallax_auth::ntlm::find_type2;
use parallax_model::{
    Answer, Connection, Exchange, Headers, HttpFailure, LimitBroken, Look, Outcome,
};
use tokio::time::{Instant, timeout_at};

use crate::dial::{Dial, Route};
use crate::http::{BodyReading, version_of};
use crate::request::{Host, Persistence};
use crate::tls::Setup;
use crate::walk::ProbeError;

/// Takes the look at the declared address.
pub(crate) async fn look(
    setup: &Setup,
    dial: &Dial,
    host: &Host,
    address: SocketAddr,
    look: &Look,
    number: u32,
    limit: Duration,
) -> Result<Exchange, ProbeError> {
    let ends = Instant::now() + limit;
    let mut local_port = 0;
    let result = match dial.route(address) {
        Route::Silent => {
            tokio::time::sleep_until(ends).await;
            Err(HttpFailure::NoConnection { detail: "TCP: no answer".to_owned() })
        }
        Route::Unreachable => {
            Err(HttpFailure::NoConnection { detail: "TCP: network unreachable".to_owned() })
        }
        Route::To(socket) => {
            let request = request(setup, host, socket, look, limit)?;
            match timeout_at(ends, request.send()).await {
                Err(_) => Err(HttpFailure::TimedOut { after: limit }),
                Ok(Err(error)) => Err(classify(&error, limit)),
                Ok(Ok(response)) => {
                    let info = response.extensions().get::<HttpInfo>();
                    local_port = info.map_or(0, |info| info.local_addr().port());
                    let took = limit.saturating_sub(ends.saturating_duration_since(Instant::now()));
                    Ok(read(response, took, ends).await)
                }
            }
        }
    };
    let sent = !matches!(result, Err(HttpFailure::NoConnection { .. }));
    Ok(Exchange {
        look: look.clone(),
        connection: Connection { number, local_port },
        sent,
        outcome: match result {
            Ok(answer) => Outcome::Done(answer),
            Err(failure) => Outcome::Failed(failure),
        },
    })
}

fn request(
    setup: &Setup,
    host: &Host,
    socket: SocketAddr,
    look: &Look,
    limit: Duration,
) -> Result<reqwest::RequestBuilder, ProbeError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(setup.for_one_connection().0)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .referer(false)
        .pool_max_idle_per_host(0)
        .connect_timeout(limit)
        .resolve(&host.text, socket)
        .build()
        .map_err(ProbeError::Client)?;
    // Without a port in the URL the pinned socket decides; an address in the URL is dialled as it stands.
    let authority = match host.literal {
        Some(_) => socket.to_string(),
        None => host.text.clone(),
    };
    let url = format!("{}://{authority}{}", host.scheme(), host.target(look.place));
    let fields = host.fields(Persistence::Close).into_iter().collect::<http::HeaderMap>();
    Ok(client.get(url).headers(fields))
}

async fn read(mut response: reqwest::Response, took: Duration, ends: Instant) -> Answer {
    let status = response.status();
    let reason = match response.extensions().get::<ReasonPhrase>() {
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
        None => status.canonical_reason().unwrap_or_default().to_owned(),
    };
    let headers = Headers(
        response
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect(),
    );
    let version = version_of(response.version());
    let mut reading = BodyReading::default();
    let whole = async {
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) if reading.take(&bytes) => {}
                Ok(None) => return true,
                Ok(Some(_)) | Err(_) => return false,
            }
        }
    };
    let is_whole = timeout_at(ends, whole).await.unwrap_or(false);
    let challenges = headers.challenges();
    Answer {
        version,
        status: status.as_u16(),
        reason,
        type2: find_type2(&challenges),
        challenges,
        headers,
        body: reading.finish(is_whole),
        took,
    }
}

/// The chain of causes below an error.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

fn classify(error: &reqwest::Error, limit: Duration) -> HttpFailure {
    if error.is_timeout() {
        return HttpFailure::TimedOut { after: limit };
    }
    let detail =
        || causes(error).last().map_or_else(|| "no detail".to_owned(), ToString::to_string);
    if error.is_connect() {
        return HttpFailure::NoConnection { detail: detail() };
    }
    causes(error)
        .find_map(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .and_then(from_io)
                .or_else(|| cause.downcast_ref::<hyper::Error>().and_then(from_hyper))
        })
        .unwrap_or_else(|| HttpFailure::Other { detail: detail() })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the list of `ErrorKind` grows; the rest has no name of its own here"
)]
fn from_io(error: &io::Error) -> Option<HttpFailure> {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Some(HttpFailure::Reset),
        io::ErrorKind::UnexpectedEof => Some(HttpFailure::Closed),
        _ => None,
    }
}

fn from_hyper(error: &hyper::Error) -> Option<HttpFailure> {
    if error.is_parse_too_large() {
        return Some(HttpFailure::Limit(LimitBroken::HeadBytes));
    }
    if error.is_parse() {
        return Some(HttpFailure::Malformed { detail: error.to_string() });
    }
    let is_closed = error.is_incomplete_message() || error.is_closed();
    is_closed.then_some(HttpFailure::Closed)
}
