//! Every grade of the format, by hand-made answers.

use super::*;

/// The expectation of the seed, with room for everything.
fn expect() -> Expect {
    Expect {
        fault: "e2003_be_iwa_missing".to_owned(),
        acceptable: vec!["e2003_iwa_set_in_iis_manager".to_owned()],
        standing_at_least: LeastStanding::Confirmed,
        also: Vec::new(),
        tolerated: vec!["e2003_hotfix_937031_missing".to_owned()],
        never: vec!["bad_password".to_owned()],
        open: Vec::new(),
        not_visible: Vec::new(),
        max_refused_logons: 1,
    }
}

/// A diagnosis in one line: the verdict first, then findings; `fault!` is confirmed, `fault?` likely.
fn answer(text: &str) -> pb::Diagnosis {
    let mut diagnosis = pb::Diagnosis::default();
    diagnosis.set_state(pb::diagnosis::State::Succeeded);
    for (at, word) in text.split_whitespace().enumerate() {
        let (fault, standing) = match (word.strip_suffix('!'), word.strip_suffix('?')) {
            (Some(fault), _) => (fault, "confirmed"),
            (None, Some(fault)) => (fault, "likely"),
            (None, None) => (word, ""),
        };
        let (fault, standing) = (fault.to_owned(), standing.to_owned());
        if at == 0 {
            let verdict = pb::Verdict {
                fault: fault.clone(),
                standing: standing.clone(),
                ..Default::default()
            };
            diagnosis.verdict = Some(verdict);
        }
        if !standing.is_empty() {
            diagnosis.findings.push(pb::Finding { fault, standing, ..Default::default() });
        }
    }
    diagnosis
}

#[track_caller]
fn check(expect: &Expect, text: &str, risen: u32, grade: Grade) {
    assert_eq!(super::grade("w", expect, &answer(text), risen).grade, grade, "{text}");
}

#[test]
fn right() {
    check(&expect(), "e2003_be_iwa_missing!", 0, Grade::Right);
    check(&expect(), "e2003_be_iwa_missing!", 1, Grade::Right);
    check(&expect(), "e2003_iwa_set_in_iis_manager!", 0, Grade::Right);
    check(&expect(), "e2003_be_iwa_missing! e2003_hotfix_937031_missing!", 0, Grade::Right);
    // Noise is counted by nobody while it is only likely, even if it is among `never`.
    check(&expect(), "e2003_be_iwa_missing! tcp_443_filtered? bad_password?", 0, Grade::Right);
}

#[test]
fn healthy_and_undetermined_need_no_standing() {
    for fault in [HEALTHY, UNDETERMINED] {
        let expect = Expect { fault: fault.to_owned(), acceptable: Vec::new(), ..expect() };
        check(&expect, fault, 0, Grade::Right);
    }
    check(
        &Expect { acceptable: vec![UNDETERMINED.to_owned()], ..expect() },
        "undetermined",
        0,
        Grade::Right,
    );
}

#[test]
fn the_least_standing() {
    for (least, likely) in [
        (LeastStanding::Confirmed, Grade::Incomplete),
        (LeastStanding::Likely, Grade::Right),
        (LeastStanding::Undetermined, Grade::Right),
    ] {
        let expect = Expect { standing_at_least: least, ..expect() };
        check(&expect, "e2003_be_iwa_missing?", 0, likely);
        check(&expect, "e2003_be_iwa_missing!", 0, Grade::Right);
    }
}

#[test]
fn incomplete() {
    let expect = Expect { also: vec!["tls_intermediate_missing".to_owned()], ..expect() };
    check(&expect, "e2003_be_iwa_missing!", 0, Grade::Incomplete);
    check(&expect, "e2003_be_iwa_missing? tls_intermediate_missing?", 0, Grade::Incomplete);
    check(&expect, "e2003_be_iwa_missing! tls_intermediate_missing?", 0, Grade::Right);
    // The verdict itself counts.
    let expect = Expect { also: vec!["e2003_be_iwa_missing".to_owned()], ..expect };
    check(&expect, "e2003_be_iwa_missing!", 0, Grade::Right);
    // And something that must not be said takes the rightness away.
    let expect = Expect { never: vec!["e2003_hotfix_937031_missing".to_owned()], ..expect };
    check(&expect, "e2003_be_iwa_missing! e2003_hotfix_937031_missing!", 0, Grade::Wrong);
}

#[test]
fn undetermined() {
    check(&expect(), "undetermined", 0, Grade::Undetermined);
    check(&expect(), "undetermined tcp_443_filtered?", 0, Grade::Undetermined);
}

#[test]
fn wrong() {
    check(&expect(), "healthy", 0, Grade::Wrong);
    check(&expect(), "bad_password?", 0, Grade::Wrong);
    check(&expect(), "tcp_443_filtered?", 0, Grade::Wrong);
    check(&expect(), "", 0, Grade::Wrong);
    let expect = Expect { fault: HEALTHY.to_owned(), acceptable: Vec::new(), ..expect() };
    check(&expect, "e2003_be_iwa_missing?", 0, Grade::Wrong);
}

#[test]
fn confirmed_wrong_is_the_worst() {
    check(&expect(), "bad_password!", 0, Grade::ConfirmedWrong);
    check(&expect(), "e2003_be_iwa_missing! tcp_443_filtered!", 0, Grade::ConfirmedWrong);
    check(&expect(), "undetermined tcp_443_filtered!", 9, Grade::ConfirmedWrong);
    // A verdict counts even if the findings forget it.
    let mut forgetful = answer("tcp_443_filtered!");
    forgetful.findings.clear();
    assert_eq!(super::grade("w", &expect(), &forgetful, 0).grade, Grade::ConfirmedWrong);
    let mut latent = answer("e2003_be_iwa_missing! tcp_443_filtered!");
    latent.findings[1].latent = true;
    assert_eq!(super::grade("w", &expect(), &latent, 0).grade, Grade::ConfirmedWrong);
}

#[test]
fn over_budget_comes_before_right_and_wrong() {
    check(&expect(), "e2003_be_iwa_missing!", 2, Grade::OverBudget);
    check(&expect(), "healthy", 2, Grade::OverBudget);
    check(&expect(), "undetermined", 2, Grade::OverBudget);
    assert_eq!(grade_unrun("w", &expect(), "it broke", 2).grade, Grade::OverBudget);
    let unrun = grade_unrun("w", &expect(), "it broke", 1);
    assert_eq!(unrun.grade, Grade::Wrong);
    assert!(unrun.got.contains("it broke"));
}

#[test]
fn a_summary_counts_each_world_once() {
    let mut summary = Summary::default();
    assert!(!summary.all_right(), "nothing was shown");
    let text = [
        "e2003_be_iwa_missing!",
        "e2003_be_iwa_missing?",
        "undetermined",
        "healthy",
        "bad_password!",
    ];
    for (at, text) in text.into_iter().enumerate() {
        summary.add(super::grade(&format!("w{at}"), &expect(), &answer(text), 0));
    }
    summary.add(super::grade("w5", &expect(), &answer("healthy"), 2));
    let json = serde_json::to_value(&summary).expect("JSON");
    let keys: Vec<&str> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "worlds",
            "right",
            "incomplete",
            "undetermined",
            "wrong",
            "confirmed_wrong",
            "over_budget",
            "failures"
        ]
    );
    assert_eq!(json["worlds"], 6);
    for key in ["right", "incomplete", "undetermined", "wrong", "confirmed_wrong", "over_budget"] {
        assert_eq!(json[key], 1, "{key}");
    }
    assert_eq!(json["failures"][3]["grade"], "confirmed_wrong");
    assert_eq!(json["failures"][3]["id"], "w4");
    assert!(!summary.all_right());
}

#[test]
fn a_failure_says_what_was_expected_and_what_came() {
    let mut diagnosis = answer("bad_password? tcp_443_filtered?");
    diagnosis.open.push(pb::OpenFault { fault: "upn_mismatch".to_owned(), ..Default::default() });
    diagnosis.set_state(pb::diagnosis::State::Expired);
    let graded = super::grade("w", &expect(), &diagnosis, 1);
    assert_eq!(
        graded.expected,
        "e2003_be_iwa_missing (at least confirmed); or e2003_iwa_set_in_iis_manager; never bad_password; \
         counter risen by at most 1"
    );
    assert_eq!(
        graded.got,
        "bad_password (likely); findings tcp_443_filtered (likely); open upn_mismatch; STATE_EXPIRED; \
         counter risen by 1"
    );
}
