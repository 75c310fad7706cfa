//! One fault at a time, with the neighbour that differs in one fact.

use expect_test::{Expect, expect};
use parallax_model::{Generation, NameForm, UserName};

use super::notation::{account, evidence, summary};

#[track_caller]
fn check(generation: Generation, lines: &str, expected: Expect) {
    expected.assert_eq(&summary(&evidence(generation, lines)));
}

const INSIDE: &str = "
    1 cas cas1  OPTIONS=401 GET=401 OWA=302
";

#[test]
fn dns_outside() {
    check(
        Generation::Exchange2010,
        &format!("1 ext published dns=nxdomain {INSIDE}"),
        expect!["dns_host_nxdomain confirmed"],
    );
    check(
        Generation::Exchange2010,
        "1 ext published dns=nxdomain",
        expect!["dns_host_nxdomain likely"],
    );
}

#[test]
fn network_outside() {
    check(
        Generation::Exchange2010,
        &format!("1 ext published tcp=timeout {INSIDE}"),
        expect!["tcp_443_filtered confirmed"],
    );
    check(
        Generation::Exchange2010,
        &format!("1 ext published tcp=refused {INSIDE}"),
        expect!["tcp_443_refused confirmed"],
    );
    let nobody = "
        1 ext published tcp=timeout
        1 cas cas1      tcp=timeout";
    check(
        Generation::Exchange2010,
        nobody,
        expect!["undetermined; open tcp_443_filtered; unexplained cas -> cas1 ext -> published"],
    );
}

/// A silent vantage is no broken path, and its absence is not health.
#[test]
fn silence_is_no_evidence() {
    check(
        Generation::Exchange2010,
        &format!("1 ext published silent {INSIDE}"),
        expect!["undetermined"],
    );
}

#[test]
fn certificates_outside() {
    for (defect, expected) in [
        ("expired", expect!["tls_cert_expired confirmed"]),
        ("name", expect!["tls_cert_name_mismatch confirmed"]),
        ("leaf", expect!["tls_intermediate_missing confirmed"]),
    ] {
        check(
            Generation::Exchange2010,
            &format!("1 ext published tls={defect} OPTIONS=401 GET=401 {INSIDE}"),
            expected,
        );
    }
}

#[test]
fn a_proxy_that_minds_the_verb() {
    check(
        Generation::Exchange2010,
        &format!("1 ext published OPTIONS=405 GET=401 OWA=302 {INSIDE}"),
        expect!["proxy_strips_or_answers_options confirmed"],
    );
    let closed = format!("1 ext published OPTIONS=403 GET=403 OWA=302 {INSIDE}");
    check(Generation::Exchange2010, &closed, expect!["proxy_url_not_published likely"]);
    let with_control = format!("{closed} 2 ext published nobody=403");
    check(Generation::Exchange2010, &with_control, expect!["proxy_url_not_published confirmed"]);
    let passes_credentials = format!("{closed} 2 ext published nobody=401");
    check(
        Generation::Exchange2010,
        &passes_credentials,
        expect!["anonymous_403_instead_of_401 likely"],
    );
}

#[test]
fn basic_off_on_the_server() {
    let lines = "
        1 ext published  OPTIONS=401:Negotiate+NTLM GET=401:Negotiate+NTLM
        1 cas cas1       OPTIONS=401:Negotiate+NTLM GET=401:Negotiate+NTLM";
    check(Generation::Exchange2016, lines, expect!["vdir_basic_disabled confirmed"]);
}

/// The name's form matters only once a qualified form of the same secret was accepted.
#[test]
fn forms_of_a_name() {
    for (form, word, expected) in [
        (NameForm::Bare, "bare", expect!["default_domain_missing confirmed"]),
        (NameForm::Smtp, "mail", expect!["upn_mismatch confirmed"]),
    ] {
        let lines = format!(
            "1 ext published OPTIONS=401 GET=401 {INSIDE}
            2 cas cas1 OPTIONS=401 logon:anna=200
            3 cas cas1 OPTIONS=401 logon:anna:{word}=401"
        );
        let mut evidence = evidence(Generation::Exchange2010, &lines);
        evidence.accounts[0] = account("anna", Generation::Exchange2010);
        evidence.accounts[0].names.push(UserName { form, login: "anna.b@mail.example".to_owned() });
        expected.assert_eq(&summary(&evidence));
    }
}
