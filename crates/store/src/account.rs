//! Accounts and their sealed secrets.
//!
//! Absent on purpose: what is left of an account's budget; that is the ledger's (`Store::budget`).
//!
//! INVARIANT: a secret is stored sealed for its account and version, and leaves only through [`Store::secret`].
//! INVARIANT: a breaker is not closed by giving the secret that is held already once more.
//! INVARIANT: one account of a directory has one guard in the ledger, under whatever names it is registered, and keeps it
//! when it is deleted and registered again.

use parallax_auth::{SealedAtRest, Secret};
use parallax_model::{Account, AccountId};
use parallax_wire::pb;
use prost::Message as _;

use crate::clock::timestamp;
use crate::error::During as _;
use crate::ledger::LedgerWrite;
use crate::page::page;
use crate::request::{Answer, RequestKey};
use crate::row::row;
use crate::write::decode;
use crate::{AuditEntry, Kind, Page, PageRequest, Store, StoreError};

const LIST: &str = "accounts";

/// An account to register.
#[derive(Debug)]
pub struct NewAccount {
    /// Id, directory, names and lockout policy, checked.
    pub account: Account,
    /// What is stored and shown; its `secret` and `budget` are dropped.
    pub body: pb::Account,
    pub secret: Option<Secret>,
    /// Who registers it.
    pub principal: String,
}

impl Store {
    /// Registers an account. `AlreadyExists`; `SameAccount` if one of its names is registered as another account already;
    /// `LedgerHolds` if it was registered before with a larger budget of which more is charged than this one has.
    pub async fn create_account(
        &self,
        new: NewAccount,
        request: Option<&RequestKey>,
    ) -> Result<Answer<pb::Account>, StoreError> {
        let mut ledger = self.core.ledger("create account").await?;
        let operation = ledger.write.operation;
        if let Some(before) = ledger.write.replay(request, Kind::Account).await? {
            return Ok(Answer::Replayed(before));
        }
        let id = &new.account.id;
        if ledger.account(id).await?.is_some() {
            let id = id.as_str().to_owned();
            return Err(StoreError::AlreadyExists { operation, kind: Kind::Account, id });
        }
        let guard = ledger.guard_for(&new.account).await?;
        let version = match &new.secret {
            Some(_) => ledger.next_secret_version(&guard).await?,
            None => 0,
        };
        let sealed = new.secret.as_ref().map(|it| ledger.seal(id, version, it)).transpose()?;
        let body = pb::Account {
            name: format!("accounts/{id}"),
            secret: String::new(),
            budget: None,
            secret_version: shown(version),
            create_time: Some(timestamp(ledger.write.now_ms)),
            ..new.body
        };
        let now_ms = ledger.write.now_ms;
        sqlx::query(
            "INSERT INTO account (id, create_ms, ledger_key, secret_version, sealed_secret, body)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(id.as_str())
        .bind(now_ms)
        .bind(&guard)
        .bind(version)
        .bind(sealed.as_ref().map(SealedAtRest::as_bytes))
        .bind(body.encode_to_vec())
        .execute(ledger.write.connection())
        .await
        .during(operation)?;
        let detail = format!("ledger account {guard}, secret version {version}");
        ledger.write.audit(&entry(&new.principal, "account.create", id, detail)).await?;
        ledger.write.remember(request, &body).await?;
        ledger.commit(&[&guard]).await?;
        Ok(Answer::Done(body))
    }

    /// Gets one account, without its budget.
    pub async fn account(&self, id: &AccountId) -> Result<pb::Account, StoreError> {
        const OPERATION: &str = "get account";
        let found: Option<(Vec<u8>,)> = sqlx::query_as("SELECT body FROM account WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.core.reader)
            .await
            .during(OPERATION)?;
        let (body,) = found.ok_or_else(|| missing(OPERATION, id))?;
        decode(&body, OPERATION, Kind::Account, id.as_str())
    }

    /// Lists accounts by id, without their budgets.
    pub async fn list_accounts(
        &self,
        request: &PageRequest,
    ) -> Result<Page<pb::Account>, StoreError> {
        const OPERATION: &str = "list accounts";
        let [after] = request.after(LIST, OPERATION)?.unwrap_or_default();
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT id, body FROM account WHERE id > ? ORDER BY id LIMIT ?")
                .bind(after)
                .bind(request.rows() + 1)
                .fetch_all(&self.core.reader)
                .await
                .during(OPERATION)?;
        let key = |row: &(String, Vec<u8>)| [row.0.clone()];
        page(rows, request, LIST, key, |(id, body)| decode(&body, OPERATION, Kind::Account, &id))
    }

    /// Replaces the secret. The breaker belongs to the old one; what is charged stays, since the directory's counter does not
    /// know about our versions. The secret that is held already changes nothing: version and breaker stay, and the account is
    /// returned as it is.
    pub async fn rotate_account(
        &self,
        id: &AccountId,
        secret: &Secret,
        principal: &str,
        request: Option<&RequestKey>,
    ) -> Result<Answer<pb::Account>, StoreError> {
        let mut ledger = self.core.ledger("rotate account").await?;
        let operation = ledger.write.operation;
        if let Some(before) = ledger.write.replay(request, Kind::Account).await? {
            return Ok(Answer::Replayed(before));
        }
        let row = ledger.account(id).await?.ok_or_else(|| missing(operation, id))?;
        let stored: pb::Account = decode(&row.body, operation, Kind::Account, id.as_str())?;
        if self.is_held(id, row.secret_version, row.sealed_secret, secret) {
            let detail = format!("the same secret, version {} stays", row.secret_version);
            ledger.write.audit(&entry(principal, "account.rotate", id, detail)).await?;
            ledger.write.remember(request, &stored).await?;
            ledger.commit(&[&row.ledger_key]).await?;
            return Ok(Answer::Done(stored));
        }
        let version = ledger.next_secret_version(&row.ledger_key).await?;
        let sealed = ledger.seal(id, version, secret)?;
        let body = pb::Account { secret_version: shown(version), ..stored };
        sqlx::query(
            "UPDATE account SET secret_version = ?, sealed_secret = ?, body = ? WHERE id = ?",
        )
        .bind(version)
        .bind(sealed.as_bytes())
        .bind(body.encode_to_vec())
        .bind(id.as_str())
        .execute(ledger.write.connection())
        .await
        .during(operation)?;
        let detail = format!("secret version {version}");
        ledger.write.audit(&entry(principal, "account.rotate", id, detail)).await?;
        ledger.write.remember(request, &body).await?;
        ledger.commit(&[&row.ledger_key]).await?;
        Ok(Answer::Done(body))
    }

    /// Deletes an account and its secret. `Referenced` while a target uses it. Its ledger stays.
    pub async fn delete_account(&self, id: &AccountId, principal: &str) -> Result<(), StoreError> {
        let mut ledger = self.core.ledger("delete account").await?;
        let operation = ledger.write.operation;
        let row = ledger.account(id).await?.ok_or_else(|| missing(operation, id))?;
        let used: Option<(String,)> =
            sqlx::query_as("SELECT target FROM target_account WHERE account = ? ORDER BY target")
                .bind(id.as_str())
                .fetch_optional(ledger.write.connection())
                .await
                .during(operation)?;
        if let Some((target,)) = used {
            return Err(StoreError::Referenced {
                operation,
                kind: Kind::Account,
                id: id.as_str().to_owned(),
                by: format!("targets/{target}"),
            });
        }
        sqlx::query("DELETE FROM account WHERE id = ?")
            .bind(id.as_str())
            .execute(ledger.write.connection())
            .await
            .during(operation)?;
        let detail = format!("ledger account {} stays", row.ledger_key);
        ledger.write.audit(&entry(principal, "account.delete", id, detail)).await?;
        ledger.commit(&[&row.ledger_key]).await
    }

    /// The secret of this version, for sealing one `go` and nothing else. `NotFound` if the account is gone, holds none, or
    /// was rotated since.
    pub async fn secret(&self, id: &AccountId, version: u64) -> Result<Secret, StoreError> {
        const OPERATION: &str = "open the secret";
        let found: Option<(Vec<u8>,)> = sqlx::query_as(
            "SELECT sealed_secret FROM account
              WHERE id = ? AND secret_version = ? AND sealed_secret IS NOT NULL",
        )
        .bind(id.as_str())
        .bind(i64::try_from(version).unwrap_or(i64::MAX))
        .fetch_optional(&self.core.reader)
        .await
        .during(OPERATION)?;
        let (sealed,) = found.ok_or_else(|| missing(OPERATION, id))?;
        let sealed = SealedAtRest::from_stored(sealed);
        self.core.envelope.open(id, version, &sealed).during(OPERATION)
    }

    /// Whether this is the secret that is held. One that does not open any more can be sent to nobody: whatever is given is
    /// another one.
    fn is_held(
        &self,
        id: &AccountId,
        version: i64,
        sealed: Option<Vec<u8>>,
        given: &Secret,
    ) -> bool {
        let version = u64::try_from(version).unwrap_or(0);
        let sealed = sealed.map(SealedAtRest::from_stored);
        let held = sealed.and_then(|it| self.core.envelope.open(id, version, &it).ok());
        held.is_some_and(|it| it.is_same_as(given))
    }
}

row! {
    /// What the ledger needs of a stored account.
    pub(crate) struct AccountRow {
        pub(crate) ledger_key: String,
        pub(crate) secret_version: i64,
        pub(crate) sealed_secret: Option<Vec<u8>>,
        pub(crate) body: Vec<u8>,
    }
}

impl LedgerWrite<'_> {
    pub(crate) async fn account(
        &mut self,
        id: &AccountId,
    ) -> Result<Option<AccountRow>, StoreError> {
        let operation = self.write.operation;
        sqlx::query_as(
            "SELECT ledger_key, secret_version, sealed_secret, body FROM account WHERE id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(self.write.connection())
        .await
        .during(operation)
    }

    fn seal(
        &self,
        id: &AccountId,
        version: i64,
        secret: &Secret,
    ) -> Result<SealedAtRest, StoreError> {
        let version = u64::try_from(version).unwrap_or(0);
        self.write.core.envelope.seal(id, version, secret).during(self.write.operation)
    }
}

pub(crate) fn missing(operation: &'static str, id: &AccountId) -> StoreError {
    StoreError::NotFound { operation, kind: Kind::Account, id: id.as_str().to_owned() }
}

pub(crate) fn entry(principal: &str, action: &str, id: &AccountId, detail: String) -> AuditEntry {
    AuditEntry {
        principal: principal.to_owned(),
        action: action.to_owned(),
        subject: format!("accounts/{id}"),
        detail,
    }
}

/// A version as the API shows it; nobody rotates two thousand million times.
fn shown(version: i64) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}
