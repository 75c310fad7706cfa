//! What history tells: a challenge list that gained and lost Integrated authentication, and clocks that were told in one round.

use std::time::{Duration, SystemTime};

use expect_test::{Expect, expect};
use parallax_model::{
    Event, EventKind, Evidence, Generation, Headers, Look, Outcome, Past, Report,
};

use super::notation::{evidence, now, summary};
use crate::time::{flip, says};

const SEED: &str = "
    1 cas cas1  OPTIONS=401 GET=401
    1 be  be03  OPTIONS=401 GET=401
    2 be  be03  OPTIONS=401 logon:anna=200
    2 cas cas1  OPTIONS=401 logon:pilot=200
    3 cas cas1  OPTIONS=401 logon:anna=401";

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// Earlier sights of the back end, so many minutes ago.
fn with_past(sights: &[(u64, &str)]) -> Evidence {
    let mut whole = evidence(Generation::Exchange2010, SEED);
    for (ago, said) in sights {
        let line = format!("1 be be03 OPTIONS={said}");
        let past = evidence(Generation::Exchange2010, &line);
        let report = &past.rounds[0].reports[0];
        let Report::Seen(sight) = report.report.clone() else { panic!("a sight") };
        let (at, path) = (now() - minutes(*ago), report.path.clone());
        whole.history.push(Past { at, path, look: Look::OPTIONS, sight });
    }
    whole
}

fn event(evidence: &mut Evidence, ago: u64, kind: EventKind) {
    let at = now() - minutes(ago);
    evidence.target.events.push(Event { at, kind, text: "something".to_owned() });
}

#[track_caller]
fn check(evidence: &Evidence, expected: Expect) {
    expected.assert_eq(&summary(evidence));
}

const LISTED: &str = "401:Negotiate+NTLM+Basic";

/// Ten minutes from the last sight without to the first sight without: nothing but the System Attendant is so quick.
#[test]
fn a_setting_that_was_written_back_is_confirmed() {
    let evidence = with_past(&[(40, "401"), (35, LISTED), (30, "401")]);
    check(
        &evidence,
        expect!["e2003_iwa_set_in_iis_manager confirmed; latent e2003_be_iwa_missing"],
    );
}

/// Sights hours apart leave room for somebody who took it back.
#[test]
fn sights_far_apart_make_it_likely_only() {
    let evidence = with_past(&[(400, "401"), (200, LISTED), (30, "401")]);
    check(
        &evidence,
        expect!["e2003_be_iwa_missing confirmed; latent e2003_iwa_set_in_iis_manager"],
    );
}

#[test]
fn a_list_that_stayed_for_an_hour_needs_a_restart() {
    let mut evidence = with_past(&[(400, "401"), (200, LISTED), (140, LISTED), (30, "401")]);
    check(&evidence, expect!["e2003_be_iwa_missing confirmed"]);
    event(&mut evidence, 60, EventKind::Restart);
    check(
        &evidence,
        expect!["e2003_be_iwa_missing confirmed; latent e2003_iwa_set_in_iis_manager"],
    );
}

/// The list that is there now is what counts.
#[test]
fn a_list_that_came_back_is_no_flip() {
    let mut evidence = with_past(&[(40, "401"), (35, LISTED), (30, "401")]);
    for round in &mut evidence.rounds {
        for report in round.reports.iter_mut().filter(|it| it.path.endpoint.as_str() == "be03") {
            let line = format!("1 be be03 OPTIONS={LISTED} logon:anna=200");
            let healthy = super::notation::evidence(Generation::Exchange2010, &line);
            report.report = healthy.rounds[0].reports[0].report.clone();
        }
    }
    check(&evidence, expect!["undetermined; unexplained cas -> cas1"]);
}

/// Gives every answer of a path a clock.
fn set_clock(evidence: &mut Evidence, endpoint: &str, date: &str) {
    let reports = evidence.rounds.iter_mut().flat_map(|it| &mut it.reports);
    for report in reports.filter(|it| it.path.endpoint.as_str() == endpoint) {
        let Report::Seen(sight) = &mut report.report else { continue };
        for exchange in sight.observations.iter_mut().flat_map(|it| &mut it.exchanges) {
            if let Outcome::Done(answer) = &mut exchange.outcome {
                let Headers(fields) = &mut answer.headers;
                fields.push(("Date".to_owned(), date.to_owned()));
            }
        }
    }
}

/// A minute or two may lie between two looks of one round; only more than that is a skew.
#[test]
fn clocks_are_compared_within_a_round() {
    let lines = SEED.replace("be03  OPTIONS=401", &format!("be03  OPTIONS={LISTED}"));
    let told = |back_end: &str| {
        let mut evidence = evidence(Generation::Exchange2010, &lines);
        set_clock(&mut evidence, "cas1", "Sun, 22 Nov 2026 10:00:00 GMT");
        set_clock(&mut evidence, "be03", back_end);
        summary(&evidence)
    };
    expect!["clock_skew_kerberos likely"].assert_eq(&told("Sun, 22 Nov 2026 10:22:00 GMT"));
    let agreeing = "undetermined; unexplained cas -> cas1";
    assert_eq!(told("Sun, 22 Nov 2026 10:01:30 GMT"), agreeing);
    assert_eq!(told("Sun, 22 Nov 2026 09:54:30 GMT"), agreeing);
    assert_eq!(told("half past nine"), agreeing);
}

#[test]
fn the_latest_flip_counts_and_the_first_sights_need_none() {
    let at = |minute: u64| SystemTime::UNIX_EPOCH + minutes(minute);
    let sights = |list: &[(u64, bool)]| -> Vec<(SystemTime, bool)> {
        list.iter().map(|(minute, is_there)| (at(*minute), *is_there)).collect()
    };
    assert_eq!(flip(&[]), None);
    assert_eq!(flip(&sights(&[(1, true), (2, false)])), None);
    assert_eq!(flip(&sights(&[(1, false), (2, true)])), None);
    let twice = [(1, false), (2, true), (3, false), (8, false), (9, true), (11, true), (12, false)];
    let found = flip(&sights(&twice)).expect("a flip");
    assert_eq!(
        [found.before, found.first, found.last, found.after],
        [at(8), at(9), at(11), at(12)]
    );
}

#[test]
fn an_event_number_is_a_whole_number() {
    assert!(says("Event 1044 on CAS1", "1044"));
    assert!(says("krb_ap_err_modified", "KRB_AP_ERR_MODIFIED"));
    assert!(!says("Event 11044", "1044") && !says("10441", "1044"));
}
