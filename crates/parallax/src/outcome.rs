//! With which code a process ends after a diagnosis.
//!
//! INVARIANT: only a diagnosis that ended by itself can be healthy or a fault; deadline and cancellation are neither.

use parallax_process::ExitCode;
use parallax_wire::pb;
use parallax_wire::pb::diagnosis::State;
use parallax_wire::pb::path_report::Report;

use crate::cli::FailOn;

/// The code for a diagnosis.
pub(crate) fn exit_code(diagnosis: &pb::Diagnosis, fail_on: FailOn) -> ExitCode {
    match diagnosis.state() {
        State::Succeeded => of_verdict(diagnosis, fail_on),
        State::Cancelled
        | State::Expired
        | State::Pending
        | State::Running
        | State::Unspecified => ExitCode::Undetermined,
        State::Failed | State::Interrupted => ExitCode::Unavailable,
    }
}

fn of_verdict(diagnosis: &pb::Diagnosis, fail_on: FailOn) -> ExitCode {
    let verdict = diagnosis.verdict.clone().unwrap_or_default();
    match (verdict.fault.as_str(), verdict.standing.as_str()) {
        ("healthy", _) => ExitCode::Healthy,
        ("" | "undetermined", _) if is_all_forbidden(diagnosis) => ExitCode::NotPermitted,
        ("" | "undetermined", _) => ExitCode::Undetermined,
        (_, "confirmed") => ExitCode::Fault,
        (_, _) => match fail_on {
            FailOn::Likely => ExitCode::Fault,
            FailOn::Confirmed => ExitCode::Undetermined,
        },
    }
}

/// Every agent's policy forbade every look.
fn is_all_forbidden(diagnosis: &pb::Diagnosis) -> bool {
    let mut reports = diagnosis.rounds.iter().flat_map(|it| &it.reports).peekable();
    reports.peek().is_some() && reports.all(|it| matches!(it.report, Some(Report::Refused(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(state: State, fault: &str, standing: &str) -> pb::Diagnosis {
        pb::Diagnosis {
            state: state.into(),
            verdict: Some(pb::Verdict {
                fault: fault.to_owned(),
                standing: standing.to_owned(),
                ..pb::Verdict::default()
            }),
            ..pb::Diagnosis::default()
        }
    }

    #[track_caller]
    fn check(state: State, fault: &str, standing: &str, fail_on: FailOn, number: u8) {
        assert_eq!(exit_code(&diagnosis(state, fault, standing), fail_on).number(), number);
    }

    #[test]
    fn the_verdict_decides_if_the_run_ended_by_itself() {
        check(State::Succeeded, "healthy", "", FailOn::Likely, 0);
        check(State::Succeeded, "bad_password", "confirmed", FailOn::Likely, 1);
        check(State::Succeeded, "bad_password", "likely", FailOn::Likely, 1);
        check(State::Succeeded, "bad_password", "confirmed", FailOn::Confirmed, 1);
        check(State::Succeeded, "bad_password", "likely", FailOn::Confirmed, 3);
        check(State::Succeeded, "undetermined", "", FailOn::Likely, 3);
        check(State::Expired, "bad_password", "confirmed", FailOn::Likely, 3);
        check(State::Cancelled, "healthy", "", FailOn::Likely, 3);
        check(State::Failed, "", "", FailOn::Likely, 5);
        check(State::Interrupted, "undetermined", "", FailOn::Likely, 5);
    }

    #[test]
    fn a_diagnosis_that_no_agent_may_make_is_not_permitted() {
        let refused = || pb::PathReport {
            report: Some(Report::Refused(pb::Refusal { rule: "hosts".to_owned() })),
            ..pb::PathReport::default()
        };
        let mut forbidden = diagnosis(State::Succeeded, "undetermined", "");
        forbidden.rounds = vec![pb::Round { number: 1, reports: vec![refused(), refused()] }];
        assert_eq!(exit_code(&forbidden, FailOn::Likely), ExitCode::NotPermitted);
        forbidden.rounds[0].reports[1].report = Some(Report::Silent(pb::Silence::default()));
        assert_eq!(exit_code(&forbidden, FailOn::Likely), ExitCode::Undetermined);
    }
}
