//! Two answers to one name: when they accuse a record, and when they accuse nobody.

use std::net::{IpAddr, SocketAddr};

use expect_test::{Expect, expect};
use parallax_model::{DnsSource, Evidence, Generation, Need, Outcome, Report};

use super::notation::{evidence, summary};

const OUTSIDE: [u8; 4] = [203, 0, 113, 7];
const INSIDE: [u8; 4] = [10, 0, 0, 80];

/// Evidence in which name servers gave these addresses in round 1; every later round dialled the one outside is given.
fn named(lines: &str, given: &[(&str, [u8; 4])]) -> Evidence {
    let mut evidence = evidence(Generation::Exchange2016, lines);
    for report in evidence.rounds.iter_mut().take(1).flat_map(|it| &mut it.reports) {
        let Some((_, address)) = given.iter().find(|(path, _)| *path == report.path.to_string())
        else {
            continue;
        };
        if let Report::Seen(sight) = &mut report.report
            && let Outcome::Done(facts) = &mut sight.dns
        {
            facts.source = DnsSource::NameServer(SocketAddr::from(([192, 0, 2, 53], 53)));
            facts.addresses = vec![IpAddr::from(*address)];
            for observation in &mut sight.observations {
                observation.address.set_ip(IpAddr::from(*address));
            }
        }
    }
    evidence
}

#[track_caller]
fn check(evidence: &Evidence, expected: Expect) {
    expected.assert_eq(&summary(evidence));
}

/// Nobody is accused, and the fault stands among those that may be.
#[track_caller]
fn check_undecided(evidence: &Evidence) {
    let summary = summary(evidence);
    assert!(summary.starts_with("undetermined; open dns_split_brain_mismatch"), "{summary}");
}

const INNER: [(&str, [u8; 4]); 2] = [("ext -> published", OUTSIDE), ("cas -> published", INSIDE)];

const STRANGER: &str = "
    1 ext published OPTIONS=401+fe GET=401+fe
    1 cas published tls=name OPTIONS=404 GET=404";

/// Two answers alone are how split DNS is meant; that the same vantage is served at the other address decides.
#[test]
fn the_cross_dial_decides() {
    check_undecided(&named(STRANGER, &INNER));
    let served = format!("{STRANGER}\n 2 cas published OPTIONS=401+fe GET=401+fe");
    check(&named(&served, &INNER), expect!["dns_split_brain_mismatch confirmed"]);
    let silent = format!("{STRANGER}\n 2 cas published tcp=timeout");
    check_undecided(&named(&silent, &INNER));
}

/// A dial that the agent's policy refuses takes nothing from what the path had shown, and the need stays for the operator.
#[test]
fn a_refused_dial_changes_nothing() {
    let mut evidence = named(&format!("{STRANGER}\n 2 cas published OPTIONS=401+fe"), &INNER);
    let before = summary(&named(STRANGER, &INNER));
    for report in evidence.rounds.iter_mut().skip(1).flat_map(|it| &mut it.reports) {
        report.report = Report::Refused { rule: "hosts.addresses: not listed".to_owned() };
    }
    assert_eq!(summary(&evidence), before);
    let diagnosis = crate::diagnose(&evidence);
    let is_dial = |need: &Need| matches!(need, Need::Dial { address, .. } if *address == IpAddr::from(OUTSIDE));
    assert!(diagnosis.open.iter().flat_map(|it| &it.needs).any(is_dial));
}

/// What is met at an address of another vantage's is no observation of this path: no client goes there.
#[test]
fn an_address_of_another_vantage_makes_no_mark() {
    let lines = "
        1 ext published OPTIONS=401+fe GET=401+fe
        1 cas published OPTIONS=401+fe GET=401+fe
        2 cas published tcp=timeout";
    check(&named(lines, &INNER), expect!["undetermined"]);
}

/// The declaration makes the difference between a stale record and a filtered port.
#[test]
fn a_declared_address_clears_the_firewall() {
    let lines = "
        1 ext published tcp=timeout
        1 dmz published OPTIONS=401+fe GET=401+fe
        1 cas cas1 OPTIONS=401+fe GET=401+fe";
    let given = [("ext -> published", [198, 51, 100, 9]), ("dmz -> published", OUTSIDE)];
    let mut evidence = named(lines, &given);
    evidence.target.endpoints[0].published_on = vec![IpAddr::from(OUTSIDE)];
    check(&evidence, expect!["dns_external_stale_ip confirmed"]);
    // The record is the declared one.
    evidence.target.endpoints[0].published_on = vec![IpAddr::from([198, 51, 100, 9])];
    check(&evidence, expect!["tcp_443_filtered confirmed"]);
}
