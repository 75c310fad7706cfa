//! Every mistake that a policy file can hold, all told at once, and who may write it.

use std::os::unix::fs::PermissionsExt as _;

use super::super::*;
use super::file;

#[track_caller]
fn check_rejected(text: &str, wanted: &[&str]) {
    let error = file(text).expect_err("mistakes");
    let mut lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, wanted);
}

#[test]
fn every_mistake_of_a_file_at_once() {
    check_rejected(
        "zone = 'dmz'
allow_all = true
[[hosts]]
name = 'https://x'
[[hosts]]
name = 'a'
ports = [80]
[[hosts]]
name = 'A.'
prot = 1
path = 'eas'
addresses = ['10.0.0.7', 'ten', '::ffff:10.0.0.7', '127.0.0.1']
[[hosts]]
name = '0x7f.1'
ports = []
path = '/a/%2E%2e/b'
[[hosts]]
name = 'b\u{fc}cher.example'
path = '/a b'
[[hosts]]
name = 'a..b'
[[hosts]]
name = '169.254.169.254'
[[hosts]]
name = 'c.example'
ports = [443, 444]
path = '/eas?x'
",
        &[
            "`allow_all`: is unknown; expected `zone` or `hosts`",
            "`hosts[0].name`: `https://x` is no host; give the name or address of the URL, without port",
            "`hosts[1].ports`: 80 is not permitted; in this zone give 443",
            "`hosts[2].addresses[1]`: `ten` is no address; give an IPv4 or IPv6 literal, as 10.0.0.7",
            "`hosts[2].addresses[2]`: `::ffff:10.0.0.7` is there twice",
            "`hosts[2].addresses[3]`: 127.0.0.1 is never dialled: loopback, link-local, metadata, multicast and broadcast addresses cannot be permitted",
            "`hosts[2].name`: `a` is there twice",
            "`hosts[2].path`: `eas` is no path; give one that begins with `/`",
            "`hosts[2].prot`: is unknown; expected one of `name`, `ports`, `path`, `addresses`",
            "`hosts[3].name`: `0x7f.1` ends in a number; give an address as 10.0.0.7",
            "`hosts[3].path`: `/a/%2E%2e/b` goes up or stays; give the path where it leads",
            "`hosts[3].ports`: is empty; leave it out for 443",
            "`hosts[4].name`: `b\u{fc}cher.example` is not as DNS has it; give the form that begins with xn--",
            "`hosts[4].path`: `/a b` is no path; give one that begins with `/`",
            "`hosts[5].name`: `a..b` is no host; give the name or address of the URL, without port",
            "`hosts[6].name`: 169.254.169.254 is never dialled: loopback, link-local, metadata, multicast and broadcast addresses cannot be permitted",
            "`hosts[7].path`: `/eas?x` is no path; give one that begins with `/`",
            "`hosts[7].ports`: 444 is not permitted; in this zone give 443",
        ],
    );
}

#[test]
fn what_is_missing() {
    let lines = file("hosts = 3").expect_err("mistakes").to_string();
    assert!(lines.contains("`zone`: is required"), "{lines}");
    check_rejected(
        "zone = 'internal'",
        &["`hosts`: is required: zones other than external probe named hosts only"],
    );
    check_rejected(
        "zone = 'moon'",
        &["`zone`: `moon` is no zone; give `external`, `dmz`, `internal` or `backend`"],
    );
    check_rejected("", &["`zone`: is required: `external`, `dmz`, `internal` or `backend`"]);
}

#[test]
fn zone_external_names_public_addresses_only() {
    check_rejected(
        "zone = 'external'\n[[hosts]]\nname = 'FD00::1'\n[[hosts]]\nname = 'a.example'\naddresses = ['10.0.0.1']",
        &[
            "`hosts[0].name`: fd00::1 is private; zone external dials public addresses",
            "`hosts[1].addresses[0]`: 10.0.0.1 is private; zone external dials public addresses",
        ],
    );
}

#[test]
fn more_than_a_file_may_hold() {
    let many = |count: usize| {
        (0..count).fold("zone = 'dmz'\n".to_owned(), |text, it| {
            text + &format!("[[hosts]]\nname = 'h{it}.example'\n")
        })
    };
    assert!(file(&many(1000)).is_ok());
    check_rejected(&many(1001), &["`hosts`: has more than 1000 entries"]);
    let addresses: Vec<String> = (0..65).map(|it| format!("'10.0.0.{it}'")).collect();
    let text =
        format!("zone = 'dmz'\n[[hosts]]\nname = 'a'\naddresses = [{}]", addresses.join(", "));
    check_rejected(&text, &["`hosts[0].addresses`: has more than 64 entries"]);
    let long = format!("zone = 'external' # {}", "x".repeat(1024 * 1024));
    let error = file(&long).expect_err("too long");
    assert!(
        matches!(&error, PolicyError::Unreadable { source, .. } if source.to_string().contains("1 MiB"))
    );
}

/// Writes a good policy with this mode into a folder with that mode, and reads it.
fn with_modes(file: u32, folder: u32) -> Result<Policy, PolicyError> {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("policy.toml");
    std::fs::write(&path, "zone = 'external'").expect("written");
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    set(&path, file);
    set(home.path(), folder);
    Policy::read(&path)
}

#[test]
fn a_file_that_anybody_may_change_is_no_policy() {
    for (file, folder) in [(0o644, 0o755), (0o600, 0o700), (0o664, 0o775), (0o644, 0o1777)] {
        with_modes(file, folder).expect("good");
    }
    let error = with_modes(0o646, 0o755).expect_err("everybody may write it").to_string();
    assert!(error.contains("policy.toml has mode 0646"), "{error}");
    assert!(error.contains("chmod o-w"), "{error}");
    let error = with_modes(0o644, 0o757).expect_err("everybody may replace it").to_string();
    assert!(error.contains("has mode 0757") && !error.contains("policy.toml"), "{error}");
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Policy::read(folder.path()).expect_err("a folder");
    assert!(matches!(error, PolicyError::Unreadable { .. }), "{error}");
    let odd = folder.path().join("policy.toml");
    std::fs::write(&odd, [0xff, 0xfe]).expect("written");
    let error = Policy::read(&odd).expect_err("not text");
    assert!(matches!(error, PolicyError::Unreadable { .. }), "{error}");
}

#[test]
fn mistakes_are_told_one_a_line_in_the_words_of_the_file() {
    let text =
        "zone = 5\n[[hosts]]\nname = 'a.example'\nports = [70000]\n[[hosts]]\nname = ['x']\n";
    let error = file(text).expect_err("mistakes").to_string();
    assert_eq!(error.lines().count(), 3, "{error}");
    for word in ["struct", "sequence", "u16", "string", "integer", "invalid", "RawHost"] {
        assert!(!error.contains(word), "{word}: {error}");
    }
    let error = file("zone = 'internal'\nhosts = [7]").expect_err("mistakes").to_string();
    assert!(!error.contains("struct"), "{error}");
}
