//! The order of logons, and what is never proposed.

use std::net::IpAddr;
use std::time::SystemTime;

use expect_test::{Expect, expect};
use parallax_model::{
    Account, AccountId, Endpoint, EndpointName, Evidence, Generation, LockoutPolicy, NameForm,
    Purpose, Role, Target, TargetAccount, TargetId, Threshold, Trust, UserName, Vantage,
    VantageName, Zone,
};

use super::ladder::ladder;
use super::next::forbidden;
use super::{AccountBudget, first_round, worst_case};

fn vantages() -> Vec<Vantage> {
    [("ext", Zone::External), ("dmz", Zone::Dmz), ("cas", Zone::Internal), ("be", Zone::Backend)]
        .map(|(name, zone)| Vantage {
            name: VantageName::new(name).expect("a name"),
            zone,
            site: "hq".to_owned(),
        })
        .to_vec()
}

fn endpoint(name: &str, role: Role, generation: Option<Generation>) -> Endpoint {
    Endpoint {
        name: EndpointName::new(name).expect("a name"),
        role,
        is_https: role != Role::Backend,
        host: "mail.contoso.example".to_owned(),
        port: if role == Role::Backend { 80 } else { 443 },
        path: "/Microsoft-Server-ActiveSync".to_owned(),
        generation,
        connect: (role != Role::External).then(|| IpAddr::from([10, 0, 0, 1])),
        trust: Trust::PublicOrStore,
        from: Vec::new(),
        published_on: Vec::new(),
        allow_plaintext_logon: true,
        logon_cost: None,
    }
}

fn target() -> Target {
    Target {
        id: TargetId::new("contoso").expect("a name"),
        display_name: String::new(),
        generation: Some(Generation::Exchange2010),
        endpoints: vec![
            endpoint("published", Role::External, None),
            endpoint("cas1", Role::Cas, Some(Generation::Exchange2010)),
            endpoint("be03", Role::Backend, Some(Generation::Exchange2003)),
        ],
        accounts: vec![TargetAccount {
            account: AccountId::new("anna").expect("a name"),
            purpose: Purpose::Subject,
        }],
        events: Vec::new(),
    }
}

fn account(mailbox: Generation) -> Account {
    Account {
        id: AccountId::new("anna").expect("a name"),
        directory: "corp".to_owned(),
        names: vec![UserName { form: NameForm::Upn, login: "anna@contoso.example".to_owned() }],
        upn: None,
        mailbox: Some(mailbox),
        lockout: LockoutPolicy { threshold: Threshold::At(10), window: None },
        secret_is_ascii: true,
        has_password: true,
    }
}

#[track_caller]
fn check_ladder(target: &Target, mailbox: Generation, expected: Expect) {
    let rungs = ladder(target, &vantages(), &account(mailbox));
    let words: Vec<String> = rungs.iter().map(|it| format!("{} {:?}", it.path, it.place)).collect();
    expected.assert_eq(&words.join("\n"));
}

/// The fewest boxes between it and the directory come first.
#[test]
fn a_legacy_mailbox_begins_at_its_back_end() {
    check_ladder(
        &target(),
        Generation::Exchange2003,
        expect![[r"
        be -> be03 ActiveSync
        cas -> be03 ActiveSync
        cas -> cas1 ActiveSync
        be -> cas1 ActiveSync
        dmz -> cas1 ActiveSync
        cas -> published ActiveSync
        be -> published ActiveSync
        dmz -> published ActiveSync
        ext -> published ActiveSync"]],
    );
}

/// A back end that takes plain HTTP only, and may not be asked so, leaves the witness paths of the CAS.
#[test]
fn without_plaintext_the_witness_paths_come_first() {
    let mut target = target();
    target.endpoints[2].allow_plaintext_logon = false;
    let rungs = ladder(&target, &vantages(), &account(Generation::Exchange2003));
    let first: Vec<String> =
        rungs.iter().take(4).map(|it| format!("{} {:?}", it.path, it.place)).collect();
    expect!["cas -> cas1 Autodiscover, be -> cas1 Autodiscover, dmz -> cas1 Autodiscover, cas -> cas1 Ews"]
        .assert_eq(&first.join(", "));
}

#[test]
fn a_newer_mailbox_begins_at_the_cas() {
    let rungs = ladder(&target(), &vantages(), &account(Generation::Exchange2010));
    assert_eq!(rungs.first().map(|it| it.path.to_string()).as_deref(), Some("cas -> cas1"));
}

#[test]
fn every_path_that_is_meant_is_in_the_first_round_and_no_logon() {
    let proposals = first_round(&target(), &[account(Generation::Exchange2003)], &vantages());
    let paths: Vec<String> = proposals.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(
        paths,
        [
            "be -> be03",
            "be -> cas1",
            "be -> published",
            "cas -> be03",
            "cas -> cas1",
            "cas -> published",
            "dmz -> cas1",
            "dmz -> published",
            "ext -> published"
        ]
    );
    assert!(
        proposals
            .iter()
            .all(|it| it.logon.is_none() && it.looks.iter().all(|look| !look.is_logon()))
    );
}

fn budget(left: u32) -> AccountBudget {
    AccountBudget {
        account: AccountId::new("anna").expect("a name"),
        left,
        breaker_open: false,
        frozen: None,
        refused_here: 0,
        ended_here: false,
    }
}

#[test]
fn the_worst_case_is_told_before_anything_is_sent() {
    let evidence = Evidence {
        target: target(),
        accounts: vec![account(Generation::Exchange2003)],
        vantages: vantages(),
        rounds: Vec::new(),
        history: Vec::new(),
        now: SystemTime::UNIX_EPOCH,
    };
    let words: Vec<String> = worst_case(&evidence, &[budget(2)])
        .iter()
        .map(|it| {
            format!(
                "{} costs {} {}",
                it.path,
                it.cost,
                if it.held.is_empty() { "" } else { "held" }
            )
            .trim_end()
            .to_owned()
        })
        .collect();
    expect![[r"
        be -> be03 costs 2
        cas -> cas1 costs 2
        cas -> published costs 4 held"]]
    .assert_eq(&words.join("\n"));
}

#[test]
fn what_the_ledger_would_refuse_is_not_proposed() {
    assert_eq!(forbidden(&budget(2), 2), None);
    assert!(
        forbidden(&budget(1), 2).is_some_and(|reason| reason.contains("2 counts and 1 are left"))
    );
    assert!(
        forbidden(&AccountBudget { breaker_open: true, ..budget(4) }, 1)
            .is_some_and(|it| it.contains("rotate"))
    );
    assert!(
        forbidden(&AccountBudget { frozen: Some("restored".to_owned()), ..budget(4) }, 1)
            .is_some_and(|it| it.contains("restored"))
    );
}
