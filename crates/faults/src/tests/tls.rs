//! What the worlds of this layer do not show: our own limits, a device known by the control, and a certificate asked for late.

use expect_test::{Expect, expect};
use parallax_model::{
    ChainJudgement, ChainProblem, Evidence, Generation, HttpFailure, Observation, Outcome, Report,
    TlsFacts, TlsFailure, TlsVersion, Transport,
};

use super::notation::{evidence, summary};

const GREEN: &str = "
    1 ext published  OPTIONS=401 GET=401 OWA=302
    1 dmz published  OPTIONS=401 GET=401 OWA=302
    1 cas cas1       OPTIONS=401 GET=401 OWA=302
    1 ext control    GET=200
";

/// The verdict and what else was found; what stays open is the business of those faults.
#[track_caller]
fn check(evidence: &Evidence, expected: Expect) {
    let summary = summary(evidence);
    let told: Vec<&str> = summary.split("; ").filter(|part| !part.starts_with("open")).collect();
    expected.assert_eq(&told.join("; "));
}

fn green() -> Evidence {
    evidence(Generation::Exchange2016, GREEN)
}

/// Changes every observation from a vantage (any, if empty) at an endpoint.
fn change(evidence: &mut Evidence, vantage: &str, endpoint: &str, how: impl Fn(&mut Observation)) {
    let reports = evidence.rounds.iter_mut().flat_map(|round| &mut round.reports);
    for report in reports.filter(|it| {
        it.path.endpoint.as_str() == endpoint
            && (vantage.is_empty() || it.path.vantage.as_str() == vantage)
    }) {
        if let Report::Seen(sight) = &mut report.report {
            sight.observations.iter_mut().for_each(&how);
        }
    }
}

fn facts(observation: &mut Observation) -> &mut TlsFacts {
    match &mut observation.transport {
        Transport::Tls(Outcome::Done(facts)) => facts,
        Transport::Plain | Transport::Tls(_) | Transport::OldTls { .. } => {
            unreachable!("the notation finishes every handshake")
        }
    }
}

fn limit() -> TlsFailure {
    TlsFailure::OurLimit { detail: "the server sent alert 40".to_owned() }
}

/// Only the old stack got in, with this version.
fn grow_old(observation: &mut Observation, version: TlsVersion) {
    facts(observation).version = version;
    let old = Outcome::Done(facts(observation).clone());
    observation.transport = Transport::OldTls { modern: limit(), old };
}

/// Without the old stack nothing is known of a server that the modern one cannot talk to.
#[test]
fn our_own_limit_accuses_nobody() {
    let mut evidence = green();
    for endpoint in ["published", "cas1"] {
        change(&mut evidence, "", endpoint, |it| {
            it.transport = Transport::Tls(Outcome::Failed(limit()));
            it.exchanges.clear();
        });
    }
    check(&evidence, expect!["undetermined"]);
}

#[test]
fn old_suites_are_no_old_version() {
    let mut evidence = green();
    change(&mut evidence, "", "published", |it| grow_old(it, TlsVersion::Tls12));
    check(&evidence, expect!["undetermined"]);
    let mut evidence = green();
    change(&mut evidence, "", "published", |it| grow_old(it, TlsVersion::Tls10));
    check(&evidence, expect!["tls_legacy_version_only confirmed"]);
}

/// The inner hop of a modern name is nobody's concern, and one new address of an old name lets some clients in.
#[test]
fn old_tls_counts_where_clients_are() {
    let mut evidence = green();
    change(&mut evidence, "", "cas1", |it| grow_old(it, TlsVersion::Tls10));
    check(&evidence, expect!["undetermined"]);
}

/// The certificate is judged over the old stack just the same.
#[test]
fn dates_are_read_over_old_tls() {
    let lines = GREEN.replace("ext published  ", "ext published tls=expired ");
    let mut evidence = evidence(Generation::Exchange2016, &lines);
    change(&mut evidence, "ext", "published", |it| grow_old(it, TlsVersion::Tls12));
    check(&evidence, expect!["tls_cert_expired confirmed"]);
}

fn intercepted(observation: &mut Observation) {
    let untrusted = ChainJudgement::Untrusted(ChainProblem::UnknownIssuer);
    let facts = facts(observation);
    facts.trust.public = untrusted;
    facts.trust.store = untrusted;
    facts.trust.endpoint = untrusted;
    for certificate in facts.chain.iter_mut().take(1) {
        certificate.sha256 = [7; 32];
        certificate.issuer = "CN=Web Filter".to_owned();
    }
}

/// One place alone meets the leaf: likely. Its control shows the same issuer: certain. Somebody inside meets it too: the
/// service's own.
#[test]
fn a_device_is_known_by_the_control() {
    let mut evidence = green();
    change(&mut evidence, "ext", "published", intercepted);
    check(&evidence, expect!["tls_inspection_breaks_cba likely"]);

    // The agent's own store knows the filter, and the control is content with that.
    change(&mut evidence, "ext", "control", |it| {
        intercepted(it);
        let facts = facts(it);
        (facts.trust.store, facts.trust.endpoint) =
            (ChainJudgement::Trusted, ChainJudgement::Trusted);
    });
    check(&evidence, expect!["tls_inspection_breaks_cba confirmed"]);

    change(&mut evidence, "cas", "cas1", intercepted);
    check(&evidence, expect!["tls_untrusted_or_selfsigned likely"]);
}

/// IIS asks for the certificate of a directory after the request: only with that is a bare 403 about it.
#[test]
fn a_certificate_asked_for_late() {
    let refused = GREEN.replace("OPTIONS=401", "OPTIONS=403");
    let asked = |is_asked: bool| {
        let mut evidence = evidence(Generation::Exchange2016, &refused);
        for endpoint in ["published", "cas1"] {
            change(&mut evidence, "", endpoint, |it| {
                for exchange in &mut it.exchanges {
                    exchange.asked_for_certificate = is_asked;
                }
            });
        }
        summary(&evidence).contains("tls_client_cert_required confirmed")
    };
    assert!(asked(true));
    assert!(!asked(false));
}

/// A connection that ends is the directory's doing only over TLS 1.3, and only where nothing stands between.
#[test]
fn cut_off_over_tls_13() {
    let cut = |version: TlsVersion, endpoint: &str| {
        let mut evidence = green();
        change(&mut evidence, "", endpoint, |it| {
            facts(it).version = version;
            for exchange in it.exchanges.iter_mut().take(2) {
                exchange.outcome = Outcome::Failed(HttpFailure::Reset);
            }
        });
        summary(&evidence).contains("tls13_no_posthandshake_auth likely")
    };
    assert!(cut(TlsVersion::Tls13, "cas1"));
    assert!(!cut(TlsVersion::Tls12, "cas1"));
    assert!(!cut(TlsVersion::Tls13, "published"));
}
