//! Generators of what people declare: targets, endpoints, accounts; and of the tasks made from them.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use parallax_model::{
    Account, AccountId, DiagnosisId, Endpoint, EndpointName, Event, EventKind, Generation, Limits,
    LockoutPolicy, LogonTask, NameForm, Purpose, Role, Target, TargetAccount, TargetId, Task,
    Threshold, Trust, UserName, VantageName,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::{address, free_look, place, text, time, word};

/// A real certificate, because only X.509 is taken.
static AUTHORITY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let names = vec!["ca.example".to_owned()];
    rcgen::generate_simple_self_signed(names).expect("a certificate").cert.der().to_vec()
});

pub(crate) fn vantage_name() -> impl Strategy<Value = VantageName> {
    word().prop_map(|it| VantageName::new(it).expect("a name"))
}

pub(crate) fn endpoint_name() -> impl Strategy<Value = EndpointName> {
    word().prop_map(|it| EndpointName::new(it).expect("a name"))
}

pub(crate) fn account_id() -> impl Strategy<Value = AccountId> {
    word().prop_map(|it| AccountId::new(it).expect("a name"))
}

fn generation() -> impl Strategy<Value = Generation> {
    prop_oneof![
        Just(Generation::Exchange2003),
        Just(Generation::Exchange2007),
        Just(Generation::Exchange2010),
        Just(Generation::Exchange2013),
        Just(Generation::Exchange2016),
        Just(Generation::Exchange2019),
        Just(Generation::SubscriptionEdition),
        Just(Generation::Online),
        Just(Generation::Other),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::External), Just(Role::Cas), Just(Role::Backend), Just(Role::Control)]
}

fn trust() -> impl Strategy<Value = Trust> {
    prop_oneof![
        Just(Trust::PublicOrStore),
        Just(Trust::Public),
        Just(Trust::Store),
        (1..3_usize).prop_map(|count| Trust::Authorities(vec![AUTHORITY.clone(); count])),
        btree_set(any::<[u8; 32]>(), 1..8).prop_map(|it| Trust::Pinned(it.into_iter().collect())),
    ]
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,5}){1,2}",
        address().prop_map(|it| it.to_string()),
    ]
}

pub(crate) fn endpoint() -> impl Strategy<Value = Endpoint> {
    let url = (any::<bool>(), host(), 1..=u16::MAX, "/[a-zA-Z0-9._-]{1,12}[a-zA-Z0-9]");
    let lists = (
        btree_set(word(), 0..4),
        btree_set(address(), 0..4),
        option::of(address()),
        option::of(1..=10_u32),
    );
    (endpoint_name(), role(), url, option::of(generation()), trust(), lists, any::<bool>())
        .prop_map(|(name, role, url, generation, trust, lists, allow_plaintext_logon)| Endpoint {
            name,
            role,
            is_https: url.0,
            host: url.1,
            port: url.2,
            path: url.3,
            generation,
            connect: lists.2,
            trust,
            from: lists.0.into_iter().map(|it| VantageName::new(it).expect("a name")).collect(),
            published_on: lists.1.into_iter().collect::<Vec<IpAddr>>(),
            allow_plaintext_logon,
            logon_cost: lists.3,
        })
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        Just(EventKind::AdminChange),
        Just(EventKind::PasswordChange),
        Just(EventKind::Restart),
        Just(EventKind::Update),
        Just(EventKind::Cutover),
        Just(EventKind::UserReport),
        Just(EventKind::ServerLog),
    ];
    (time(), kind, "[a-zA-Z0-9 ,.]{0,40}").prop_map(|(at, kind, text)| Event { at, kind, text })
}

pub(crate) fn target() -> impl Strategy<Value = Target> {
    let purpose = prop_oneof![Just(Purpose::Subject), Just(Purpose::Witness)];
    (
        word(),
        "[a-zA-Z0-9 äé]{0,20}",
        option::of(generation()),
        btree_map(endpoint_name(), endpoint(), 1..4),
        btree_map(account_id(), purpose, 0..4),
        vec(event(), 0..4),
    )
        .prop_map(|(id, display_name, generation, endpoints, accounts, events)| Target {
            id: TargetId::new(id).expect("a name"),
            display_name,
            generation,
            endpoints: endpoints
                .into_iter()
                .map(|(name, endpoint)| Endpoint { name, ..endpoint })
                .collect(),
            accounts: accounts
                .into_iter()
                .map(|(account, purpose)| TargetAccount { account, purpose })
                .collect(),
            events,
        })
}

fn user_name() -> impl Strategy<Value = (NameForm, String)> {
    prop_oneof![
        "[a-z]{1,8}@[a-z]{1,8}\\.example".prop_map(|it| (NameForm::Upn, it)),
        "[A-Z]{1,8}\\\\[a-z]{1,8}".prop_map(|it| (NameForm::Domain, it)),
        "[a-z]{1,8}@[a-z]{1,8}\\.example".prop_map(|it| (NameForm::Smtp, it)),
        "[a-z]{1,8}".prop_map(|it| (NameForm::Bare, it)),
    ]
}

/// As the store gives it without a secret.
pub(crate) fn account() -> impl Strategy<Value = Account> {
    let threshold = prop_oneof![
        (1..=999_u32).prop_map(Threshold::At),
        Just(Threshold::Never),
        Just(Threshold::Unknown),
    ];
    let window = option::of((60..=604_800_u64).prop_map(Duration::from_secs));
    let lockout =
        (threshold, window).prop_map(|(threshold, window)| LockoutPolicy { threshold, window });
    let upn = option::of("[a-z]{1,8}@[a-z]{1,8}\\.example");
    (account_id(), "[a-z]{1,8}", vec(user_name(), 1..4), upn, option::of(generation()), lockout)
        .prop_map(|(id, directory, names, upn, mailbox, lockout)| {
            let names: std::collections::BTreeMap<_, _> = names.into_iter().collect();
            Account {
                id,
                directory,
                names: names.into_iter().map(|(form, login)| UserName { form, login }).collect(),
                upn,
                mailbox,
                lockout,
                secret_is_ascii: true,
                has_password: false,
            }
        })
}

fn limits() -> impl Strategy<Value = Limits> {
    let limit = || (0..=120_000_u64).prop_map(Duration::from_millis);
    (limit(), limit(), limit(), limit(), limit(), limit()).prop_map(
        |(dns, tcp, tls, exchange, observation, credentialed)| Limits {
            dns,
            tcp,
            tls,
            exchange,
            observation,
            credentialed,
        },
    )
}

pub(crate) fn task() -> impl Strategy<Value = Task> {
    let logon = (word(), account_id(), user_name(), place()).prop_map(
        |(attempt, account, (form, login), place)| LogonTask {
            attempt,
            account,
            name: UserName { form, login },
            place,
        },
    );
    (
        text(),
        word(),
        endpoint(),
        vec(free_look(), 0..8),
        option::of(logon),
        option::of(address()),
        any::<bool>(),
        limits(),
    )
        .prop_map(
            |(id, diagnosis, endpoint, looks, logon, only_address, without_sni, limits)| Task {
                id,
                diagnosis: DiagnosisId::new(diagnosis).expect("a name"),
                endpoint,
                looks,
                logon,
                only_address,
                without_sni,
                limits,
            },
        )
}
