//! Rules for evidence of any kind: no panic, no dependence on order, no verdict out of silence.

use std::collections::BTreeSet;

use parallax_model::{Evidence, Generation, Look, Report, Round, Silence, Standing, Verdict};
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::notation;
use super::twists::twists;

fn word() -> impl Strategy<Value = String> {
    let status = prop_oneof![
        Just("200"),
        Just("200-"),
        Just("204"),
        Just("301"),
        Just("302"),
        Just("401"),
        Just("401:Basic"),
        Just("401:NTLM+Basic"),
        Just("401:Negotiate+NTLM+Basic"),
        Just("401:Bearer"),
        Just("401+fe"),
        Just("403"),
        Just("403+fe+slow"),
        Just("404"),
        Just("405"),
        Just("451"),
        Just("500"),
        Just("502"),
        Just("503")
    ];
    let what = prop_oneof![
        Just("OPTIONS"),
        Just("GET"),
        Just("OWA"),
        Just("AD"),
        Just("nobody"),
        Just("logon:anna"),
        Just("logon:pilot"),
        Just("logon:anna:bare"),
        Just("logon:anna:mail")
    ];
    prop_oneof![
        6 => (what, status).prop_map(|(what, status)| format!("{what}={status}")),
        1 => prop_oneof![
            Just("dns=nxdomain"), Just("dns=servfail"), Just("tcp=timeout"), Just("tcp=refused"), Just("tls=expired"), Just("tls=name"),
            Just("tls=leaf"), Just("silent")
        ].prop_map(str::to_owned),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        Just("ext published"),
        Just("dmz published"),
        Just("cas published"),
        Just("dmz cas1"),
        Just("cas cas1"),
        Just("be cas1"),
        Just("cas be03"),
        Just("be be03"),
        Just("ext control"),
        Just("cas control")
    ];
    (path, prop::collection::vec(word(), 0..6))
        .prop_map(|(path, words)| format!("{path} {}", words.join(" ")))
}

/// At most one line per path and round, as the controller guarantees.
fn lines() -> impl Strategy<Value = Vec<(u32, String)>> {
    prop::collection::vec((1u32..=4, line()), 0..14).prop_map(|mut lines| {
        let key = |(round, line): &(u32, String)| {
            (*round, line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        };
        lines.sort_by_key(key);
        lines.dedup_by_key(|it| key(it));
        lines
    })
}

fn generation() -> impl Strategy<Value = Generation> {
    prop_oneof![
        Just(Generation::Exchange2007),
        Just(Generation::Exchange2010),
        Just(Generation::Exchange2016),
        Just(Generation::Online)
    ]
}

/// What the notation can say, and what it cannot.
fn evidence() -> impl Strategy<Value = Evidence> {
    (generation(), lines(), twists()).prop_map(|(generation, lines, twists)| {
        let mut evidence = notation::evidence(generation, &written(&lines));
        for (place, twist) in &twists {
            twist.apply(*place, &mut evidence);
        }
        evidence
    })
}

fn written(lines: &[(u32, String)]) -> String {
    let lines: Vec<String> = lines.iter().map(|(round, line)| format!("{round} {line}")).collect();
    lines.join(
        "
",
    )
}

proptest! {
    #[test]
    fn the_order_of_paths_never_matters(straight in evidence(), seed in any::<u64>()) {
        let mut shuffled = straight.clone();
        for Round { reports, .. } in &mut shuffled.rounds {
            let turn = usize::try_from(seed % 97).unwrap_or(0);
            if !reports.is_empty() {
                let by = turn % reports.len();
                reports.rotate_left(by);
            }
            if seed % 2 == 0 {
                reports.reverse();
            }
        }
        shuffled.vantages.reverse();
        prop_assert_eq!(crate::diagnose(&straight), crate::diagnose(&shuffled));
    }

    /// Silence everywhere says nothing at all.
    #[test]
    fn silence_is_undetermined(mut silent in evidence()) {
        silent.history.clear();
        for report in silent.rounds.iter_mut().flat_map(|round| &mut round.reports) {
            report.report = Report::Silent(Silence::Late);
        }
        let diagnosis = crate::diagnose(&silent);
        prop_assert_eq!(diagnosis.verdict, Verdict::Undetermined);
        prop_assert!(diagnosis.findings.is_empty());
    }

    /// A finding always shows its evidence, and nothing is both found and ruled out or open.
    #[test]
    fn findings_have_evidence_and_one_standing(evidence in evidence()) {
        let diagnosis = crate::diagnose(&evidence);
        for finding in &diagnosis.findings {
            prop_assert!(!finding.evidence.is_empty(), "{}", finding.fault);
            prop_assert!(!diagnosis.ruled_out.iter().any(|it| it.fault == finding.fault));
            prop_assert!(!diagnosis.open.iter().any(|it| it.fault == finding.fault));
        }
        prop_assert!(diagnosis.findings.iter().skip(1).all(|it| it.latent));
    }

    /// Knowing less makes nothing certain that was ruled out.
    #[test]
    fn a_removed_observation_confirms_nothing_ruled_out(evidence in evidence(), place in any::<usize>()) {
        let mut less = evidence.clone();
        let removed = remove(&mut less, place);
        let before = crate::diagnose(&evidence);
        let after = crate::diagnose(&less);
        for finding in after.findings.iter().filter(|it| it.standing == Standing::Confirmed) {
            let was = before.ruled_out.iter().find(|it| it.fault == finding.fault);
            prop_assert!(was.is_none(), "{} without {removed}, ruled out by {was:?}", finding.fault);
        }
    }
}

/// Makes a path silent, or takes one look out of it; says which. In all rounds: a later look may have corrected an earlier one.
fn remove(evidence: &mut Evidence, place: usize) -> String {
    let reports = || evidence.rounds.iter().flat_map(|round| &round.reports);
    let Some(at) = place.checked_rem(reports().count()) else {
        return "nothing".to_owned();
    };
    let Some(path) = reports().nth(at).map(|it| it.path.clone()) else {
        return String::new();
    };
    let sights = reports().filter(|it| it.path == path).filter_map(|it| it.report.seen());
    let exchanges = sights.flat_map(|it| &it.observations).flat_map(|it| &it.exchanges);
    let looks: BTreeSet<Look> = exchanges.map(|it| it.look.clone()).collect();
    let look = (place / 3).checked_rem(looks.len()).filter(|_| !place.is_multiple_of(3));
    let look = look.and_then(|it| looks.into_iter().nth(it));
    let own = evidence.rounds.iter_mut().flat_map(|it| &mut it.reports);
    for report in own.filter(|it| it.path == path) {
        match (&mut report.report, look.as_ref()) {
            (Report::Seen(sight), Some(look)) => {
                for observation in &mut sight.observations {
                    observation.exchanges.retain(|it| it.look != *look);
                }
            }
            (report, _) => *report = Report::Silent(Silence::Late),
        }
    }
    look.map_or_else(|| path.to_string(), |look| format!("{look:?} of {path}"))
}
