//! The seed problem's diagnosis, as a controller gives it after three logons with one refused.

use std::collections::BTreeMap;

use parallax_faults::text;
use parallax_model::TextPlace;
use parallax_wire::pb::cell::Mark;
use parallax_wire::pb::look::{AccountCredential, Anonymous, Credential, Method, Place};
use parallax_wire::pb::{self, NameForm};

use crate::cli::Language;

fn path(vantage: &str, endpoint: &str) -> pb::Path {
    pb::Path { vantage: vantage.to_owned(), endpoint: endpoint.to_owned() }
}

fn anonymous() -> pb::Look {
    pb::Look {
        method: Method::Options.into(),
        place: Place::ActiveSync.into(),
        credential: Some(Credential::Anonymous(Anonymous {})),
    }
}

fn logon(account: &str) -> pb::Look {
    pb::Look {
        credential: Some(Credential::Account(AccountCredential {
            account: format!("accounts/{account}"),
            form: NameForm::Upn.into(),
        })),
        ..anonymous()
    }
}

fn seen(round: i32, path: pb::Path, address: &str, look: pb::Look, value: &str) -> pb::Evidence {
    pb::Evidence {
        round,
        path: Some(path),
        address: address.to_owned(),
        look: Some(look),
        value: value.to_owned(),
    }
}

fn cell(mark: Mark, text: &str) -> pb::Cell {
    pb::Cell { mark: mark.into(), text: text.to_owned() }
}

fn row(
    path: pb::Path,
    zone: &str,
    address: &str,
    condition: &str,
    cells: [(Mark, &str); 6],
) -> pb::MatrixRow {
    let [dns, tcp, tls, anonymous, logon, active_sync] =
        cells.map(|(mark, text)| Some(cell(mark, text)));
    pb::MatrixRow {
        path: Some(path),
        zone: zone.to_owned(),
        address: address.to_owned(),
        condition: condition.to_owned(),
        dns,
        tcp,
        tls,
        anonymous,
        logon,
        active_sync,
    }
}

fn matrix() -> Vec<pb::MatrixRow> {
    use Mark::{Bad, Good, Held, NotAsked, NotReached, Plain, Silent};
    vec![
        row(
            path("ext", "published"),
            "external",
            "203.0.113.7",
            "unknown",
            [
                (Good, "11 ms"),
                (Good, "19 ms"),
                (Good, "TLS 1.2 41 ms"),
                (Good, "401 Basic"),
                (Held, "anna"),
                (NotAsked, ""),
            ],
        ),
        row(
            path("cas", "cas1"),
            "internal",
            "10.0.1.20",
            "fails",
            [
                (Plain, "declared"),
                (Good, "1 ms"),
                (Good, "TLS 1.2 9 ms"),
                (Good, "401 Basic"),
                (Bad, "pilot 200, anna 401"),
                (Good, "14.1"),
            ],
        ),
        row(
            path("be", "be03"),
            "backend",
            "10.0.2.30",
            "works",
            [
                (Good, "2 ms"),
                (Good, "1 ms"),
                (Plain, "http"),
                (Good, "401 Basic"),
                (Good, "anna 200"),
                (Good, "2.5"),
            ],
        ),
        row(
            path("dmz", "cas1"),
            "dmz",
            "",
            "unknown",
            [
                (Plain, "no session"),
                (Silent, ""),
                (Silent, ""),
                (Silent, ""),
                (Silent, ""),
                (NotReached, ""),
            ],
        ),
    ]
}

fn difference() -> pb::FirstDifference {
    pb::FirstDifference {
        left: Some(path("cas", "cas1")),
        left_account: "accounts/pilot".to_owned(),
        right: Some(path("cas", "cas1")),
        right_account: "accounts/anna".to_owned(),
        look: Some(logon("anna")),
        fields: vec![pb::DifferentField {
            field: "status".to_owned(),
            left: "200".to_owned(),
            right: "401".to_owned(),
        }],
        equal: 4,
    }
}

fn backend_accepts() -> pb::Evidence {
    seen(3, path("be", "be03"), "10.0.2.30", logon("anna"), "200 MS-Server-ActiveSync 6.5.7638.1")
}

fn finding(title: String) -> pb::Finding {
    pb::Finding {
        fault: "e2003_be_iwa_missing".to_owned(),
        standing: "confirmed".to_owned(),
        latent: false,
        title,
        owner: "exchange".to_owned(),
        explains: vec![path("ext", "published"), path("cas", "cas1")],
        evidence: vec![
            seen(1, path("be", "be03"), "10.0.2.30", anonymous(), "401 Basic"),
            backend_accepts(),
            seen(
                2,
                path("cas", "cas1"),
                "10.0.1.20",
                logon("pilot"),
                "200 MS-Server-ActiveSync 14.3",
            ),
            seen(4, path("cas", "cas1"), "10.0.1.20", logon("anna"), "401 Basic"),
            pb::Evidence {
                value: "mailbox of anna: Exchange 2003".to_owned(),
                ..Default::default()
            },
        ],
        needs: Vec::new(),
        severity: "failure".to_owned(),
        places: places().iter().map(|(place, it)| (place.word().to_owned(), it.clone())).collect(),
    }
}

fn places() -> BTreeMap<TextPlace, String> {
    BTreeMap::from([
        (TextPlace::Host, "be03.corp.contoso.example".to_owned()),
        (TextPlace::Endpoint, "be03".to_owned()),
        (TextPlace::Vantage, "be".to_owned()),
        (TextPlace::Seen, "401 Basic".to_owned()),
        (TextPlace::Expected, "401 Negotiate, NTLM, Basic".to_owned()),
        (TextPlace::Account, "anna".to_owned()),
        (TextPlace::Witness, "pilot".to_owned()),
    ])
}

fn title(fault: &str, language: Language) -> String {
    page(fault, language).title
}

fn page(fault: &str, language: Language) -> pb::FaultText {
    let tongue = match language {
        Language::En => parallax_faults::Language::English,
        Language::Ja => parallax_faults::Language::Japanese,
    };
    // The golden files freeze our output, not the manual: of that only the title and two sections that do not change.
    let title = text(fault, tongue).expect("an entry").title;
    let (steps, verify) = match language {
        Language::En => (
            "1. Look first, nothing changes: `curl -i -X OPTIONS http://be03.corp.contoso.example/Microsoft-Server-ActiveSync` answers 401 and its only `WWW-Authenticate` line is `Basic`.\n2. NEVER make this change in IIS Manager: the System Attendant writes the directory's settings over the metabase within 15 minutes.",
            "- Run the same diagnosis again from the same vantages.",
        ),
        Language::Ja => (
            "1. まず確認のみ (変更なし)。`curl -i -X OPTIONS http://be03.corp.contoso.example/Microsoft-Server-ActiveSync` を実行し、401 が返り、`WWW-Authenticate` が `Basic` の 1 行だけであることを確認。\n2. この変更は IIS マネージャーでは絶対に行わない。System Attendant が 15 分以内に Active Directory の設定を IIS メタベースに上書きする。",
            "- 同じ観測点から同じ診断をもう一度実行します。",
        ),
    };
    pb::FaultText {
        language: crate::commands::language_tag(language).to_owned(),
        title,
        steps: steps.to_owned(),
        verify: verify.to_owned(),
        ..pb::FaultText::default()
    }
}

fn ruled_out(language: Language) -> Vec<pb::RuledOutFault> {
    vec![
        pb::RuledOutFault {
            fault: "bad_password".to_owned(),
            by: vec![backend_accepts()],
            title: title("bad_password", language),
        },
        pb::RuledOutFault {
            fault: "tcp_443_refused".to_owned(),
            by: vec![pb::Evidence {
                look: None,
                ..seen(1, path("ext", "published"), "203.0.113.7", anonymous(), "19 ms")
            }],
            title: title("tcp_443_refused", language),
        },
    ]
}

pub(super) fn diagnosis(language: Language) -> pb::Diagnosis {
    let fault = "e2003_be_iwa_missing";
    let time = |nanos| Some(pbjson_types::Timestamp { seconds: 1_772_361_600, nanos });
    let need = |text: (&str, &str)| pb::Need {
        need: Some(pb::need::Need::OnTheServer("Event 1036 on the CAS".to_owned())),
        text: match language {
            Language::En => text.0.to_owned(),
            Language::Ja => text.1.to_owned(),
        },
    };
    pb::Diagnosis {
        name: "diagnoses/0195-seed".to_owned(),
        target: "targets/contoso".to_owned(),
        state: pb::diagnosis::State::Succeeded.into(),
        plan: None,
        verdict: Some(pb::Verdict {
            fault: fault.to_owned(),
            standing: "confirmed".to_owned(),
            title: title(fault, language),
            owner: "exchange".to_owned(),
        }),
        findings: vec![finding(title(fault, language))],
        ruled_out: ruled_out(language),
        open: vec![pb::OpenFault {
            fault: "upn_mismatch".to_owned(),
            evidence: vec![seen(4, path("cas", "cas1"), "10.0.1.20", logon("anna"), "401 Basic")],
            needs: vec![need((
                "Somebody would have to look on the server: Event 1036 on the CAS.",
                "サーバー上での確認が必要です：Event 1036 on the CAS",
            ))],
            title: title("upn_mismatch", language),
        }],
        unexplained: vec![pb::UnexplainedPath {
            path: Some(path("dmz", "cas1")),
            evidence: vec![seen(1, path("dmz", "cas1"), "", anonymous(), "no session")],
        }],
        first_difference: Some(difference()),
        matrix: matrix(),
        excluded: Vec::new(),
        recognised: recognised(),
        not_visible: Vec::new(),
        notes: Vec::new(),
        gaps: vec![need((
            "An agent in zone `dmz` would have to look.",
            "ゾーン `dmz` のエージェントからの確認が必要です。",
        ))],
        logons: Some(logons()),
        rounds: vec![pb::Round {
            number: 1,
            reports: vec![pb::PathReport {
                path: Some(path("dmz", "cas1")),
                report: Some(pb::path_report::Report::Silent(pb::Silence {
                    reason: pb::silence::Reason::NoSession.into(),
                })),
            }],
        }],
        text: Some(page(fault, language)),
        language: crate::commands::language_tag(language).to_owned(),
        create_time: time(0),
        end_time: time(400_000_000)
            .map(|it| pbjson_types::Timestamp { seconds: it.seconds + 4, ..it }),
        principal: "token".to_owned(),
        state_reason: String::new(),
        time_limit: Some(pbjson_types::Duration { seconds: 300, nanos: 0 }),
        anonymous_only: false,
    }
}

fn recognised() -> Vec<pb::Recognised> {
    let it =
        |path: pb::Path, what: &str, by: &str, address: &str, asked: pb::Look| pb::Recognised {
            by: vec![seen(2, path.clone(), address, asked, by)],
            path: Some(path),
            kind: "server".to_owned(),
            what: what.to_owned(),
        };
    vec![
        it(
            path("be", "be03"),
            "Exchange 2003 6.5.7638.1",
            "MS-Server-ActiveSync: 6.5.7638.1",
            "10.0.2.30",
            logon("anna"),
        ),
        it(
            path("cas", "cas1"),
            "Exchange 2010 14.3",
            "MS-Server-ActiveSync: 14.3",
            "10.0.1.20",
            logon("pilot"),
        ),
    ]
}

/// Nothing found: the one vantage outside sits behind a proxy of its own, the rest is well, and a certificate has a warning.
pub(super) fn undetermined(language: Language) -> pb::Diagnosis {
    let control = path("ext", "control");
    let publisher = |vantage: &str| pb::Recognised {
        path: Some(path(vantage, "published")),
        kind: "publisher".to_owned(),
        what: "nginx 1.22.1".to_owned(),
        by: vec![seen(1, path(vantage, "published"), "203.0.113.7", anonymous(), "Server: nginx")],
    };
    let vantages = ["a", "b", "c", "d", "e"];
    let recognised = vantages.map(publisher).into_iter();
    let egress = pb::Recognised {
        path: Some(control.clone()),
        kind: "egress".to_owned(),
        what: "squid 5.7".to_owned(),
        by: vec![seen(
            1,
            control.clone(),
            "198.51.100.9",
            anonymous(),
            "Via: 1.1 proxy (squid/5.7)",
        )],
    };
    let warned = "probe_timeout_too_short";
    let beyond = "idle_timeout_too_short";
    pb::Diagnosis {
        verdict: Some(pb::Verdict {
            fault: "undetermined".to_owned(),
            title: title("undetermined", language),
            ..pb::Verdict::default()
        }),
        findings: vec![pb::Finding {
            fault: warned.to_owned(),
            standing: "likely".to_owned(),
            latent: true,
            title: title(warned, language),
            evidence: vec![seen(
                1,
                path("cas", "cas1"),
                "10.0.1.20",
                anonymous(),
                "no answer in 10 s",
            )],
            severity: "warning".to_owned(),
            ..pb::Finding::default()
        }],
        ruled_out: Vec::new(),
        open: Vec::new(),
        unexplained: Vec::new(),
        first_difference: None,
        matrix: Vec::new(),
        excluded: vec![pb::ExcludedVantage {
            vantage: "ext".to_owned(),
            by: vec![seen(1, control, "198.51.100.9", anonymous(), "407")],
        }],
        recognised: recognised.chain([egress]).collect(),
        not_visible: vec![pb::NotVisible {
            fault: beyond.to_owned(),
            title: "Idle connections are cut".to_owned(),
        }],
        text: None,
        ..diagnosis(language)
    }
}

fn logons() -> pb::Logons {
    pb::Logons {
        used: 3,
        refused: 1,
        held: 1,
        budget: 4,
        accounts: vec![
            pb::AccountLogons {
                account: "accounts/anna".to_owned(),
                used: 2,
                refused: 1,
                held: 1,
                budget: 4,
                charged: 2,
                held_reasons: vec!["one refused logon per account and diagnosis".to_owned()],
            },
            pb::AccountLogons {
                account: "accounts/pilot".to_owned(),
                used: 1,
                budget: 4,
                ..pb::AccountLogons::default()
            },
        ],
    }
}

pub(super) fn plan() -> pb::Plan {
    pb::Plan {
        paths: vec![
            pb::PlannedPath {
                path: Some(path("ext", "published")),
                connected: true,
                looks: vec![
                    anonymous(),
                    pb::Look {
                        method: Method::Get.into(),
                        place: Place::Owa.into(),
                        credential: None,
                    },
                ],
            },
            pb::PlannedPath {
                path: Some(path("dmz", "cas1")),
                connected: false,
                looks: vec![anonymous()],
            },
        ],
        logons_max: 4,
        counts_max: 4,
        logons: vec![
            pb::PlannedLogon {
                path: Some(path("cas", "cas1")),
                account: "accounts/pilot".to_owned(),
                cost: 2,
                held: String::new(),
            },
            pb::PlannedLogon {
                path: Some(path("ext", "published")),
                account: "accounts/anna".to_owned(),
                cost: 4,
                held: "it may cost 4 counts and 2 are left".to_owned(),
            },
        ],
        gaps: Vec::new(),
    }
}

pub(super) fn account() -> pb::Account {
    pb::Account {
        name: "accounts/anna".to_owned(),
        directory: "corp".to_owned(),
        user_names: vec![pb::UserName {
            form: NameForm::Upn.into(),
            login: "anna@contoso.example".to_owned(),
        }],
        mailbox: pb::Generation::Generation2003.into(),
        lockout: Some(pb::LockoutPolicy {
            threshold: Some(pb::lockout_policy::Threshold::Count(10)),
            window: Some(pbjson_types::Duration { seconds: 1800, nanos: 0 }),
        }),
        secret: "Planted-1".to_owned(),
        secret_version: 1,
        budget: Some(pb::Budget {
            limit: 4,
            charged: 2,
            breaker_open: true,
            breaker_reason: "refused at be03".to_owned(),
            quiet_time: Some(pbjson_types::Timestamp { seconds: 1_772_363_400, nanos: 0 }),
            ..pb::Budget::default()
        }),
        warnings: vec!["the secret is shorter than 12 characters".to_owned()],
        ..pb::Account::default()
    }
}
