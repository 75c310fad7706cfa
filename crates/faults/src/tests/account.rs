//! One user who is refused: traps that the worlds do not show.

use std::time::Duration;

use parallax_model::{Event, EventKind, Evidence, Generation, NameForm, Standing, UserName};

use super::notation::{account, evidence, now};

fn standing_of(evidence: &Evidence, fault: &str) -> Option<Standing> {
    let diagnosis = crate::diagnose(evidence);
    diagnosis.findings.iter().find(|it| it.fault.0 == fault).map(|it| it.standing)
}

fn is_open(evidence: &Evidence, fault: &str) -> bool {
    crate::diagnose(evidence).open.iter().any(|it| it.fault.0 == fault)
}

fn on_2016(lines: &str) -> Evidence {
    let mut it = evidence(Generation::Exchange2016, lines);
    it.accounts[0] = account("anna", Generation::Exchange2016);
    it
}

const REFUSED: &str = "
    1 cas cas1  OPTIONS=401+fe
    2 cas cas1  OPTIONS=401+fe logon:anna=401+fe logon:pilot=200
";

/// The likely wrong password leaves the states of the account open beside it, and none of them above it.
#[test]
fn a_wrong_password_has_rivals() {
    let refused = on_2016(REFUSED);
    assert_eq!(standing_of(&refused, "bad_password"), Some(Standing::Likely));
    for rival in [
        "account_locked",
        "account_disabled_or_expired",
        "password_must_change_or_expired",
        "workstation_or_logon_hours_restriction",
        "log_on_locally_right_missing",
    ] {
        assert!(is_open(&refused, rival), "{rival} is not open");
        assert_eq!(standing_of(&refused, rival), None, "{rival}");
    }
}

/// An account that is let in is neither locked nor disabled.
#[test]
fn an_accepted_account_has_no_such_state() {
    let accepted = on_2016(
        "1 cas cas1  OPTIONS=401+fe
         2 cas cas1  OPTIONS=401+fe logon:anna=200 logon:pilot=200",
    );
    let diagnosis = crate::diagnose(&accepted);
    assert!(diagnosis.ruled_out.iter().any(|it| it.fault.0 == "account_locked"));
}

/// A 401 of a CAS that passes on a back end's word is no refusal by two servers.
#[test]
fn a_proxied_refusal_is_no_divergence() {
    let mut seed = evidence(
        Generation::Exchange2010,
        "1 be  be03  OPTIONS=401:Basic
         1 cas cas1  OPTIONS=401:Basic
         2 be  be03  OPTIONS=401:Basic logon:anna=200
         3 cas cas1  OPTIONS=401:Basic logon:anna=401 logon:pilot=200",
    );
    let at = now() - Duration::from_hours(2);
    let text = "changed".to_owned();
    seed.target.events.push(Event { at, kind: EventKind::PasswordChange, text });
    assert_eq!(standing_of(&seed, "stale_cached_token_divergence"), None);
    assert!(!is_open(&seed, "stale_cached_token_divergence"));
}

/// A 403 that comes at once is not Exchange's word on a user.
#[test]
fn a_fast_403_says_nothing_of_the_user() {
    let fast = on_2016(
        "1 cas cas1  OPTIONS=401+fe
         2 cas cas1  OPTIONS=401+fe logon:anna=403+fe logon:pilot=200",
    );
    for fault in ["eas_disabled_for_user", "no_mailbox_or_mailuser", "well_known_or_admin_account"]
    {
        assert_eq!(standing_of(&fast, fault), None, "{fault}");
        assert!(!is_open(&fast, fault), "{fault}");
    }
}

/// A secret that is not ASCII is a warning about an account, never the verdict.
#[test]
fn a_secret_outside_ascii_is_never_the_verdict() {
    let mut quiet = on_2016("1 cas cas1  OPTIONS=401+fe");
    quiet.accounts[0].secret_is_ascii = false;
    let upn = UserName { form: NameForm::Upn, login: "anna@contoso.example".to_owned() };
    quiet.accounts[0].names = vec![upn];
    assert_eq!(standing_of(&quiet, "non_ascii_password_charset"), Some(Standing::Likely));
    assert_eq!(crate::diagnose(&quiet).verdict, parallax_model::Verdict::Undetermined);
}
