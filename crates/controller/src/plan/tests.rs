//! The order of logons, and what is never proposed.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use expect_test::{Expect, expect};
use parallax_model::{
    Account, AccountId, Answer, Body, Connection, Diagnosis, DnsFacts, DnsSource, Endpoint,
    EndpointName, Evidence, Exchange, FamilyAnswer, FaultId, Generation, Headers, HttpFailure,
    HttpVersion, LockoutPolicy, Look, NameForm, Need, Observation, OpenFault, Outcome, PathId,
    PathReport, Place, Purpose, Report, Role, Round, Sight, Silence, Target, TargetAccount,
    TargetId, TcpFacts, Threshold, Transport, Trust, UserName, Vantage, VantageName, Verdict, Zone,
};

use super::ladder::ladder;
use super::next::forbidden;
use super::{AccountBudget, Proposal, first_round, next_round, worst_case};

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
        cas -> cas1 Autodiscover
        be -> cas1 Autodiscover
        dmz -> cas1 Autodiscover
        cas -> cas1 Ews
        be -> cas1 Ews
        dmz -> cas1 Ews
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

const OWN: [u8; 4] = [203, 0, 113, 7];
const OTHER: [u8; 4] = [198, 51, 100, 9];

/// What the vantage outside saw at an address; a name server gave it, or a task named it.
fn sight(source: DnsSource, address: [u8; 4], looks: &[(Look, Option<u16>)]) -> Report {
    let address = IpAddr::from(address);
    let exchange = |(look, status): &(Look, Option<u16>)| Exchange {
        look: look.clone(),
        connection: Connection { number: 0, local_port: 50_000 },
        sent: true,
        asked_for_certificate: false,
        outcome: status.map_or(
            Outcome::Failed(HttpFailure::TimedOut { after: Duration::from_secs(10) }),
            |status| Outcome::Done(answer(status)),
        ),
    };
    let dns = DnsFacts {
        source,
        cname_chain: Vec::new(),
        addresses: vec![address],
        left_out: 0,
        v4: FamilyAnswer::NotAsked,
        v6: FamilyAnswer::NotAsked,
        took: Duration::ZERO,
    };
    Report::Seen(Sight {
        dns: Outcome::Done(dns),
        observations: vec![Observation {
            address: SocketAddr::new(address, 443),
            tcp: Outcome::Done(TcpFacts { local_port: 50_000, took: Duration::ZERO }),
            transport: Transport::Plain,
            without_sni: Outcome::NotReached,
            exchanges: looks.iter().map(exchange).collect(),
        }],
    })
}

fn answer(status: u16) -> Answer {
    let headers = Headers(vec![("WWW-Authenticate".to_owned(), "Basic realm=\"x\"".to_owned())]);
    Answer {
        version: HttpVersion::Http11,
        status,
        reason: String::new(),
        challenges: headers.challenges(),
        headers,
        headers_left_out: 0,
        body: Body::default(),
        type2: None,
        took: Duration::ZERO,
    }
}

fn named() -> DnsSource {
    DnsSource::NameServer(SocketAddr::new(IpAddr::from([192, 0, 2, 53]), 53))
}

fn outer_path() -> PathId {
    PathId {
        vantage: VantageName::new("ext").expect("a name"),
        endpoint: EndpointName::new("published").expect("a name"),
    }
}

/// What was seen along the outer path, a report a round.
fn along_outer(reports: Vec<Report>) -> Evidence {
    let rounds = reports.into_iter().zip(1..).map(|(report, number)| Round {
        number,
        reports: vec![PathReport { path: outer_path(), report }],
    });
    let mut target = target();
    // Plain, so that what is tested here is not TLS.
    target.endpoints[0].is_https = false;
    Evidence {
        target,
        accounts: vec![account(Generation::Exchange2010)],
        vantages: vantages(),
        rounds: rounds.collect(),
        history: Vec::new(),
        now: SystemTime::UNIX_EPOCH,
    }
}

fn needing(needs: Vec<Need>) -> Diagnosis {
    Diagnosis {
        verdict: Verdict::Undetermined,
        findings: Vec::new(),
        ruled_out: Vec::new(),
        open: vec![OpenFault { fault: FaultId("some_fault"), evidence: Vec::new(), needs }],
        unexplained: Vec::new(),
        first_difference: None,
        matrix: Vec::new(),
        notes: Vec::new(),
        gaps: Vec::new(),
        excluded: Vec::new(),
        recognised: Vec::new(),
        not_visible: Vec::new(),
    }
}

fn dial(address: [u8; 4]) -> Need {
    Need::Dial { path: outer_path(), address: IpAddr::from(address), look: Look::OPTIONS }
}

fn proposals(evidence: &Evidence, needs: Vec<Need>, round: u32) -> Vec<Proposal> {
    next_round(evidence, &needing(needs), &[budget(4)], round).proposals
}

#[test]
fn an_address_of_another_vantage_is_dialled_once_and_without_a_logon() {
    let first = sight(named(), OWN, &[(Look::OPTIONS, None)]);
    let asked = proposals(&along_outer(vec![first.clone()]), vec![dial(OTHER)], 1);
    assert_eq!(
        asked,
        [Proposal {
            path: outer_path(),
            looks: vec![Look::OPTIONS, Look::GET],
            logon: None,
            only_address: Some(IpAddr::from(OTHER)),
            without_sni: false,
        }]
    );
    let there = sight(DnsSource::Declared, OTHER, &[(Look::OPTIONS, Some(401))]);
    let seen = along_outer(vec![first.clone(), there]);
    assert_eq!(proposals(&seen, vec![dial(OTHER)], 2), []);
    assert_eq!(proposals(&along_outer(vec![first]), vec![dial(OWN)], 1), []);
}

/// Neither a refusal by the agent's policy nor silence is asked again; the need stays where the engine put it.
#[test]
fn a_dial_that_came_to_nothing_is_not_asked_again() {
    let first = sight(named(), OWN, &[(Look::OPTIONS, None)]);
    for nothing in [
        Report::Refused { rule: "hosts.addresses: not listed".to_owned() },
        Report::Silent(Silence::Lost),
        Report::Unable { detail: "its queue is full".to_owned() },
    ] {
        let evidence = along_outer(vec![first.clone(), nothing]);
        assert_eq!(proposals(&evidence, vec![dial(OTHER)], 2), []);
    }
    assert_eq!(
        proposals(&along_outer(vec![Report::Silent(Silence::Late)]), vec![dial(OTHER)], 1),
        []
    );
}

#[test]
fn nothing_is_dialled_after_the_last_round_and_no_more_than_eight_along_a_path() {
    let first = sight(named(), OWN, &[(Look::OPTIONS, None)]);
    assert_eq!(
        proposals(&along_outer(vec![first.clone()]), vec![dial(OTHER)], super::ROUNDS_MAX),
        []
    );
    let many = (1..=8).map(|last| {
        sight(DnsSource::Declared, [198, 51, 100, last], &[(Look::OPTIONS, Some(401))])
    });
    let evidence = along_outer(std::iter::once(first).chain(many).collect());
    assert_eq!(proposals(&evidence, vec![dial(OTHER)], 1), []);
}

/// A free look that a fault waits for goes before a dial along the same path.
#[test]
fn a_path_is_asked_once_in_a_round() {
    let first = sight(named(), OWN, &[(Look::OPTIONS, Some(401))]);
    let look = Need::Look { path: outer_path(), look: Look::EWS };
    let asked = proposals(&along_outer(vec![first]), vec![dial(OTHER), look], 1);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].looks, [Look::EWS]);
}

/// What answers at another vantage's address invites no logon: a secret goes where this vantage's own name server leads.
#[test]
fn no_logon_goes_to_an_address_of_another_vantage() {
    let need = |place| Need::Logon {
        path: outer_path(),
        look: Look::logon(AccountId::new("anna").expect("a name"), NameForm::Upn, place),
    };
    let there = sight(DnsSource::Declared, OTHER, &[(Look::OPTIONS, Some(401))]);
    let silent = sight(named(), OWN, &[(Look::OPTIONS, None)]);
    let evidence = along_outer(vec![silent, there]);
    assert_eq!(proposals(&evidence, vec![need(Place::ActiveSync)], 2), []);
    let answering = sight(named(), OWN, &[(Look::OPTIONS, Some(401))]);
    let evidence = along_outer(vec![answering]);
    let asked = proposals(&evidence, vec![need(Place::ActiveSync)], 1);
    assert_eq!(asked.iter().map(|it| it.only_address).collect::<Vec<_>>(), [Some(OWN.into())]);
}

/// A CAS whose `ActiveSync` directory takes no Basic checks the password beside it, before anybody asks from further out.
#[test]
fn the_witness_paths_of_a_cas_come_before_the_published_name() {
    let rungs = ladder(&target(), &vantages(), &account(Generation::Exchange2010));
    let words: Vec<String> = rungs.iter().map(|it| format!("{} {:?}", it.path, it.place)).collect();
    let first_of = |word: &str| words.iter().position(|it| it.contains(word));
    assert!(first_of("cas1 ActiveSync") < first_of("cas1 Autodiscover"));
    assert!(first_of("cas1 Autodiscover") < first_of("cas1 Ews"));
    assert!(first_of("cas1 Ews") < first_of("published ActiveSync"));
}

#[test]
fn witness_paths_are_looked_at_where_a_password_could_go() {
    let looks = |accounts: &[Account]| -> Vec<String> {
        let all = first_round(&target(), accounts, &vantages());
        let with = all.iter().filter(|it| it.looks.contains(&Look::AUTODISCOVER));
        with.filter(|it| it.looks.contains(&Look::EWS)).map(|it| it.path.to_string()).collect()
    };
    let with_password = looks(&[account(Generation::Exchange2010)]);
    assert!(with_password.contains(&"cas -> cas1".to_owned()));
    assert!(with_password.contains(&"ext -> published".to_owned()));
    assert!(!with_password.iter().any(|it| it.contains("be03")));
    let without = looks(&[Account { has_password: false, ..account(Generation::Exchange2010) }]);
    assert_eq!(without, Vec::<String>::new());
}
