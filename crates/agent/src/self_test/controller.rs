//! The way to the controller, step by step, up to an answer that shows whether our certificate is taken; and its clock.
//!
//! The answer is that to a renewal without a request, which is refused as malformed by a controller that knows us. So
//! nothing is renewed and no session begins.

use std::time::{Duration, SystemTime};

use parallax_wire::pb::link as wire;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::{Finding, Verdict};
use crate::identity::Identity;
use crate::link::service;
use crate::reach::{Way, Wire, http2};
use crate::renewal::CALL_LIMIT;
use crate::settings::AgentSettings;
use crate::trouble::Trouble;
use crate::trust::Trust;

/// Further apart than this, clocks are worth a look; certificates begin an hour back.
const SKEW_NOTABLE: Duration = Duration::from_mins(1);
const SKEW_BAD: Duration = Duration::from_mins(30);

const WHAT: &str = "controller";

/// The findings, and why the controller did not take the certificate, if so.
pub(super) async fn look(
    settings: &AgentSettings,
    identity: &Identity,
) -> (Vec<Finding>, Option<Trouble>) {
    let mut findings = Vec::new();
    let trouble = walk(settings, identity, &mut findings).await.err();
    if let Some(trouble) = &trouble {
        findings.push(Finding::new(WHAT, Verdict::Bad, trouble.to_string()));
    }
    (findings, trouble)
}

async fn walk(
    settings: &AgentSettings,
    identity: &Identity,
    findings: &mut Vec<Finding>,
) -> Result<(), Trouble> {
    let own = (identity.chain.clone(), identity.key.clone_key());
    let way = Way::new(settings, Trust::Authority(identity.authority.clone()), Some(own))
        .map_err(|error| Trouble::Tls { detail: error.to_string() })?;
    let mut good = |text: String| findings.push(Finding::new(WHAT, Verdict::Good, text));
    let started = Instant::now();
    let tcp = way.tcp().await?;
    let peer = tcp.peer_addr().map(|it| it.to_string()).unwrap_or_default();
    good(format!("TCP to {peer} in {} ms", started.elapsed().as_millis()));
    let started = Instant::now();
    let tls = way.tls(tcp).await?;
    let name = settings.server_name.to_str();
    good(format!(
        "TLS 1.3 with {name} of the known authority in {} ms",
        started.elapsed().as_millis()
    ));
    let wire = http2(tls).await?;
    let status = ask(&wire).await?;
    good("HTTP/2, and it takes this agent's certificate".to_owned());
    findings.push(clock(&status));
    Ok(())
}

/// How the controller refuses a renewal without a request; `Err`: it refuses us.
async fn ask(wire: &Wire) -> Result<Status, Trouble> {
    let mut client = service(wire.channel.clone());
    let asked = timeout(CALL_LIMIT, client.renew(wire::RenewRequest::default()))
        .await
        .map_err(|_| Trouble::Silent { after: CALL_LIMIT })?;
    match asked {
        Ok(_) => Err(Trouble::OutOfTurn { detail: "it certified no key at all".to_owned() }),
        Err(status) if status.code() == Code::InvalidArgument => Ok(status),
        Err(status) => Err(wire.alerts.of_call(&status)),
    }
}

/// By the `date` of its answer (RFC 9110 section 6.6.1).
fn clock(status: &Status) -> Finding {
    let theirs = status.metadata().get("date").and_then(|it| it.to_str().ok()).and_then(read_date);
    let Some(theirs) = theirs else {
        return Finding::new("clock", Verdict::Caution, "the controller's answer has no date");
    };
    let ours = SystemTime::now();
    let (skew, word) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let verdict = if skew >= SKEW_BAD {
        Verdict::Bad
    } else if skew >= SKEW_NOTABLE {
        Verdict::Caution
    } else {
        Verdict::Good
    };
    // The date has whole seconds.
    let text = if skew < Duration::from_secs(2) {
        "as the controller's".to_owned()
    } else {
        format!("{} s {word} the controller's", skew.as_secs())
    };
    Finding::new("clock", verdict, text)
}

/// As `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
fn read_date(text: &str) -> Option<SystemTime> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::PrimitiveDateTime::parse(text, format).ok()?;
    let date: OffsetDateTime = date.assume_utc();
    Some(date.into())
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    fn clock_of(date: Option<SystemTime>) -> Finding {
        let mut metadata = MetadataMap::new();
        if let Some(date) = date {
            let format = format_description!(
                "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
            );
            let text = OffsetDateTime::from(date).format(format).expect("a date");
            metadata.insert("date", text.parse().expect("a value"));
        }
        clock(&Status::with_metadata(Code::InvalidArgument, "", metadata))
    }

    #[test]
    fn the_clock_is_compared() {
        let now = SystemTime::now();
        let minutes = |count: u64| Duration::from_secs(count * 60);
        assert_eq!(clock_of(Some(now)).verdict, Verdict::Good);
        let behind = clock_of(Some(now + minutes(5)));
        assert_eq!(behind.verdict, Verdict::Caution);
        assert!(behind.text.contains(" s behind the controller's"), "{}", behind.text);
        let ahead = clock_of(Some(now - minutes(50)));
        assert_eq!(ahead.verdict, Verdict::Bad);
        assert!(ahead.text.contains(" s ahead of the controller's"), "{}", ahead.text);
        assert_eq!(clock_of(None).verdict, Verdict::Caution);
        assert!(read_date("Sun, 06 Nov 1994 08:49:37 GMT").is_some());
        assert!(read_date("yesterday").is_none());
    }
}
