//! One writing transaction: begun immediately, with the database's time of its beginning.
//!
//! Dropped without [`Write::commit`], it leaves nothing behind.

use parallax_failpoint::point;
use prost::Message;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::error::During as _;
use crate::open::Core;
use crate::{Kind, StoreError};

pub(crate) struct Write<'s> {
    pub(crate) core: &'s Core,
    pub(crate) operation: &'static str,
    pub(crate) now_ms: i64,
    transaction: Transaction<'static, Sqlite>,
}

impl Core {
    pub(crate) async fn write(&self, operation: &'static str) -> Result<Write<'_>, StoreError> {
        let mut transaction = self.begin().await.during(operation)?;
        #[cfg(test)]
        self.limit_pages(&mut transaction).await;
        let now_ms = self.clock.now_ms(&mut transaction).await.during(operation)?;
        Ok(Write { core: self, operation, now_ms, transaction })
    }
}

impl Core {
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        match self.writer.begin_with("BEGIN IMMEDIATE").await {
            // SQLite rolls back by itself when the disk is full; the driver then takes its connection for one that is
            // still in a transaction, for ever. Another connection is not.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                self.writer.begin_with("BEGIN IMMEDIATE").await
            }
            begun => begun,
        }
    }

    /// Gives up the ballast if this says that the disk is full.
    pub(crate) fn watch<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Full { .. })) {
            self.space.give_up();
        }
        outcome
    }
}

impl Write<'_> {
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        point("store.commit.before");
        let committed = self.transaction.commit().await.during(self.operation);
        point("store.commit.after");
        self.core.watch(committed)
    }

    /// Gives up, and waits until the connection is clean again.
    pub(crate) async fn roll_back(self) -> Result<(), StoreError> {
        self.transaction.rollback().await.during(self.operation)
    }
}

/// Decodes a stored body.
pub(crate) fn decode<M: Message + Default>(
    body: &[u8],
    operation: &'static str,
    kind: Kind,
    id: &str,
) -> Result<M, StoreError> {
    M::decode(body).map_err(|source| StoreError::Undecodable {
        operation,
        kind,
        id: id.to_owned(),
        source,
    })
}
