//! What a diagnosis started from, kept beside it until nothing can ask for it any more: a restart judges by the target as it
//! was then, not by today's.
//!
//! Absent on purpose: secrets, which no body holds, and history, which is kept by itself and only added to.
//!
//! INVARIANT: it is written in the commit that accepts the diagnosis.

use std::time::SystemTime;

use parallax_model::{DiagnosisId, Vantage, VantageName};
use parallax_wire::{pb, read_zone, zone_word};
use prost::Message as _;

use crate::clock::system_time;
use crate::error::During as _;
use crate::row::row;
use crate::write::{Write, decode};
use crate::{Kind, Store, StoreError};

/// Target, accounts and vantages at the start of a diagnosis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiagnosisStart {
    pub target: pb::Target,
    pub accounts: Vec<pb::Account>,
    pub vantages: Vec<Vantage>,
}

row! {
    struct Row {
        start_ms: i64,
        target: Vec<u8>,
        accounts: Vec<u8>,
    }
}

impl Store {
    /// What a diagnosis started from, and when; `None`: that is not kept (any more).
    pub async fn diagnosis_start(
        &self,
        id: &DiagnosisId,
    ) -> Result<Option<(SystemTime, DiagnosisStart)>, StoreError> {
        const OPERATION: &str = "read the start of a diagnosis";
        let found: Option<Row> = sqlx::query_as(
            "SELECT start_ms, target, accounts FROM diagnosis_start WHERE diagnosis = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&self.core.reader)
        .await
        .during(OPERATION)?;
        let Some(row) = found else { return Ok(None) };
        let vantages: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT vantage, zone, site FROM diagnosis_vantage WHERE diagnosis = ? ORDER BY vantage",
        )
        .bind(id.as_str())
        .fetch_all(&self.core.reader)
        .await
        .during(OPERATION)?;
        let unreadable = |what: String| sqlx::Error::Decode(what.into());
        let vantages: Result<Vec<Vantage>, sqlx::Error> = vantages
            .into_iter()
            .map(|(name, zone, site)| {
                let zone = read_zone(&zone).ok_or_else(|| unreadable(zone))?;
                let name = VantageName::new(name).map_err(|it| unreadable(it.0))?;
                Ok(Vantage { name, zone, site })
            })
            .collect();
        let accounts: pb::ListAccountsResponse =
            decode(&row.accounts, OPERATION, Kind::Diagnosis, id.as_str())?;
        let start = DiagnosisStart {
            target: decode(&row.target, OPERATION, Kind::Diagnosis, id.as_str())?,
            accounts: accounts.accounts,
            vantages: vantages.during(OPERATION)?,
        };
        Ok(Some((system_time(row.start_ms), start)))
    }
}

impl Write<'_> {
    pub(crate) async fn add_start(
        &mut self,
        id: &DiagnosisId,
        start: &DiagnosisStart,
    ) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let accounts =
            pb::ListAccountsResponse { accounts: start.accounts.clone(), ..Default::default() };
        sqlx::query(
            "INSERT INTO diagnosis_start (diagnosis, start_ms, target, accounts) VALUES (?, ?, ?, ?)",
        )
        .bind(id.as_str())
        .bind(now_ms)
        .bind(start.target.encode_to_vec())
        .bind(accounts.encode_to_vec())
        .execute(self.connection())
        .await
        .during(operation)?;
        for Vantage { name, zone, site } in &start.vantages {
            sqlx::query(
                "INSERT INTO diagnosis_vantage (diagnosis, vantage, zone, site) VALUES (?, ?, ?, ?)",
            )
            .bind(id.as_str())
            .bind(name.as_str())
            .bind(zone_word(*zone))
            .bind(site)
            .execute(self.connection())
            .await
            .during(operation)?;
        }
        Ok(())
    }

    /// The diagnosis has ended. While the result of a logon may still come, its meaning depends on this.
    pub(crate) async fn drop_start(&mut self, id: &str) -> Result<(), StoreError> {
        let operation = self.operation;
        sqlx::query(
            "DELETE FROM diagnosis_start WHERE diagnosis = ?1 AND NOT EXISTS
               (SELECT 1 FROM attempt WHERE diagnosis = ?1 AND (outcome IS NULL OR outcome = 'unproven'))",
        )
        .bind(id)
        .execute(self.connection())
        .await
        .during(operation)?;
        Ok(())
    }
}
