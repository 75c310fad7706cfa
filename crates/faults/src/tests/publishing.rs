//! The publishing layer: what worlds do not show, above all when to say nothing.

use expect_test::{Expect, expect};
use parallax_model::Generation;

use super::notation::{evidence, summary};

#[track_caller]
fn check(lines: &str, expected: Expect) {
    let summary = summary(&evidence(Generation::Exchange2016, lines));
    // What else is open is other faults' matter.
    expected.assert_eq(summary.split(';').next().unwrap_or_default());
}

const INSIDE: &str = "
    1 cas cas1  OPTIONS=401+fe GET=401+fe OWA=302
";

/// A 502 is the device's own word only while Exchange, asked directly, says something else; and an IIS that signs it is no
/// plain gateway.
#[test]
fn a_gateway_without_its_server() {
    let outside = "1 ext published OPTIONS=502 GET=502 OWA=502";
    check(&format!("{outside}{INSIDE}"), expect!["proxy_upstream_unreachable likely"]);
    check(&format!("{outside}\n1 cas cas1 OPTIONS=502 GET=502"), expect!["undetermined"]);
    check(outside, expect!["undetermined"]);
    // The verb alone is refused: the way to the server is open.
    check(&format!("1 ext published OPTIONS=502 GET=401 OWA=302{INSIDE}"), expect!["undetermined"]);
}

/// The same secret has to be accepted by the same server.
#[test]
fn a_credential_that_is_lost() {
    let outside = "
        1 ext published OPTIONS=401+fe GET=401+fe OWA=302
        3 ext published OPTIONS=401+fe logon:pilot=401+fe";
    check(
        &format!("{outside}{INSIDE} 2 cas cas1 OPTIONS=401+fe logon:pilot=200+fe"),
        expect!["proxy_strips_authorization confirmed"],
    );
    check(
        &format!("{outside}{INSIDE} 2 cas cas1 OPTIONS=401 logon:pilot=200"),
        expect!["undetermined"],
    );
    check(
        &format!("{outside}{INSIDE} 2 cas cas1 OPTIONS=401+fe logon:pilot=401+fe"),
        expect!["undetermined"],
    );
    check(&format!("{outside}{INSIDE}"), expect!["undetermined"]);
}

/// A filter for the outside and a balancer's choice among sound servers are no bad member.
#[test]
fn two_vantages_are_no_pool() {
    let lines = "
        1 ext published OPTIONS=500 GET=500
        1 dmz published OPTIONS=401+fe GET=401+fe";
    check(&format!("{lines}{INSIDE}"), expect!["undetermined"]);
    // One name on a bad answer and on a sound one: the server had a bad moment.
    let moment = "
        1 ext published OPTIONS=500+fe GET=401+fe
        2 ext published OPTIONS=401+fe GET=401+fe";
    check(&format!("{moment}{INSIDE}"), expect!["undetermined"]);
}
