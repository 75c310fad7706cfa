//! The seed problem and its look-alikes, step by step.

use expect_test::{Expect, expect};
use parallax_model::{Event, EventKind, Generation};
use std::time::Duration;

use super::notation::{evidence, now, summary};

#[track_caller]
fn check(lines: &str, expected: Expect) {
    let summary = summary(&evidence(Generation::Exchange2010, lines));
    expected.assert_eq(&summary.replace(RIVALS, "RIVALS"));
}

/// What a refused password may be besides: one 401 for all of them.
const RIVALS: &str = concat!(
    "log_on_locally_right_missing account_disabled_or_expired account_locked ",
    "password_must_change_or_expired workstation_or_logon_hours_restriction"
);

const ROUND_1: &str = "
    1 ext published  OPTIONS=401 GET=401 OWA=302
    1 dmz published  OPTIONS=401 GET=401 OWA=302
    1 dmz cas1       OPTIONS=401 GET=401 OWA=302
    1 cas cas1       OPTIONS=401 GET=401 OWA=302
    1 be  be03       OPTIONS=401 GET=401
";

/// Without a logon nothing is known but that it may be the seed, and what would tell.
#[test]
fn the_first_round_leaves_it_open() {
    check(
        ROUND_1,
        expect!["undetermined; open e2003_be_iwa_missing e2003_exchange_vdir_ssl_or_fba"],
    );
}

#[test]
fn three_logons_confirm_it() {
    let lines = format!(
        "{ROUND_1}
        2 be  be03  OPTIONS=401 logon:anna=200
        2 cas cas1  OPTIONS=401 logon:pilot=200
        3 cas cas1  OPTIONS=401 logon:anna=401"
    );
    check(&lines, expect!["e2003_be_iwa_missing confirmed"]);
}

#[test]
fn without_the_newer_account_it_is_likely() {
    let lines = format!(
        "{ROUND_1}
        2 be  be03  OPTIONS=401 logon:anna=200
        3 cas cas1  OPTIONS=401 logon:anna=401"
    );
    check(&lines, expect!["e2003_be_iwa_missing likely"]);
}

/// The back end took a cached token after the password was changed: no proof, so no accusation.
#[test]
fn a_cached_token_is_no_proof() {
    let lines = format!(
        "{ROUND_1}
        2 be  be03  OPTIONS=401 logon:anna=200
        2 cas cas1  OPTIONS=401 logon:pilot=200
        3 cas cas1  OPTIONS=401 logon:anna=401"
    );
    let mut evidence = evidence(Generation::Exchange2010, &lines);
    let at = now() - Duration::from_mins(10);
    evidence.target.events.push(Event {
        at,
        kind: EventKind::PasswordChange,
        text: "rotated".to_owned(),
    });
    expect!["undetermined; open e2003_be_iwa_missing bad_password RIVALS; unexplained cas -> cas1"]
        .assert_eq(&summary(&evidence).replace(RIVALS, "RIVALS"));
}

/// A quick 503 is a CAS in back-off: unknown, ask again, never a denial.
#[test]
fn a_cas_in_back_off_leaves_it_open() {
    let lines = format!(
        "{ROUND_1}
        2 be  be03  OPTIONS=401 logon:anna=200
        3 cas cas1  OPTIONS=401 logon:anna=503"
    );
    check(
        &lines,
        expect![
            "undetermined; open e2003_be_iwa_missing bounded_backoff_503; unexplained cas -> cas1"
        ],
    );
}

#[test]
fn ntlm_without_negotiate_is_the_neighbour() {
    let lines = "
        1 ext published  OPTIONS=401 GET=401 OWA=302
        1 cas cas1       OPTIONS=401 GET=401 OWA=302
        1 be  be03       OPTIONS=401:NTLM+Basic GET=401:NTLM+Basic
        2 be  be03       OPTIONS=401:NTLM+Basic logon:anna=200
        2 cas cas1       OPTIONS=401 logon:pilot=200
        3 cas cas1       OPTIONS=401 logon:anna=401";
    check(lines, expect!["e2003_negotiate_provider_missing confirmed"]);
}

#[test]
fn cured_is_healthy() {
    let lines = "
        1 ext published  OPTIONS=401 GET=401 OWA=302
        1 cas cas1       OPTIONS=401 GET=401 OWA=302
        1 be  be03       OPTIONS=401:Negotiate+NTLM+Basic GET=401:Negotiate+NTLM+Basic
        2 be  be03       OPTIONS=401:Negotiate+NTLM+Basic logon:anna=200
        3 ext published  OPTIONS=401 logon:anna=200";
    check(lines, expect!["healthy"]);
}

/// The back end itself refuses: a password question, and only a second account there makes it likely.
#[test]
fn a_refusal_at_the_back_end_is_about_the_password() {
    let lines = format!(
        "{ROUND_1}
        2 be  be03  OPTIONS=401 logon:anna=401"
    );
    check(&lines, expect!["undetermined; open bad_password RIVALS; unexplained be -> be03"]);
    let lines = format!(
        "{lines}
        3 be  be03  OPTIONS=401 logon:pilot=200"
    );
    check(&lines, expect!["bad_password likely; open RIVALS"]);
}
