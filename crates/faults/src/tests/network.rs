//! Ports that open for some: a rule between two networks, a machine that is off, a handshake that stalls.

use expect_test::{Expect, expect};
use parallax_model::Generation;

use super::notation::{evidence, summary};

#[track_caller]
fn check(lines: &str, expected: Expect) {
    expected.assert_eq(&summary(&evidence(Generation::Exchange2010, lines)));
}

const BLOCKED: &str = "
    1 cas cas1 OPTIONS=401 GET=401
    1 cas be03 tcp=timeout";

#[test]
fn a_port_between_cas_and_back_end() {
    let beside = "1 be be03 OPTIONS=401:Negotiate+NTLM+Basic GET=401";
    let error = "2 cas cas1 OPTIONS=401 logon:anna=500-";
    check(
        &format!("{BLOCKED}\n{beside}\n{error}"),
        expect!["tcp_cas_to_be_port_blocked likely; open e2003_exchange_vdir_ssl_or_fba"],
    );
    // The users pass: whatever is closed is closed for the agent alone.
    let passes = "2 cas cas1 OPTIONS=401 logon:anna=200";
    check(
        &format!("{BLOCKED}\n{beside}\n{passes}"),
        expect!["undetermined; open e2003_exchange_vdir_ssl_or_fba; unexplained cas -> be03"],
    );
    // Nobody reaches it: it may be switched off.
    let off = "1 be be03 tcp=timeout";
    check(
        &format!("{BLOCKED}\n{off}\n{error}"),
        expect!["undetermined; unexplained be -> be03 cas -> be03 cas -> cas1"],
    );
}

/// A node that nobody reaches may be off; that the published name opens says nothing about it.
#[test]
fn a_silent_node_is_no_filtered_port() {
    check(
        "1 ext published OPTIONS=401 GET=401
         1 cas cas1 tcp=timeout",
        expect!["tcp_443_filtered likely"],
    );
}
