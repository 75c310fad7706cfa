//! A task can ask for less than the policy permits, never for more: whatever stands in an offer.
//!
//! One field of a good offer at a time is changed to something greedy; the policy has to refuse it, or, where a field has
//! no say in what is dialled, to answer as before.

use std::time::Duration;

use parallax_model::{
    AccountId, DiagnosisId, EndpointName, Generation, Limits, LogonTask, NameForm, Place, Role,
    Trust, UserName, VantageName,
};

use super::super::*;
use super::file;

fn task() -> Task {
    Task {
        id: "t1".to_owned(),
        diagnosis: DiagnosisId::new("d1").expect("a name"),
        endpoint: Endpoint {
            name: EndpointName::new("cas1").expect("a name"),
            role: Role::Cas,
            is_https: true,
            host: "mail.corp.example".to_owned(),
            port: 443,
            path: "/Microsoft-Server-ActiveSync".to_owned(),
            generation: None,
            connect: Some("10.0.1.20".parse().expect("an address")),
            trust: Trust::default(),
            from: Vec::new(),
            published_on: Vec::new(),
            allow_plaintext_logon: false,
            logon_cost: None,
        },
        looks: vec![Look::OPTIONS],
        logon: None,
        only_address: None,
        without_sni: false,
        limits: Limits::STANDARD,
    }
}

fn policy() -> Policy {
    file("zone = 'internal'\n[[hosts]]\nname = 'mail.corp.example'\naddresses = ['10.0.1.20']")
        .expect("good")
}

#[track_caller]
fn check(change: impl FnOnce(&mut Task), wanted: &str) {
    let mut task = task();
    change(&mut task);
    let verdict = policy().permits_task(&task, &Resolved::default());
    let id = verdict.map_or_else(|rule| rule.0, |()| "yes: ".to_owned());
    assert_eq!(id.split_once(": ").map(|it| it.0), Some(wanted), "{id}");
}

#[test]
fn what_would_widen_is_refused() {
    check(|_| {}, "yes");
    check(|it| it.endpoint.host = "dc1.corp.example".to_owned(), "hosts.name");
    check(|it| it.endpoint.host = "10.0.1.20".to_owned(), "hosts.name");
    check(|it| it.endpoint.host = "mail.corp.example..".to_owned(), "hosts.name");
    check(|it| it.endpoint.host = "x.mail.corp.example".to_owned(), "hosts.name");
    check(|it| it.endpoint.host = String::new(), "hosts.name");
    check(|it| it.endpoint.port = 8443, "hosts.ports");
    check(|it| it.endpoint.port = 80, "hosts.ports");
    check(|it| it.endpoint.is_https = false, "hosts.ports");
    check(|it| it.endpoint.path = "/ecp/".to_owned(), "hosts.path");
    check(|it| it.endpoint.path = "/Microsoft-Server-ActiveSync/".to_owned(), "hosts.path");
    let address = |text: &str| Some(text.parse().expect("an address"));
    check(|it| it.endpoint.connect = address("10.0.1.21"), "hosts.addresses");
    check(|it| it.endpoint.connect = address("203.0.113.1"), "hosts.addresses");
    check(|it| it.only_address = address("10.0.1.21"), "hosts.addresses");
    check(|it| it.only_address = address("127.0.0.1"), "hosts.addresses");
    // The logon's place is looked at like the looks, and the mailboxes of a back end are looked at without one.
    for (path, place) in [
        ("/ecp/", Place::ActiveSync),
        ("/exchange/", Place::ActiveSync),
        ("/Microsoft-Server-ActiveSync", Place::Exchange),
    ] {
        check(
            |it| {
                it.looks.clear();
                it.endpoint.path = path.to_owned();
                it.logon = Some(LogonTask {
                    attempt: "a1".to_owned(),
                    account: AccountId::new("anna").expect("a name"),
                    name: UserName { form: NameForm::Upn, login: "anna@corp.example".to_owned() },
                    place,
                });
            },
            "hosts.path",
        );
    }
    check(|it| it.looks.push(Look::EXCHANGE), "yes");
}

#[test]
fn what_has_no_say_changes_nothing() {
    let changes: [fn(&mut Task); 8] = [
        |it| it.endpoint.trust = Trust::Pinned(vec![[7; 32]]),
        |it| it.endpoint.trust = Trust::Authorities(vec![vec![1]]),
        |it| it.endpoint.role = Role::Control,
        |it| it.endpoint.generation = Some(Generation::Exchange2003),
        |it| it.endpoint.from = vec![VantageName::new("hq").expect("a name")],
        |it| it.endpoint.published_on = vec!["10.0.9.9".parse().expect("an address")],
        |it| it.endpoint.allow_plaintext_logon = true,
        |it| it.limits.observation = Duration::from_hours(1),
    ];
    for change in changes {
        check(change, "yes");
        check(
            |it| {
                change(it);
                it.endpoint.host = "dc1.corp.example".to_owned();
            },
            "hosts.name",
        );
        check(
            |it| {
                change(it);
                it.endpoint.connect = Some("10.0.9.9".parse().expect("an address"));
            },
            "hosts.addresses",
        );
    }
}

#[test]
fn only_what_was_resolved_here_may_be_asked_for_alone() {
    let resolved = Resolved::default();
    let address = "10.0.1.33".parse().expect("an address");
    let mut task = task();
    task.only_address = Some(address);
    let verdict = policy().permits_task(&task, &resolved).expect_err("made up");
    assert!(verdict.0.starts_with("hosts.addresses: 10.0.1.33"), "{verdict}");
    resolved.note("mail.corp.example", &[address]);
    assert_eq!(policy().permits_task(&task, &resolved), Ok(()));
    // What a name server gave is judged all the same.
    let loopback = "127.0.0.1".parse().expect("an address");
    resolved.note("mail.corp.example", &[loopback]);
    task.only_address = Some(loopback);
    let verdict = policy().permits_task(&task, &resolved).expect_err("loopback");
    assert!(verdict.0.starts_with("address.loopback"), "{verdict}");
}
