//! Targets: created, changed under their etag, listed by id, deleted.
//!
//! Absent on purpose: checking what a target says; the API does that before it comes here.
//!
//! INVARIANT: a target names only accounts that exist; `name`, times and etag of a stored body are the store's.

use parallax_model::TargetId;
use parallax_wire::pb;
use prost::Message as _;

use crate::clock::timestamp;
use crate::error::During as _;
use crate::page::page;
use crate::request::{Answer, RequestKey};
use crate::write::{Write, decode};
use crate::{Kind, Page, PageRequest, Store, StoreError};

const LIST: &str = "targets";

impl Store {
    /// Registers a target. `AlreadyExists`; `NotFound` for an account it names.
    pub async fn create_target(
        &self,
        id: &TargetId,
        target: pb::Target,
        request: Option<&RequestKey>,
    ) -> Result<Answer<pb::Target>, StoreError> {
        let mut write = self.core.write("create target").await?;
        if let Some(before) = write.replay(request, Kind::Target).await? {
            return Ok(Answer::Replayed(before));
        }
        if write.target(id).await?.is_some() {
            let operation = write.operation;
            return Err(StoreError::AlreadyExists {
                operation,
                kind: Kind::Target,
                id: id.as_str().to_owned(),
            });
        }
        let created = write.put_target(id, target, None).await?;
        write.remember(request, &created).await?;
        write.commit().await?;
        Ok(Answer::Done(created))
    }

    /// Gets one target.
    pub async fn target(&self, id: &TargetId) -> Result<pb::Target, StoreError> {
        const OPERATION: &str = "get target";
        let found: Option<(Vec<u8>,)> = sqlx::query_as("SELECT body FROM target WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.core.reader)
            .await
            .during(OPERATION)?;
        let (body,) = found.ok_or_else(|| missing(OPERATION, id))?;
        decode(&body, OPERATION, Kind::Target, id.as_str())
    }

    /// Lists targets by id.
    pub async fn list_targets(
        &self,
        request: &PageRequest,
    ) -> Result<Page<pb::Target>, StoreError> {
        const OPERATION: &str = "list targets";
        let [after] = request.after(LIST, OPERATION)?.unwrap_or_default();
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT id, body FROM target WHERE id > ? ORDER BY id LIMIT ?")
                .bind(after)
                .bind(request.rows() + 1)
                .fetch_all(&self.core.reader)
                .await
                .during(OPERATION)?;
        let key = |row: &(String, Vec<u8>)| [row.0.clone()];
        page(rows, request, LIST, key, |(id, body)| decode(&body, OPERATION, Kind::Target, &id))
    }

    /// Replaces a target whole. `etag` is the one the change was based on; `None`: whatever it is. With `allow_missing` it is
    /// created if there is none.
    pub async fn update_target(
        &self,
        id: &TargetId,
        target: pb::Target,
        etag: Option<&str>,
        allow_missing: bool,
        request: Option<&RequestKey>,
    ) -> Result<Answer<pb::Target>, StoreError> {
        let mut write = self.core.write("update target").await?;
        if let Some(before) = write.replay(request, Kind::Target).await? {
            return Ok(Answer::Replayed(before));
        }
        let current = write.target(id).await?;
        match &current {
            Some(current) => check_etag(write.operation, id, etag, &current.etag)?,
            None if allow_missing => {}
            None => return Err(missing(write.operation, id)),
        }
        let updated = write.put_target(id, target, current.as_ref()).await?;
        write.remember(request, &updated).await?;
        write.commit().await?;
        Ok(Answer::Done(updated))
    }

    /// Deletes a target; its diagnoses and its history stay.
    pub async fn delete_target(&self, id: &TargetId, etag: Option<&str>) -> Result<(), StoreError> {
        let mut write = self.core.write("delete target").await?;
        let operation = write.operation;
        let current = write.target(id).await?.ok_or_else(|| missing(operation, id))?;
        check_etag(operation, id, etag, &current.etag)?;
        sqlx::query("DELETE FROM target WHERE id = ?")
            .bind(id.as_str())
            .execute(write.connection())
            .await
            .during(operation)?;
        write.commit().await
    }
}

impl Write<'_> {
    async fn target(&mut self, id: &TargetId) -> Result<Option<pb::Target>, StoreError> {
        let operation = self.operation;
        let found: Option<(Vec<u8>,)> = sqlx::query_as("SELECT body FROM target WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(self.connection())
            .await
            .during(operation)?;
        found.map(|(body,)| decode(&body, operation, Kind::Target, id.as_str())).transpose()
    }

    async fn put_target(
        &mut self,
        id: &TargetId,
        target: pb::Target,
        current: Option<&pb::Target>,
    ) -> Result<pb::Target, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let now = Some(timestamp(now_ms));
        let target = pb::Target {
            name: format!("targets/{id}"),
            create_time: current.map_or_else(|| now, |it| it.create_time),
            update_time: now,
            etag: uuid::Uuid::new_v4().simple().to_string(),
            ..target
        };
        sqlx::query(
            "INSERT INTO target (id, create_ms, update_ms, etag, body) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE
                SET update_ms = excluded.update_ms, etag = excluded.etag, body = excluded.body",
        )
        .bind(id.as_str())
        .bind(now_ms)
        .bind(now_ms)
        .bind(&target.etag)
        .bind(target.encode_to_vec())
        .execute(self.connection())
        .await
        .during(operation)?;
        sqlx::query("DELETE FROM target_account WHERE target = ?")
            .bind(id.as_str())
            .execute(self.connection())
            .await
            .during(operation)?;
        for used in &target.accounts {
            self.link_account(id, &used.account).await?;
        }
        Ok(target)
    }

    async fn link_account(&mut self, target: &TargetId, name: &str) -> Result<(), StoreError> {
        let operation = self.operation;
        let account = name.strip_prefix("accounts/").unwrap_or(name);
        let linked = sqlx::query(
            "INSERT INTO target_account (target, account) SELECT ?, id FROM account WHERE id = ?
             ON CONFLICT DO NOTHING",
        )
        .bind(target.as_str())
        .bind(account)
        .execute(self.connection())
        .await
        .during(operation)?;
        if linked.rows_affected() == 1 || self.has_account(account).await? {
            return Ok(());
        }
        Err(StoreError::NotFound { operation, kind: Kind::Account, id: account.to_owned() })
    }

    async fn has_account(&mut self, account: &str) -> Result<bool, StoreError> {
        let operation = self.operation;
        let found: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM account WHERE id = ?")
            .bind(account)
            .fetch_optional(self.connection())
            .await
            .during(operation)?;
        Ok(found.is_some())
    }
}

fn missing(operation: &'static str, id: &TargetId) -> StoreError {
    StoreError::NotFound { operation, kind: Kind::Target, id: id.as_str().to_owned() }
}

fn check_etag(
    operation: &'static str,
    id: &TargetId,
    given: Option<&str>,
    current: &str,
) -> Result<(), StoreError> {
    match given {
        Some(given) if given != current => Err(StoreError::Conflict {
            operation,
            kind: Kind::Target,
            id: id.as_str().to_owned(),
            etag: current.to_owned(),
        }),
        Some(_) | None => Ok(()),
    }
}
