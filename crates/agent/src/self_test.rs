//! What can this vantage see? Identity, policy, name servers, clock, the way to the controller, domain controllers, one target.
//!
//! A running agent of the same identity is not disturbed: no session is begun and nothing is renewed. Absent on purpose:
//! credentials, and any verdict about the target.
//!
//! INVARIANT: the target is looked at through the policy, with one anonymous OPTIONS.
//! INVARIANT: every step has a limit; the whole ends within a minute or two, whatever is broken.

mod controller;
mod names;
mod target;

use std::time::{Duration, SystemTime};

use parallax_model::Zone;
use parallax_probe::Instrument;

use crate::certificate::{moment, vantage};
use crate::identity::Identity;
use crate::policy::Policy;
use crate::settings::AgentConfig;
use crate::trouble::Trouble;

/// A certificate that ends sooner than this should have been renewed long ago.
const ENDS_SOON: Duration = Duration::from_hours(7 * 24);

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Good,
    /// Works, or is perhaps as meant; worth a look.
    Caution,
    Bad,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Caution => "look",
            Self::Bad => "bad",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `identity`, `policy`, `name server`, `proxy`, `controller`, `clock`, `kerberos`, `target`.
    pub what: &'static str,
    pub verdict: Verdict,
    pub text: String,
}

impl Finding {
    pub(crate) fn new(what: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { what, verdict, text: text.into() }
    }
}

/// All that was seen, in the order in which it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTest {
    pub vantage: String,
    pub findings: Vec<Finding>,
    /// Why the controller cannot be reached, or does not take this agent's certificate.
    pub trouble: Option<Trouble>,
}

impl SelfTest {
    /// Nothing is bad.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|it| it.verdict < Verdict::Bad)
    }
}

/// Looks. `target`: a URL in place of the policy's first host.
pub async fn self_test(
    config: &AgentConfig,
    identity: Identity,
    policy: Policy,
    instrument: Instrument,
    target: Option<&str>,
) -> SelfTest {
    let name = identity.chain.first().and_then(vantage).unwrap_or_default();
    let mut findings = vec![of_identity(&identity, &name), of_policy(&policy)];
    let servers = instrument.name_servers().to_vec();
    let host = config.settings.controller.rsplit_once(':').map_or("", |it| it.0).to_owned();
    findings.extend(names::servers(&servers, &host).await);
    let proxy = config.settings.proxy.as_ref();
    findings.push(Finding::new(
        "proxy",
        Verdict::Good,
        proxy.map_or_else(|| "none".to_owned(), ToString::to_string),
    ));
    let (steps, trouble) = controller::look(&config.settings, &identity).await;
    findings.extend(steps);
    if policy.zone().is_some_and(|it| it != Zone::External) {
        let hosts: Vec<&str> = policy.hosts().iter().map(|it| it.name.as_str()).collect();
        findings.extend(names::kerberos(&servers, &hosts).await);
    }
    findings.push(target::look(policy, instrument, target).await);
    SelfTest { vantage: name, findings, trouble }
}

fn of_identity(identity: &Identity, name: &str) -> Finding {
    let now = SystemTime::now();
    let Some(validity) = identity.validity().filter(|_| !name.is_empty()) else {
        return Finding::new("identity", Verdict::Bad, "the certificate is not one of an agent");
    };
    let (from, until) = (moment(validity.from), moment(validity.until));
    let (verdict, text) = if validity.until <= now {
        (Verdict::Bad, format!("{name}, ended at {until}"))
    } else if validity.from > now {
        (Verdict::Bad, format!("{name}, holds only from {from} on; this machine's clock is behind"))
    } else if validity.until <= now + ENDS_SOON {
        (Verdict::Caution, format!("{name}, ends at {until}: it should have been renewed"))
    } else {
        (Verdict::Good, format!("{name}, until {until}"))
    };
    Finding::new("identity", verdict, text)
}

fn of_policy(policy: &Policy) -> Finding {
    if let Some(why) = policy.denies_everything() {
        return Finding::new("policy", Verdict::Bad, why);
    }
    let zone = policy.zone().map_or("none", parallax_wire::zone_word);
    let hosts = match policy.hosts() {
        [] => "any public host".to_owned(),
        [only] => only.name.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.name, rest.len()),
    };
    let digest: String = policy.sha256().chars().take(16).collect();
    Finding::new("policy", Verdict::Good, format!("zone {zone}, {hosts}, sha256 {digest}…"))
}
