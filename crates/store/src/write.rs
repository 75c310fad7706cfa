//! One writing transaction: begun immediately, with the database's time of its beginning.
//!
//! Dropped without [`Write::commit`], it leaves nothing behind.

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
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.during(operation)?;
        let now_ms = self.clock.now_ms(&mut transaction).await.during(operation)?;
        Ok(Write { core: self, operation, now_ms, transaction })
    }
}

impl Write<'_> {
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await.during(self.operation)
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
