//! The leg behind the front end: who made the answer, and what is missing for saying more.

use expect_test::{Expect, expect};
use parallax_model::{Answer, Evidence, Generation, Outcome, Report};

use super::notation::{account, evidence, summary};

const LOGON: &str = "
    1 cas cas1  OPTIONS=401+fe GET=401
    2 cas cas1  OPTIONS=401+fe logon:anna=503+fe
    3 cas cas1  OPTIONS=401+fe logon:pilot=200";

/// Both accounts live on the front's own generation, and anna's last answer is changed.
fn with(change: impl Fn(&mut Answer)) -> Evidence {
    let mut whole = evidence(Generation::Exchange2016, LOGON);
    whole.accounts = ["anna", "pilot"].map(|name| account(name, Generation::Exchange2016)).to_vec();
    let reports =
        whole.rounds.iter_mut().filter(|it| it.number == 2).flat_map(|it| &mut it.reports);
    for report in reports {
        let Report::Seen(sight) = &mut report.report else { continue };
        let exchanges = sight.observations.iter_mut().flat_map(|it| &mut it.exchanges);
        for exchange in exchanges.filter(|it| it.look.is_logon()) {
            if let Outcome::Done(answer) = &mut exchange.outcome {
                change(answer);
            }
        }
    }
    whole
}

fn ticket_refused(answer: &mut Answer) {
    "Failed authentication on backend server: Unauthorized".clone_into(&mut answer.reason);
}

fn ticket_failed(answer: &mut Answer, word: &str) {
    answer.status = 500;
    answer.body.beginning =
        format!("NegotiateSecurityContext failed with for host 'be1' with status '{word}'");
}

#[track_caller]
fn verdict(evidence: &Evidence, expected: Expect) {
    let summary = summary(evidence);
    expected.assert_eq(summary.split(';').next().unwrap_or_default());
}

#[test]
fn the_phrase_counts_only_from_the_front_end() {
    verdict(&with(ticket_refused), expect!["fe_be_kerberos_rejected likely"]);
    let of_a_back_end = with(|answer| {
        ticket_refused(answer);
        answer.headers.0.push(("X-BEServer".to_owned(), "BE1".to_owned()));
    });
    verdict(&of_a_back_end, expect!["undetermined"]);
    let of_a_proxy = with(|answer| {
        ticket_refused(answer);
        answer.headers.0.retain(|(name, _)| name != "X-FEServer");
    });
    verdict(&of_a_proxy, expect!["undetermined"]);
}

#[test]
fn the_status_word_of_a_ticket_decides() {
    let told = |word: &str| with(|answer| ticket_failed(answer, word));
    verdict(&told("TargetUnknown"), expect!["fe_be_spn_missing confirmed"]);
    verdict(&told("TimeSkew"), expect!["clock_skew_kerberos likely"]);
    verdict(&told("SomethingNew"), expect!["undetermined"]);
}

#[test]
fn a_denied_logon_is_told_by_where_the_mailbox_lives() {
    let mut denied = with(|answer| ticket_failed(answer, "LogonDenied"));
    verdict(&denied, expect!["fe_be_kerberos_rejected likely"]);
    denied.accounts[0] = account("anna", Generation::Exchange2010);
    verdict(&denied, expect!["fe_be_logondenied_machine_password likely"]);
}

#[test]
fn a_redirect_is_told_by_the_host_it_names() {
    let to = |host: &str| {
        let place = format!("https://{host}/Microsoft-Server-ActiveSync");
        with(move |answer| {
            answer.status = 451;
            answer.headers.0.push(("X-MS-Location".to_owned(), place.clone()));
        })
    };
    verdict(&to("mail2.contoso.example"), expect!["mailbox_other_site_451 confirmed"]);
    // Nobody knows whose host that is.
    verdict(&to("mail.branch.example"), expect!["undetermined"]);
    verdict(&to("outlook.office365.com"), expect!["hybrid_user_moved_451 confirmed"]);
    verdict(&to("cas1.contoso.example"), expect!["undetermined"]);
}
