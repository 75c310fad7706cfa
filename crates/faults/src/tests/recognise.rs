//! Which boxes are named, by what, and what is not concluded.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use parallax_model::{Evidence, Generation, Kind, Look};

use super::fields::with_fields;
use super::notation::evidence;

/// One line per box: the path, what it is, and the marks.
fn told(evidence: &Evidence) -> String {
    let mut text = String::new();
    for it in crate::diagnose(evidence).recognised {
        let kind = match it.kind {
            Kind::Egress => "egress",
            Kind::Publisher => "publisher",
            Kind::Server => "server",
        };
        let by: Vec<&str> = it.by.iter().map(|it| it.value.as_str()).collect();
        writeln!(text, "{}: {kind} {} <- {}", it.path, it.what, by.join("; ")).expect("a string");
    }
    text
}

#[track_caller]
fn check(generation: Generation, fields: &[(&str, &str, &str)], expected: Expect) {
    let mut evidence = evidence(generation, "1 cas cas1 OPTIONS=401 OWA=302 logon:pilot=200");
    for (look, name, value) in fields {
        let is_such = |it: &Look| match *look {
            "OWA" => *it == Look::OWA,
            "logon" => it.is_logon(),
            _ => *it == Look::OPTIONS,
        };
        with_fields(&mut evidence, "cas", is_such, &[(name, value)]);
    }
    expected.assert_eq(&told(&evidence));
}

#[test]
fn a_declared_generation_and_an_exact_build_are_one_server() {
    check(
        Generation::Exchange2010,
        &[("logon", "MS-Server-ActiveSync", "14.3"), ("OWA", "X-OWA-Version", "14.3.513.0")],
        expect![[r"
            cas -> cas1: server Exchange 2010 14.3.513.0 <- declared: cas1: Exchange 2010; X-OWA-Version: 14.3.513.0; MS-Server-ActiveSync: 14.3
        "]],
    );
}

#[test]
fn what_contradicts_the_declaration_stands_beside_it() {
    check(
        Generation::Exchange2010,
        &[("OPTIONS", "X-FEServer", "EX16"), ("OWA", "X-OWA-Version", "15.1.2507.6")],
        expect![[r"
            cas -> cas1: server Exchange 2010 <- declared: cas1: Exchange 2010; Server: Microsoft-IIS/7.5
            cas -> cas1: server Exchange 2016 15.1.2507.6 <- X-OWA-Version: 15.1.2507.6; X-FEServer: EX16
        "]],
    );
}

/// 15.2 is 2019 and the Subscription Edition alike; the build parts them.
#[test]
fn the_subscription_edition_by_its_build() {
    check(
        Generation::SubscriptionEdition,
        &[("logon", "MS-Server-ActiveSync", "15.2")],
        expect![[r"
            cas -> cas1: server Exchange SE 15.2 <- declared: cas1: Exchange SE; MS-Server-ActiveSync: 15.2
            cas -> cas1: server IIS 7.5 <- Server: Microsoft-IIS/7.5
        "]],
    );
    check(
        Generation::Exchange2019,
        &[("OWA", "X-OWA-Version", "15.2.2562.17")],
        expect![[r"
            cas -> cas1: server Exchange 2019 <- declared: cas1: Exchange 2019
            cas -> cas1: server Exchange SE 15.2.2562.17 <- X-OWA-Version: 15.2.2562.17
            cas -> cas1: server IIS 7.5 <- Server: Microsoft-IIS/7.5
        "]],
    );
}

/// A 2003 mailbox behind a newer CAS shows its own version.
#[test]
fn two_servers_behind_one_path() {
    check(
        Generation::Exchange2010,
        &[("OWA", "X-OWA-Version", "14.3.513.0"), ("logon", "MS-Server-ActiveSync", "6.5.7638.1")],
        expect![[r"
            cas -> cas1: server Exchange 2003 6.5.7638.1 <- MS-Server-ActiveSync: 6.5.7638.1
            cas -> cas1: server Exchange 2010 14.3.513.0 <- declared: cas1: Exchange 2010; X-OWA-Version: 14.3.513.0; Server: Microsoft-IIS/7.5
        "]],
    );
}

/// Cookies are named and never quoted; Outlook Web Access has a `cadata` of its own; two products may share one path.
#[test]
fn publishing_layers_by_their_marks() {
    check(
        Generation::Exchange2010,
        &[
            ("OPTIONS", "Set-Cookie", "BIGipServerpool=1677787402.47873.0000; path=/"),
            ("OPTIONS", "Via", "1.1 edge7"),
            ("OWA", "Set-Cookie", "cadata=secret; path=/"),
            ("logon", "Set-Cookie", "NSC_TMAA=secret; path=/"),
        ],
        expect![[r"
            cas -> cas1: publisher Citrix NetScaler <- cookie NSC_TMAA
            cas -> cas1: publisher F5 BIG-IP <- cookie BIGipServerpool; Via: 1.1 edge7
            cas -> cas1: server Exchange 2010 <- declared: cas1: Exchange 2010; Server: Microsoft-IIS/7.5
        "]],
    );
}

#[test]
fn another_product_imitates_a_version() {
    let mut evidence = evidence(Generation::Exchange2010, "1 cas cas1 OPTIONS=401 logon:pilot=200");
    let fields = [("X-Z-Push-Version", "2.6.4+0"), ("MS-Server-ActiveSync", "14.0")];
    with_fields(&mut evidence, "cas", |_| true, &fields);
    expect![[r"
        cas -> cas1: server Z-Push 2.6.4+0 <- X-Z-Push-Version: 2.6.4+0
    "]]
    .assert_eq(&told(&evidence));
}

/// A silent path gives nothing away, not even what is declared of it.
#[test]
fn silence_names_nobody() {
    let evidence = evidence(Generation::Exchange2010, "1 cas cas1 silent");
    expect![[""]].assert_eq(&told(&evidence));
}
