//! The policy as tables: who may look at what, and what a file may say.

use std::io::Write as _;

use super::*;

mod mistakes;
mod narrowing;

fn file(text: &str) -> Result<Policy, PolicyError> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    Policy::read(file.path())
}

/// Asks `scheme://host:port/path` at an address that a name server gave; an empty one is not known yet.
#[track_caller]
fn check(policy: &Policy, url: &str, address: &str, wanted: &str) {
    check_from(policy, url, address, Origin::Resolved, wanted);
}

#[track_caller]
fn check_from(policy: &Policy, url: &str, address: &str, origin: Origin, wanted: &str) {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (authority, path) = rest.split_once('/').expect("a path");
    let (host, port) = authority.rsplit_once(':').expect("a port");
    let path = format!("/{path}");
    let ask = Ask {
        host,
        door: Door { is_https: scheme == "https", port: port.parse().expect("a port") },
        method: Method::Options,
        path: &path,
        destination: address.parse().ok().map(|address| Destination { address, origin }),
    };
    let found = policy.permits(&ask).map_or_else(|rule| rule.0, |()| "yes".to_owned());
    assert_eq!(found, wanted, "{url} at {address}");
}

const LOOPBACK: &str = "address.loopback: 127.0.0.1 is loopback; never dialled";
const EAS: &str = "Microsoft-Server-ActiveSync";

#[test]
fn external_goes_to_public_addresses_of_any_host() {
    let policy = file("zone = 'external'").expect("good");
    let mail = format!("https://mail.example:443/{EAS}");
    check(&policy, &mail, "", "yes");
    check(&policy, &mail, "203.0.113.10", "yes");
    check(&policy, &mail, "2001:db8::10", "yes");
    let private =
        |it: &str| format!("zone.private: {it} is private; zone external dials public addresses");
    check(&policy, &mail, "10.0.0.1", &private("10.0.0.1"));
    check(&policy, &mail, "::ffff:10.0.0.1", &private("10.0.0.1"));
    let stands_for = "64:ff9b::a00:1 stands for 10.0.0.1, which";
    check(&policy, &mail, "64:ff9b::a00:1", &private(stands_for));
    check(&policy, &mail, "fd00::1", &private("fd00::1"));
    check(&policy, &mail, "127.0.0.1", LOOPBACK);
    check(
        &policy,
        &mail,
        "169.254.169.254",
        "address.link_local: 169.254.169.254 is link-local; never dialled",
    );
    check(
        &policy,
        &format!("http://mail.example:80/{EAS}"),
        "",
        "zone.ports: http to port 80 of `mail.example` is not permitted; zone external dials https to 443",
    );
    check(
        &policy,
        &format!("https://mail.example:8443/{EAS}"),
        "",
        "zone.ports: https to port 8443 of `mail.example` is not permitted; zone external dials https to 443",
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
        "hosts.name: host `other.example` is not named in the policy",
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
    let not = |what: &str| format!("hosts.ports: {what} is not permitted by the policy");
    let url = format!("http://cas1.corp.example:80/{EAS}");
    check(&policy, &url, "", &not("http to port 80 of `cas1.corp.example`"));
    let url = format!("https://be03.corp.example:443/{EAS}");
    check(&policy, &url, "", &not("https to port 443 of `be03.corp.example`"));
    let url = format!("https://be03.corp.example:80/{EAS}");
    check(&policy, &url, "", &not("https to port 80 of `be03.corp.example`"));
    let url = format!("https://cas1.corp.example:443/{EAS}");
    check(&policy, &url, "127.0.0.1", LOOPBACK);
    let url = format!("https://dc1.corp.example:443/{EAS}");
    check(
        &policy,
        &url,
        "10.0.0.9",
        "hosts.name: host `dc1.corp.example` is not named in the policy",
    );
}

#[test]
fn only_the_known_paths_and_a_named_one() {
    let policy =
        file("zone = 'backend'\n[[hosts]]\nname = 'be1'\npath = '/eas-pilot'").expect("good");
    for path in OTHER_PATHS.iter().chain(&["/microsoft-server-activesync", "/eas-pilot"]) {
        check(&policy, &format!("https://be1:443{path}"), "10.0.0.1", "yes");
    }
    for path in ["/", "/ecp/", "/owa/auth.owa", "/Microsoft-Server-ActiveSync/x", "/EAS-pilot"] {
        let wanted = format!("hosts.path: path `{path}` is not permitted by the policy");
        check(&policy, &format!("https://be1:443{path}"), "10.0.0.1", &wanted);
    }
}

#[test]
fn the_mailboxes_of_a_back_end_are_asked_for_from_inside_alone() {
    let refused = "hosts.path: path `/Exchange/` is not permitted by the policy";
    for (zone, address, wanted) in [
        ("external", "203.0.113.10", refused),
        ("dmz", "10.0.0.1", refused),
        ("internal", "10.0.0.1", "yes"),
        ("backend", "10.0.0.1", "yes"),
    ] {
        let policy = file(&format!("zone = '{zone}'\n[[hosts]]\nname = 'be1'")).expect("good");
        check(&policy, "https://be1:443/Exchange/", address, wanted);
    }
}

#[test]
fn without_a_file_everything_is_denied() {
    let policy = Policy::read(std::path::Path::new("/nonexistent/policy.toml")).expect("no file");
    let why = "there is no policy file /nonexistent/policy.toml, so everything is denied";
    let refusal = format!("policy.absent: {why}");
    check(&policy, &format!("https://mail.example:443/{EAS}"), "203.0.113.10", &refusal);
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
    let private = "zone.private: 10.0.0.1 is private; zone external dials public addresses";
    check(&world, &url, "10.0.0.1", private);
    let embedded = Policy::embedded(Zone::Internal, vec![host]);
    check(&embedded, &url, "10.0.0.1", "yes");
    check(&embedded, &url, "127.0.0.1", LOOPBACK);
    assert!(file("zone = 'internal'\nloopback = true\n[[hosts]]\nname = 'a'").is_err());
}

#[test]
fn an_address_that_only_the_task_names_has_to_be_listed() {
    let policy = file(
        "zone = 'internal'\n[[hosts]]\nname = 'mail.example'\naddresses = ['10.0.1.20', 'FD00:0::7']\n[[hosts]]\nname = '10.0.0.5'",
    )
    .expect("good");
    let mail = format!("https://mail.example:443/{EAS}");
    check(&policy, &mail, "10.0.9.9", "yes");
    for listed in ["10.0.1.20", "::ffff:10.0.1.20", "fd00::7"] {
        check_from(&policy, &mail, listed, Origin::Task, "yes");
    }
    let refusal = "hosts.addresses: 10.0.9.9 for `mail.example` comes from the task alone; the policy's `addresses` of that host do not hold it";
    check_from(&policy, &mail, "10.0.9.9", Origin::Task, refusal);
    let literal = format!("https://10.0.0.5:443/{EAS}");
    check_from(&policy, &literal, "10.0.0.5", Origin::Task, "yes");
    let refusal = refusal.replace("mail.example", "10.0.0.5");
    check_from(&policy, &literal, "10.0.9.9", Origin::Task, &refusal);
    let any = file("zone = 'external'").expect("good");
    check_from(&any, &mail, "203.0.113.9", Origin::Task, "yes");
}

#[test]
fn the_template_is_a_policy() {
    for zone in [Zone::External, Zone::Dmz, Zone::Internal, Zone::Backend] {
        let policy = file(&policy_template(zone, &["mail.corp.example"])).expect("good");
        check(&policy, &format!("https://mail.corp.example:443/{EAS}"), "198.51.100.1", "yes");
        assert_eq!(policy.sha256().len(), 64);
    }
}
