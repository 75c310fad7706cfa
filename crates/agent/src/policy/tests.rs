//! The policy as tables: who may look at what, and what a file may say.

use std::io::Write as _;

use super::*;

fn file(text: &str) -> Result<Policy, PolicyError> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    Policy::read(file.path())
}

/// Asks `scheme://host:port/path at address`; an empty address is not known yet.
#[track_caller]
fn check(policy: &Policy, url: &str, address: &str, wanted: &str) {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (authority, path) = rest.split_once('/').expect("a path");
    let (host, port) = authority.rsplit_once(':').expect("a port");
    let path = format!("/{path}");
    let ask = Ask {
        host,
        door: Door { is_https: scheme == "https", port: port.parse().expect("a port") },
        method: Method::Options,
        path: &path,
        address: address.parse().ok(),
    };
    let found = policy.permits(&ask).map_or_else(|rule| rule.0, |()| "yes".to_owned());
    assert_eq!(found, wanted, "{url} at {address}");
}

const EAS: &str = "Microsoft-Server-ActiveSync";

#[test]
fn external_goes_to_public_addresses_of_any_host() {
    let policy = file("zone = 'external'").expect("good");
    let mail = format!("https://mail.example:443/{EAS}");
    check(&policy, &mail, "", "yes");
    check(&policy, &mail, "203.0.113.10", "yes");
    check(&policy, &mail, "2001:db8::10", "yes");
    let private = |it: &str| format!("{it} is private; zone external dials public addresses");
    check(&policy, &mail, "10.0.0.1", &private("10.0.0.1"));
    check(&policy, &mail, "::ffff:10.0.0.1", &private("10.0.0.1"));
    check(&policy, &mail, "fd00::1", &private("fd00::1"));
    check(&policy, &mail, "127.0.0.1", "127.0.0.1 is loopback, link-local or multicast");
    check(
        &policy,
        &mail,
        "169.254.169.254",
        "169.254.169.254 is loopback, link-local or multicast",
    );
    check(
        &policy,
        &format!("http://mail.example:80/{EAS}"),
        "",
        "http to port 80 of `mail.example` is not permitted by the policy",
    );
    check(
        &policy,
        &format!("https://mail.example:8443/{EAS}"),
        "",
        "https to port 8443 of `mail.example` is not permitted by the policy",
    );
}

#[test]
fn external_may_be_narrowed_to_hosts() {
    let policy = file("zone = 'external'\n[[hosts]]\nname = 'mail.example'").expect("good");
    check(&policy, &format!("https://Mail.Example.:443/{EAS}"), "203.0.113.10", "yes");
    check(
        &policy,
        &format!("https://other.example:443/{EAS}"),
        "203.0.113.10",
        "host `other.example` is not named in the policy",
    );
}

#[test]
fn internal_goes_to_named_hosts_at_named_ports() {
    let policy = file(
        "zone = 'internal'\n[[hosts]]\nname = 'cas1.corp.example'\n[[hosts]]\nname = 'be03.corp.example'\nports = [80, 444]",
    )
    .expect("good");
    check(&policy, &format!("https://cas1.corp.example:443/{EAS}"), "10.0.0.7", "yes");
    check(&policy, &format!("http://be03.corp.example:80/{EAS}"), "10.0.0.8", "yes");
    check(&policy, &format!("https://be03.corp.example:444/{EAS}"), "", "yes");
    let not = |what: &str| format!("{what} is not permitted by the policy");
    let url = format!("http://cas1.corp.example:80/{EAS}");
    check(&policy, &url, "", &not("http to port 80 of `cas1.corp.example`"));
    let url = format!("https://be03.corp.example:443/{EAS}");
    check(&policy, &url, "", &not("https to port 443 of `be03.corp.example`"));
    let url = format!("https://be03.corp.example:80/{EAS}");
    check(&policy, &url, "", &not("https to port 80 of `be03.corp.example`"));
    let url = format!("https://cas1.corp.example:443/{EAS}");
    check(&policy, &url, "127.0.0.1", "127.0.0.1 is loopback, link-local or multicast");
    let url = format!("https://dc1.corp.example:443/{EAS}");
    check(&policy, &url, "10.0.0.9", "host `dc1.corp.example` is not named in the policy");
}

#[test]
fn only_the_known_paths_and_a_named_one() {
    let policy =
        file("zone = 'backend'\n[[hosts]]\nname = 'be1'\npath = '/eas-pilot'").expect("good");
    for path in OTHER_PATHS.iter().chain(&["/microsoft-server-activesync", "/eas-pilot"]) {
        check(&policy, &format!("https://be1:443{path}"), "10.0.0.1", "yes");
    }
    for path in ["/", "/ecp/", "/owa/auth.owa", "/Microsoft-Server-ActiveSync/x", "/EAS-pilot"] {
        let wanted = format!("path `{path}` is not permitted by the policy");
        check(&policy, &format!("https://be1:443{path}"), "10.0.0.1", &wanted);
    }
}

#[test]
fn without_a_file_everything_is_denied() {
    let policy = Policy::read(std::path::Path::new("/nonexistent/policy.toml")).expect("no file");
    let why = "there is no policy file /nonexistent/policy.toml, so everything is denied";
    check(&policy, &format!("https://mail.example:443/{EAS}"), "203.0.113.10", why);
    assert_eq!(policy.denies_everything(), Some(why));
}

#[test]
fn loopback_under_world_alone() {
    let host = NamedHost {
        doors: BTreeSet::from([Door { is_https: false, port: 8080 }]),
        ..NamedHost::new("be03")
    };
    let url = format!("http://be03:8080/{EAS}");
    let world = Policy::world(Zone::External, vec![host.clone()]);
    check(&world, &url, "127.0.0.1", "yes");
    check(&world, &url, "10.0.0.1", "10.0.0.1 is private; zone external dials public addresses");
    let embedded = Policy::embedded(Zone::Internal, vec![host]);
    check(&embedded, &url, "10.0.0.1", "yes");
    check(&embedded, &url, "127.0.0.1", "127.0.0.1 is loopback, link-local or multicast");
    assert!(file("zone = 'internal'\nloopback = true\n[[hosts]]\nname = 'a'").is_err());
}

#[test]
fn every_mistake_of_a_file_at_once() {
    let error = file(
        "zone = 'dmz'\nallow_all = true\n[[hosts]]\nname = 'https://x'\n[[hosts]]\nname = 'a'\nports = [80]\n[[hosts]]\nname = 'A'\nprot = 1\npath = 'eas'",
    )
    .expect_err("mistakes");
    let mut lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "`allow_all`: is unknown; expected `zone` or `hosts`",
            "`hosts[0].name`: `https://x` is no host; give the name or address of the URL, without port",
            "`hosts[1].ports`: 80 is not permitted; in this zone give 443",
            "`hosts[2].name`: `a` is there twice",
            "`hosts[2].path`: `eas` is no path; give one that begins with `/`",
            "`hosts[2].prot`: is unknown; expected one of `name`, `ports`, `path`",
        ]
    );
    let lines = file("hosts = 3").expect_err("mistakes").to_string();
    assert!(lines.contains("`zone`: is required"), "{lines}");
    assert!(file("zone = 'internal'").expect_err("no hosts").to_string().contains("`hosts`"));
}

#[test]
fn the_template_is_a_policy() {
    for zone in [Zone::External, Zone::Dmz, Zone::Internal, Zone::Backend] {
        let policy = file(&policy_template(zone, &["mail.corp.example"])).expect("good");
        check(&policy, &format!("https://mail.corp.example:443/{EAS}"), "198.51.100.1", "yes");
        assert_eq!(policy.sha256().len(), 64);
    }
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
