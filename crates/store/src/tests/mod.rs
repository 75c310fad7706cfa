//! Tests of the whole store on real files: a temporary folder each, clocks that stand still.

mod clocks;
mod concurrency;
mod damage;
mod joining;
mod locked;
mod logons;
mod model;
mod offers;
mod resources;
mod restart;
mod room;
mod schema;
mod secrets;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use parallax_auth::Secret;
use parallax_model::{
    Account, AccountId, DiagnosisId, EndpointName, LockoutPolicy, NameForm, TargetId, Threshold,
    UserName, Vantage, VantageName, Zone,
};
use parallax_wire::pb;
use tempfile::TempDir;

use crate::clock::{Clock, TestTime};
use crate::{
    Attempt, LogonResult, NewAccount, Nonce, ReserveRefused, ReserveRequest, Settled, Store,
    StoreError,
};

pub(crate) const PASSWORD: &str = "Planted-Secret-4711";

/// A store in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
    time: Arc<TestTime>,
    nonces: u128,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let time = TestTime { still_at_ms: 1_900_000_000_000.into(), ..TestTime::default() };
        let time = Arc::new(time);
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path(), &time).await;
        Self { store, folder, time, nonces: 0 }
    }

    /// As after a crash: nothing is told beforehand.
    pub(crate) async fn reopen(self) -> Self {
        let Self { store, folder, time, nonces } = self;
        store.close().await;
        let store = open(folder.path(), &time).await;
        Self { store, folder, time, nonces }
    }

    /// Closes, lets `change` work on the files, opens again.
    pub(crate) async fn reopen_after(self, change: impl FnOnce(&Path)) -> Self {
        let Self { store, folder, time, nonces } = self;
        store.close().await;
        change(folder.path());
        let store = open(folder.path(), &time).await;
        Self { store, folder, time, nonces }
    }

    /// Time passes on both clocks.
    pub(crate) fn pass(&self, duration: Duration) {
        self.time.passed_ms.fetch_add(crate::clock::millis(duration), SeqCst);
    }

    /// Somebody moves the wall clock.
    pub(crate) fn jump_s(&self, seconds: i64) {
        self.time.jumped_ms.fetch_add(seconds * 1000, SeqCst);
    }

    pub(crate) fn nonce(&mut self) -> Nonce {
        self.nonces += 1;
        self.nonces.to_be_bytes()
    }

    pub(crate) async fn add_account(&self, id: &str, threshold: Threshold, window: Duration) {
        let new = new_account(id, "corp", &[id], threshold, Some(window));
        self.store.create_account(new, None).await.expect("account made");
        self.add_agent("hq").await;
    }

    /// Registers an agent, unless it is there.
    pub(crate) async fn add_agent(&self, name: &str) {
        add_agent(&self.store, name).await;
    }

    pub(crate) async fn reserve(
        &self,
        request: &ReserveRequest,
    ) -> Result<Attempt, ReserveRefused> {
        self.store.reserve(request).await.expect("the ledger answers")
    }

    /// Reserves, starts and settles one logon.
    pub(crate) async fn logon(
        &mut self,
        request: &ReserveRequest,
        result: LogonResult,
    ) -> Result<Settled, ReserveRefused> {
        let attempt = self.reserve(request).await?;
        let nonce = self.nonce();
        let started = self.store.start(&attempt.id, &nonce, &request.agent).await;
        started.expect("the ledger answers").expect("starts");
        let settled = self.store.settle(&attempt.id, &nonce, result).await;
        Ok(settled.expect("the ledger answers").expect("settles"))
    }

    /// Charged and left.
    pub(crate) async fn budget(&self, id: &str) -> (u32, u32) {
        let budget = self.store.budget(&account_id(id)).await.expect("a budget");
        (budget.charged, budget.left)
    }
}

async fn open(folder: &Path, time: &Arc<TestTime>) -> Store {
    let clock = Clock::of_test(Arc::clone(time));
    Store::open_by(folder, Duration::ZERO, clock).await.expect("opens")
}

/// Registers an agent, unless it is there.
pub(crate) async fn add_agent(store: &Store, name: &str) {
    let name = VantageName::new(name).expect("a name");
    if matches!(store.agent(&name).await, Err(StoreError::NotFound { .. })) {
        let certificate = <sha2::Sha256 as sha2::Digest>::digest(name.as_str()).into();
        let vantage = Vantage { name, zone: Zone::Dmz, site: String::new() };
        store.register_agent(&vantage, certificate, false).await.expect("registered");
    }
}

pub(crate) fn account_id(id: &str) -> AccountId {
    AccountId::new(id).expect("a name")
}

pub(crate) fn target_id(id: &str) -> TargetId {
    TargetId::new(id).expect("a name")
}

pub(crate) fn diagnosis_id(id: &str) -> DiagnosisId {
    DiagnosisId::new(id).expect("a name")
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned()).expect("a secret")
}

pub(crate) fn new_account(
    id: &str,
    directory: &str,
    logins: &[&str],
    threshold: Threshold,
    window: Option<Duration>,
) -> NewAccount {
    let names = logins
        .iter()
        .map(|login| UserName { form: NameForm::Bare, login: (*login).to_owned() })
        .collect();
    NewAccount {
        account: Account {
            id: account_id(id),
            directory: directory.to_owned(),
            names,
            mailbox: None,
            upn: None,
            lockout: LockoutPolicy { threshold, window },
            secret_is_ascii: true,
            has_password: true,
        },
        body: pb::Account {
            directory: directory.to_owned(),
            secret: PASSWORD.to_owned(),
            ..pb::Account::default()
        },
        secret: Some(secret(PASSWORD)),
        principal: "admin".to_owned(),
    }
}

/// A logon of cost 1 at an endpoint called like its server.
pub(crate) fn request(account: &str, diagnosis: &str, server: &str) -> ReserveRequest {
    ReserveRequest {
        account: account_id(account),
        diagnosis: diagnosis_id(diagnosis),
        principal: "operator".to_owned(),
        agent: VantageName::new("hq").expect("a name"),
        target: target_id("mail"),
        endpoint: EndpointName::new(server).expect("a name"),
        server: server.to_owned(),
        scheme: "basic".to_owned(),
        cost: 1,
        cas: None,
        scheduled: false,
    }
}
