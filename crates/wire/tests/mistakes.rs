//! What people get wrong is told all at once, each mistake with its field; and no secret is ever repeated.

use parallax_wire::{FieldViolation, check_target, pb};
use parallax_wire::{read_account_document, read_target_document};
use prost::Message as _;
use serde_json::json;

fn lines(violations: &[FieldViolation]) -> Vec<String> {
    violations.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check_url(url: &str, wanted: &str) {
    let endpoint = pb::Endpoint {
        name: "cas1".to_owned(),
        role: pb::endpoint::Role::Cas.into(),
        url: url.to_owned(),
        ..pb::Endpoint::default()
    };
    let target = pb::Target {
        name: "targets/mail".to_owned(),
        endpoints: vec![endpoint],
        ..pb::Target::default()
    };
    match check_target(&target) {
        Ok(target) => {
            let it = &target.endpoints[0];
            assert_eq!(format!("{} {} {} {}", it.is_https, it.host, it.port, it.path), wanted);
        }
        Err(violations) => assert_eq!(lines(&violations).join("; "), wanted),
    }
}

#[test]
fn urls() {
    check_url("https://Mail.Example", "true mail.example 443 /Microsoft-Server-ActiveSync");
    check_url("http://10.0.0.7:8080/eas", "false 10.0.0.7 8080 /eas");
    check_url("https://[2001:DB8::1]/", "true 2001:db8::1 443 /Microsoft-Server-ActiveSync");
    check_url(
        "ftp://mail.example",
        "`endpoints[0].url`: `ftp://mail.example` has another scheme than https or http; give `https://host[:port]/path` or `http://…`",
    );
    check_url(
        "https://anna:Planted-1@mail.example",
        "`endpoints[0].url`: holds a user name or password; register an account instead",
    );
    for wrong in [
        "ftp://user:Planted-1@mail.example/",
        "u:Planted-1@h",
        "https://u:Planted-1@h:99999/",
        "//u:Planted-1@h",
        "https:///u:Planted-1@h",
        "https://u:Planted-1/2@h",
        "https:/u:Planted-1@h",
    ] {
        for (name, url) in [("targets/mail", wrong), (wrong, "https://mail.example")] {
            let endpoint = pb::Endpoint {
                name: "cas1".to_owned(),
                role: 1,
                url: url.to_owned(),
                ..pb::Endpoint::default()
            };
            let target = pb::Target {
                name: name.to_owned(),
                endpoints: vec![endpoint],
                ..pb::Target::default()
            };
            let violations = check_target(&target).expect_err(wrong);
            assert!(!format!("{violations:?}").contains("Planted"), "{violations:?}");
        }
    }
    check_url(
        "https://mail.example/?x",
        "`endpoints[0].url`: holds a query or fragment; give `https://host[:port]/path` or `http://…`",
    );
    check_url("", "`endpoints[0].url`: is required; give `https://host[:port]/path` or `http://…`");
    for bad in [
        "mail.example",
        "https://",
        "https:///x",
        "https://a b",
        "https://mail:0",
        "https://mail:99999",
        "https://m\\x",
        "https://exa mple/",
    ] {
        let message = pb::Target {
            name: "targets/mail".to_owned(),
            endpoints: vec![pb::Endpoint {
                name: "a".to_owned(),
                role: 1,
                url: bad.to_owned(),
                ..pb::Endpoint::default()
            }],
            ..pb::Target::default()
        };
        let violations = check_target(&message).expect_err(bad);
        assert_eq!(violations.len(), 1, "{bad}");
        assert_eq!(violations[0].field, "endpoints[0].url", "{bad}");
    }
}

#[test]
fn a_target_with_many_mistakes() {
    let document = json!({
        "name": "mail",
        "colour": "blue",
        "endpoints": [
            {"name": "Published", "role": "EXTERNAL", "url": "https://mail.example", "logonCost": 11},
            {"name": "cas1", "role": "ROLE_CAS", "url": "https://cas1.example", "connect": "cas1",
             "from": ["hq", "hq"], "trust": {"mode": "MODE_PINNED", "pins": ["abc"]}},
            {"name": "cas1", "role": "ROLE_CAS", "url": "https://cas2.example", "portt": 3},
        ],
        "accounts": [{"account": "anna"}],
        "events": [{"event_time": "yesterday", "kind": "KIND_RESTART"}],
    });
    let found = lines(&read_target_document(&document).expect_err("mistakes"));
    let expected = [
        "`colour`: is unknown; known are name, display_name, generation, endpoints, accounts, events, create_time, update_time, etag",
        "`endpoints[0].role`: `EXTERNAL` is unknown; known are ROLE_EXTERNAL, ROLE_CAS, ROLE_BACKEND, ROLE_CONTROL",
        "`endpoints[2].portt`: is unknown; known are name, role, url, generation, connect, trust, from, published_on, allow_plaintext_logon, logon_cost",
        "`events[0].event_time`: `yesterday` is not a time as `2026-03-01T10:40:00Z`",
        "`name`: `mail` is not `targets/{id}`",
        "`endpoints[0].name`: `Published` is not a name: use 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit",
        "`endpoints[0].logon_cost`: is 11; give 1 to 10, or 0 for the rule",
        "`endpoints[1].connect`: `cas1` is not an address; give an IPv4 or IPv6 literal, as 192.0.2.10",
        "`endpoints[1].trust.pins[0]`: is not a SHA-256; give 64 hexadecimal digits of the leaf's DER encoding",
        "`endpoints[1].from[1]`: `hq` is there twice",
        "`endpoints[2].name`: `cas1` is there twice; names are unique within a target",
        "`accounts[0].account`: `anna` is not `accounts/{id}`",
        "`accounts[0].purpose`: is required: PURPOSE_SUBJECT or PURPOSE_WITNESS",
    ];
    assert_eq!(found, expected);
}

#[test]
fn values_of_the_wrong_kind() {
    let document = json!({
        "name": "targets/mail",
        "displayName": 7,
        "endpoints": [{"name": "a", "role": 1, "url": "https://a.example", "allow_plaintext_logon": "yes"}],
        "accounts": {},
    });
    assert_eq!(
        lines(&read_target_document(&document).expect_err("mistakes")),
        [
            "`display_name`: is a number; give a text in quotes",
            "`endpoints[0].role`: is a number; give one of ROLE_EXTERNAL, ROLE_CAS, ROLE_BACKEND, ROLE_CONTROL",
            "`endpoints[0].allow_plaintext_logon`: is a text; give true or false",
            "`accounts`: is a table; give a list",
        ]
    );
    assert_eq!(
        lines(&read_target_document(&json!([1])).expect_err("mistakes"))[0],
        "``: is a list; give a table of fields"
    );
}

#[test]
fn an_account_with_many_mistakes() {
    let document = json!({
        "name": "accounts/anna",
        "directory": "",
        "user_names": [
            {"form": "NAME_FORM_UPN", "login": "anna"},
            {"form": "NAME_FORM_DOMAIN", "login": "CORP\\anna"},
            {"form": "NAME_FORM_DOMAIN", "login": "anna:x"},
        ],
        "lockout": {"count": 0, "never": {}, "window": "10s"},
        "secret": "Planted-1\n",
        "password": "Planted-1",
    });
    let found = lines(&read_account_document(&document).expect_err("mistakes"));
    assert_eq!(
        found,
        [
            "`lockout.never`: excludes `count`; give one of them",
            "`password`: is unknown; known are name, directory, user_names, mailbox, lockout, secret, secret_version, budget, create_time, warnings, user_principal_name",
            "`directory`: is required: the name of the directory that checks the secret, as `corp`",
            "`user_names[0].login`: `anna` is not `user@upn.suffix`",
            "`user_names[2].form`: is there twice; another user is another account",
            "`user_names[2].login`: `anna:x` holds a colon or a character outside printable ASCII",
            "`lockout.count`: is 0; give 1 to 999, `never`, or nothing if it is unknown",
            "`lockout.window`: is out of range; give 60s to 604800s",
            "`secret`: holds a control character (a line end at its end?)",
        ]
    );
    assert!(!found.join("\n").contains("Planted"));
}

#[test]
fn good_documents_in_both_spellings() {
    let document = json!({
        "name": "accounts/anna",
        "directory": "corp",
        "userNames": [{"form": "NAME_FORM_BARE", "login": "anna"}, {"form": "NAME_FORM_UPN", "login": "anna@corp.example"}],
        "user_principal_name": "anna@corp.example",
        "lockout": {"never": {}, "window": "1800s"},
        "secret": "Planted-1",
    });
    let (message, account) = read_account_document(&document).expect("good");
    assert_eq!(account.first_name().map(|it| it.login.as_str()), Some("anna@corp.example"));
    assert!(account.has_password);
    assert!(!format!("{message:?} {account:?}").contains("Planted"));
    let request = pb::CreateAccountRequest { account: Some(message), ..Default::default() };
    assert!(!format!("{request:#?}").contains("Planted"));
    let request = pb::RotateAccountRequest { secret: "Planted-1".to_owned(), ..Default::default() };
    assert!(!format!("{request:#?}").contains("Planted"));
}

#[test]
fn an_unreadable_message_names_its_field() {
    let report = pb::PathReport {
        path: Some(pb::Path { vantage: "EXT".to_owned(), endpoint: "a".to_owned() }),
        report: Some(pb::path_report::Report::Silent(pb::Silence { reason: 1 })),
    };
    let round = pb::Round { number: 1, reports: vec![report] };
    let error = parallax_model::Round::try_from(round).expect_err("a bad name");
    assert_eq!(
        error.to_string(),
        "`reports[0].path.vantage`: is malformed: expected 1 to 63 of a-z, 0-9 and -"
    );
}

#[test]
fn json_writes_defaults_and_names_of_enums() {
    let logons = serde_json::to_value(pb::Logons::default()).expect("JSON");
    assert_eq!(logons, json!({"used": 0, "refused": 0, "held": 0, "budget": 0, "accounts": []}));
    let cell = pb::Cell { mark: pb::cell::Mark::Held.into(), text: "budget".to_owned() };
    let cell = serde_json::to_value(cell).expect("JSON");
    assert_eq!(cell, json!({"mark": "MARK_HELD", "text": "budget"}));
    let verdict = serde_json::to_value(pb::Verdict::from(parallax_model::Verdict::Healthy));
    assert_eq!(
        verdict.expect("JSON"),
        json!({"fault": "healthy", "standing": "", "title": "", "owner": ""})
    );
}

/// Whoever asks for reflection learns nothing of the agents' link.
#[test]
fn descriptors_leave_the_agents_out() {
    let set = prost_types::FileDescriptorSet::decode(pb::DESCRIPTORS).expect("descriptors");
    let packages: Vec<&str> =
        set.file.iter().map(prost_types::FileDescriptorProto::package).collect();
    assert!(packages.contains(&"parallax.v1"), "{packages:?}");
    assert!(!packages.iter().any(|it| it.contains("agent")), "{packages:?}");
}
