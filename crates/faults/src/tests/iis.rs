//! The virtual directory: traps that the worlds do not show.

use expect_test::{Expect, expect};
use parallax_model::Generation;

use super::notation::{evidence, summary};

#[track_caller]
fn check(lines: &str, expected: Expect) {
    expected.assert_eq(&summary(&evidence(Generation::Exchange2016, lines)));
}

/// One node that was seen with Basic and without it is neither "one of several" nor the whole service for certain.
#[test]
fn a_node_that_contradicts_itself_is_not_confirmed() {
    check(
        "1 dmz cas1 OPTIONS=401:NTLM
         1 cas cas1 OPTIONS=401:Basic",
        expect!["vdir_basic_disabled likely"],
    );
}

/// A directory that nobody can reach on one way is not gone where `GET` is asked for a logon.
#[test]
fn the_verb_decides_between_filter_and_missing_directory() {
    check("1 cas cas1 OPTIONS=404 GET=401:Basic OWA=302", expect!["url_filter_blocks confirmed"]);
    check("1 cas cas1 OPTIONS=404 GET=404 OWA=302", expect!["vdir_missing_or_corrupt likely"]);
    // A server on which nothing is served has another trouble.
    let nothing = "1 cas cas1 OPTIONS=404 GET=404 OWA=404";
    let diagnosis = crate::diagnose(&evidence(Generation::Exchange2016, nothing));
    assert!(diagnosis.ruled_out.iter().any(|it| it.fault.0 == "vdir_missing_or_corrupt"));
}

/// Outside a redirect to `/owa` of the server's own is likely; the same server that asks for a logon when dialled directly
/// rules it out.
#[test]
fn the_server_dialled_directly_has_the_last_word() {
    let ruled_out = crate::diagnose(&evidence(
        Generation::Exchange2016,
        "1 ext published OPTIONS=404+fe GET=401:Basic
         1 cas cas1      OPTIONS=401+fe GET=401",
    ));
    assert!(ruled_out.ruled_out.iter().any(|it| it.fault.0 == "url_filter_blocks"));
}
