//! Logon pages in front of `ActiveSync`: one product at a time, and what they are not.

use expect_test::{Expect, expect};
use parallax_model::{Generation, Look};

use super::fields::with_fields;
use super::notation::{evidence, summary};

const CAS: &str = "1 cas cas1 OPTIONS=401 GET=401 OWA=302";

/// A page in front with these fields, to everything that is asked outside.
#[track_caller]
fn check(status: u16, fields: &[(&str, &str)], inside: &str, expected: Expect) {
    let lines = format!(
        "1 ext published OPTIONS={status} GET={status} OWA={status} nobody={status}
        {inside}"
    );
    let mut evidence = evidence(Generation::Exchange2010, &lines);
    with_fields(&mut evidence, "ext", |_| true, fields);
    expected.assert_eq(&summary(&evidence));
}

const ADFS: &str = "https://sts.contoso.example/adfs/ls/?SAMLRequest=fZJNT8";
const ADFS_OF_PROXY: &str = "https://sts.contoso.example/adfs/ls?realm=urn%3AAppProxy%3Acom";

#[test]
fn the_cookie_names_the_box_and_the_address_whom_it_asks() {
    let apm = ("Set-Cookie", "MRHSession=1; path=/");
    let confirmed = expect!["f5_apm_not_clientless confirmed"];
    check(302, &[("Location", "/my.policy"), apm], CAS, confirmed);
    check(302, &[("Location", ADFS), apm], CAS, expect!["f5_apm_not_clientless confirmed"]);
    let citrix = ("Set-Cookie", "NSC_TMAA=1; path=/");
    check(
        302,
        &[("Location", "/vpn/index.html"), citrix],
        CAS,
        expect!["netscaler_aaa_redirect_or_connector_block confirmed"],
    );
    // The cookie of a NetScaler that balances says nothing of a page that is not its own.
    check(
        302,
        &[("Location", ADFS_OF_PROXY), citrix],
        CAS,
        expect!["wap_adfs_preauth_on_eas confirmed"],
    );
    check(302, &[("Location", ADFS)], CAS, expect!["fba_intercepts_eas confirmed"]);
    check(
        302,
        &[("Location", "https://sts.contoso.example/adfs/ls/?wa=wsignin1.0")],
        CAS,
        expect!["wap_adfs_preauth_on_eas likely"],
    );
    check(
        302,
        &[
            ("Location", "https://login.microsoftonline.com/x/oauth2/authorize"),
            ("Set-Cookie", "AzureAppProxyAccessCookie_1=2"),
        ],
        CAS,
        expect!["entra_app_proxy_preauth likely"],
    );
}

/// Two products that both left a mark contradict each other: it is a logon page, and nobody knows whose.
#[test]
fn contradicting_marks_name_nobody() {
    check(
        302,
        &[
            ("Location", "/internal/login"),
            ("Set-Cookie", "AzureAppProxyAccessCookie_1=2"),
            ("Set-Cookie", "MSISAuth=3"),
        ],
        CAS,
        expect!["fba_intercepts_eas confirmed"],
    );
}

#[test]
fn exchange_and_its_own_server_are_no_gate() {
    let page = ("Location", "https://published.contoso.example/owa/auth/logon.aspx");
    check(
        302,
        &[page, ("X-FEServer", "EX1")],
        CAS,
        expect!["undetermined; unexplained ext -> published"],
    );
    // A client access server that answers the same: not the publishing layer's page.
    let mut evidence = evidence(
        Generation::Exchange2010,
        "1 ext published OPTIONS=302 GET=302
        1 cas cas1 OPTIONS=302 GET=302",
    );
    with_fields(&mut evidence, "ext", |_| true, &[page]);
    with_fields(&mut evidence, "cas", |_| true, &[page]);
    assert!(!summary(&evidence).contains("fba_intercepts_eas"), "{}", summary(&evidence));
}

/// Without a look from behind it is likely; a user that cannot exist and is refused as usual rules it out.
#[test]
fn what_speaks_for_it_and_against_it() {
    let fields = [("Location", "/internalsite/x"), ("Set-Cookie", "NLSessionCmail=1")];
    check(302, &fields, "", expect!["fba_intercepts_eas likely"]);
    let mut passes = evidence(
        Generation::Exchange2010,
        &format!("1 ext published OPTIONS=302 GET=302 OWA=302 nobody=401\n{CAS}"),
    );
    with_fields(&mut passes, "ext", |it| *it != Look::IMPOSSIBLE_USER, &fields);
    assert!(!summary(&passes).contains("fba_intercepts_eas"), "{}", summary(&passes));
}
