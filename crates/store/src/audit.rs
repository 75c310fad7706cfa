//! The audit: who did what to which account, append-only.
//!
//! INVARIANT: a row is never changed or deleted; the schema refuses both.

use std::time::SystemTime;

use crate::clock::system_time;
use crate::error::During as _;
use crate::write::Write;
use crate::{Store, StoreError};

/// Rows read at once at the most.
const ROWS_MAX: u32 = 1000;

/// What is to be kept. No field may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who.
    pub principal: String,
    /// As `logon.start`, `account.rotate`.
    pub action: String,
    /// To what, as `accounts/legacy`.
    pub subject: String,
    /// In words.
    pub detail: String,
}

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Counts from 1.
    pub sequence: i64,
    pub at: SystemTime,
    pub entry: AuditEntry,
}

impl Store {
    /// Appends one line.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<i64, StoreError> {
        let mut write = self.core.write("append to the audit").await?;
        let sequence = write.audit(entry).await?;
        write.commit().await?;
        Ok(sequence)
    }

    /// Up to 1000 lines after this sequence number, oldest first.
    pub async fn audit_after(&self, sequence: i64) -> Result<Vec<AuditRecord>, StoreError> {
        let rows: Vec<(i64, i64, String, String, String, String)> = sqlx::query_as(
            "SELECT sequence, at_ms, principal, action, subject, detail FROM audit
              WHERE sequence > ? ORDER BY sequence LIMIT ?",
        )
        .bind(sequence)
        .bind(ROWS_MAX)
        .fetch_all(&self.core.reader)
        .await
        .during("read the audit")?;
        Ok(rows
            .into_iter()
            .map(|(sequence, at_ms, principal, action, subject, detail)| AuditRecord {
                sequence,
                at: system_time(at_ms),
                entry: AuditEntry { principal, action, subject, detail },
            })
            .collect())
    }
}

impl Write<'_> {
    pub(crate) async fn audit(&mut self, entry: &AuditEntry) -> Result<i64, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let (sequence,): (i64,) = sqlx::query_as(
            "INSERT INTO audit (at_ms, principal, action, subject, detail) VALUES (?, ?, ?, ?, ?)
             RETURNING sequence",
        )
        .bind(now_ms)
        .bind(&entry.principal)
        .bind(&entry.action)
        .bind(&entry.subject)
        .bind(&entry.detail)
        .fetch_one(self.connection())
        .await
        .during(operation)?;
        Ok(sequence)
    }
}
