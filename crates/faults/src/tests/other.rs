//! Vantages that fail their own control, boxes on the vantage's side, and requests that ended by our own doing.

use std::time::Duration;

use expect_test::{Expect, expect};
use parallax_model::{
    Evidence, Generation, HttpFailure, Look, Outcome, Past, PathId, Report, Threshold,
};

use super::notation::{evidence, now, summary};

#[track_caller]
fn check(lines: &str, expected: Expect) {
    expected.assert_eq(&told(&evidence(Generation::Exchange2016, lines)));
}

/// The verdict, then what is set aside. What else stays open is the business of those faults.
fn told(evidence: &Evidence) -> String {
    let excluded = crate::diagnose(evidence).excluded;
    let excluded: Vec<String> = excluded.iter().map(|it| it.vantage.to_string()).collect();
    let summary = summary(evidence);
    let verdict = summary.split(';').next().unwrap_or_default();
    if excluded.is_empty() {
        verdict.to_owned()
    } else {
        format!("{verdict}; excluded {}", excluded.join(" "))
    }
}

const INSIDE: &str = "
    1 cas cas1     OPTIONS=401+fe GET=401+fe OWA=302
    1 cas control  GET=200
";

#[test]
fn a_vantage_without_a_network_says_nothing_of_the_target() {
    let filtered = format!("1 ext published tcp=timeout {INSIDE}");
    check(&filtered, expect!["tcp_443_filtered confirmed"]);
    check(&format!("{filtered} 1 ext control GET=200"), expect!["tcp_443_filtered confirmed"]);
    check(&format!("{filtered} 1 ext control tcp=timeout"), expect!["undetermined; excluded ext"]);
    check(&format!("{filtered} 1 ext control dns=nxdomain"), expect!["undetermined; excluded ext"]);
    // Nobody answered for the control: silence is no word against the vantage, and none for it.
    check(&format!("{filtered} 1 ext control silent"), expect!["tcp_443_filtered likely"]);
}

/// What answered there is no less true for a control that is dead; an inner agent often has no way out.
#[test]
fn a_dead_control_takes_nothing_from_what_answered() {
    let lines = "
        1 ext published OPTIONS=405 GET=401 OWA=302
        1 ext control   tcp=timeout
        1 cas cas1      OPTIONS=401+fe GET=401+fe
        1 cas control   tcp=timeout";
    check(lines, expect!["proxy_strips_or_answers_options confirmed"]);
}

/// The outermost vantage fails its control: an inner one does not stand in for it.
#[test]
fn health_is_not_claimed_from_further_in() {
    let inner = "
        1 dmz published OPTIONS=401+fe GET=401+fe
        1 cas cas1      OPTIONS=401+fe GET=401+fe
        2 cas cas1      OPTIONS=401+fe logon:pilot=200+fe
        3 dmz published OPTIONS=401+fe logon:anna=200+fe";
    let outer = "1 ext published tcp=timeout\n 1 ext control tcp=timeout";
    check(&format!("{outer} {inner}"), expect!["undetermined; excluded ext"]);
    let healthy = "
        1 ext published OPTIONS=401+fe GET=401+fe
        1 ext control   GET=200
        4 ext published OPTIONS=401+fe logon:anna=200+fe";
    check(&format!("{healthy} {inner}"), expect!["healthy"]);
}

#[test]
fn a_proxy_of_the_vantage_answers() {
    let asks = "1 ext published OPTIONS=407 GET=407";
    // Alone: nobody knows whose proxy it is.
    check(asks, expect!["egress_proxy_on_agent likely; excluded ext"]);
    check(
        &format!("{asks}\n 1 ext control GET=407"),
        expect!["egress_proxy_on_agent confirmed; excluded ext"],
    );
    let another = "1 dmz published OPTIONS=401+fe GET=401+fe";
    check(&format!("{asks}\n {another}"), expect!["egress_proxy_on_agent confirmed; excluded ext"]);
    // The same word from everywhere may as well be said in front of the target.
    let everywhere = "1 dmz published OPTIONS=407 GET=407";
    check(
        &format!("{asks}\n {everywhere}"),
        expect!["egress_proxy_on_agent likely; excluded dmz ext"],
    );
}

/// An inspecting box signs for everybody; a certificate of its making is no fault of the target's.
#[test]
fn a_box_that_inspects_tls() {
    let target = "1 ext published tls=inspected OPTIONS=401+fe GET=401+fe";
    let foreign = format!("{target}\n 1 ext control tls=inspected GET=200");
    check(&foreign, expect!["egress_proxy_on_agent likely; excluded ext"]);
    check(&format!("{foreign} {INSIDE}"), expect!["egress_proxy_on_agent confirmed; excluded ext"]);
    // The control shows its own: then the certificate is the target's.
    let own = format!("{target}\n 1 ext control GET=200 {INSIDE}");
    assert!(!summary(&evidence(Generation::Exchange2016, &own)).contains("egress"));
}

/// Trusted by the agent's own store: it answers for everything, and hides what clients outside meet.
#[test]
fn an_inspecting_box_that_the_agent_trusts() {
    let lines = format!(
        "1 ext published tls=inspected OPTIONS=401+fe GET=401+fe
         1 ext control   tls=inspected GET=200 {INSIDE}"
    );
    let mut evidence = evidence(Generation::Exchange2016, &lines);
    for report in evidence.rounds.iter_mut().flat_map(|it| &mut it.reports) {
        let Report::Seen(sight) = &mut report.report else { continue };
        for observation in &mut sight.observations {
            if let parallax_model::Transport::Tls(Outcome::Done(tls)) = &mut observation.transport {
                tls.trust.endpoint = parallax_model::ChainJudgement::Trusted;
            }
        }
    }
    expect!["egress_proxy_on_agent confirmed; excluded ext"].assert_eq(&told(&evidence));
}

#[test]
fn a_box_that_wants_a_credential_before_it_asks_for_one() {
    let closed = format!("1 ext published OPTIONS=403 GET=403 OWA=302 {INSIDE}");
    check(
        &format!("{closed} 2 ext published nobody=401"),
        expect!["anonymous_403_instead_of_401 likely"],
    );
    check(
        &format!("{closed} 2 ext published nobody=401 logon:anna=200"),
        expect!["anonymous_403_instead_of_401 confirmed"],
    );
    let for_all = format!("{closed} 2 ext published nobody=403");
    assert!(!summary(&evidence(Generation::Exchange2016, &for_all)).contains("anonymous_403"));
    // The server itself says so: no box in front of it does.
    let own = "
        1 ext published OPTIONS=403 GET=403 OWA=302
        1 cas cas1      OPTIONS=403 GET=403
        2 ext published nobody=401";
    assert!(!summary(&evidence(Generation::Exchange2016, own)).contains("anonymous_403"));
}

fn path(vantage: &str, endpoint: &str) -> PathId {
    let lines = format!("1 {vantage} {endpoint} silent");
    evidence(Generation::Exchange2016, &lines).rounds[0].reports[0].path.clone()
}

/// A warning beside the verdict, and only where the endpoint did answer so late.
#[test]
fn our_own_patience() {
    let mut evidence = evidence(
        Generation::Exchange2016,
        "1 ext published OPTIONS=401 GET=401
         1 dmz published OPTIONS=401 GET=401",
    );
    let cut = HttpFailure::TimedOut { after: Duration::from_secs(10) };
    let mut late = Duration::ZERO;
    let exchange =
        |evidence: &mut Evidence, vantage: &str, late: Duration, cut: Option<HttpFailure>| {
            let wanted = path(vantage, "published");
            for it in evidence.rounds[0].reports.iter_mut().filter(|it| it.path == wanted) {
                let Report::Seen(sight) = &mut it.report else { continue };
                let exchange = &mut sight.observations[0].exchanges[0];
                match (&cut, &mut exchange.outcome) {
                    (Some(cut), outcome) => *outcome = Outcome::Failed(cut.clone()),
                    (None, Outcome::Done(answer)) => answer.took = late,
                    (None, _) => {}
                }
            }
        };
    exchange(&mut evidence, "ext", late, Some(cut));
    let is_told = |evidence: &Evidence| {
        let findings = crate::diagnose(evidence).findings;
        findings.iter().any(|it| it.fault.0 == "probe_timeout_too_short" && it.latent)
    };
    assert!(!is_told(&evidence));
    late = Duration::from_secs(8);
    exchange(&mut evidence, "dmz", late, None);
    assert!(is_told(&evidence));
    assert!(summary(&evidence).starts_with("undetermined"), "a warning is never the verdict");
}

/// As many refused logons of our own as lock the account, after one that was accepted.
#[test]
fn our_own_refused_logons() {
    let lines = format!("1 ext published OPTIONS=401+fe {INSIDE} 2 cas cas1 logon:anna=401+fe");
    let logons = evidence(
        Generation::Exchange2016,
        "1 cas cas1 logon:anna=200+fe\n 2 cas cas1 logon:anna=401+fe",
    );
    let past = |round: usize, minutes: u64| {
        let report = &logons.rounds[round].reports[0];
        let Report::Seen(sight) = &report.report else { panic!("seen") };
        Past {
            at: now() - Duration::from_mins(minutes),
            path: report.path.clone(),
            look: Look::OPTIONS,
            sight: sight.clone(),
        }
    };
    let mut evidence = evidence(Generation::Exchange2016, &lines);
    evidence.history = vec![past(0, 25), past(1, 20), past(1, 15)];
    let is_told = |evidence: &Evidence| summary(evidence).contains("probe_caused_lockout");
    assert!(!is_told(&evidence), "three of ten");
    evidence.accounts[0].lockout.threshold = Threshold::At(3);
    expect!["probe_caused_lockout likely"].assert_eq(&told(&evidence));
    evidence.history.remove(0);
    assert!(!summary(&evidence).starts_with("probe_caused_lockout"), "it was never accepted");
    evidence.history = vec![past(0, 25), past(1, 20), past(1, 45)];
    assert!(!is_told(&evidence), "the window is over");
}

#[test]
fn a_url_that_leads_past_the_directory() {
    let lines = format!("1 ext published OPTIONS=200+fe GET=405+fe {INSIDE}");
    let mut evidence = evidence(Generation::Exchange2016, &lines);
    let right = summary(&evidence);
    assert!(!right.contains("autod_external_url"), "{right}");
    evidence.target.endpoints[0].path = "/EWS/Exchange.asmx/Microsoft-Server-ActiveSync".to_owned();
    expect!["autod_external_url_missing_or_wrong likely"].assert_eq(&told(&evidence));
    evidence.target.endpoints[0].path = "/microsoft-server-activesync/".to_owned();
    assert!(!summary(&evidence).contains("autod_external_url"));
}
