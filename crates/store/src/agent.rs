//! Agents: which certificate stands for which vantage.
//!
//! Absent on purpose: whether one is connected; that is the controller's to know.
//!
//! INVARIANT: a vantage has one agent and a certificate one vantage; session epochs only grow.

use std::time::SystemTime;

use parallax_model::{Vantage, VantageName, Zone};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use crate::clock::system_time;
use crate::error::During as _;
use crate::{Kind, Store, StoreError};

/// A registered agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRecord {
    pub vantage: Vantage,
    /// SHA-256 of the certificate it shows, over the DER encoding.
    pub certificate_sha256: [u8; 32],
    /// Set by the store.
    pub registered: SystemTime,
}

impl FromRow<'_, SqliteRow> for AgentRecord {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let name: String = row.try_get("vantage")?;
        let zone: String = row.try_get("zone")?;
        let certificate: Vec<u8> = row.try_get("certificate_sha256")?;
        let unreadable = |what: &str| sqlx::Error::Decode(what.to_owned().into());
        Ok(Self {
            vantage: Vantage {
                name: VantageName::new(name).map_err(|_| unreadable("vantage"))?,
                zone: zone_from(&zone).ok_or_else(|| unreadable("zone"))?,
                site: row.try_get("site")?,
            },
            certificate_sha256: certificate.try_into().map_err(|_| unreadable("certificate"))?,
            registered: system_time(row.try_get("registered_ms")?),
        })
    }
}

fn zone_word(zone: Zone) -> &'static str {
    match zone {
        Zone::External => "external",
        Zone::Dmz => "dmz",
        Zone::Internal => "internal",
        Zone::Backend => "backend",
    }
}

fn zone_from(word: &str) -> Option<Zone> {
    [Zone::External, Zone::Dmz, Zone::Internal, Zone::Backend]
        .into_iter()
        .find(|zone| zone_word(*zone) == word)
}

impl Store {
    /// Registers the agent of a vantage. A second one of the same name is `AlreadyExists` unless it is to replace the first;
    /// so is a certificate that stands for another vantage.
    pub async fn register_agent(
        &self,
        vantage: &Vantage,
        certificate_sha256: [u8; 32],
        replace: bool,
    ) -> Result<AgentRecord, StoreError> {
        let mut write = self.core.write("register agent").await?;
        let (operation, now_ms) = (write.operation, write.now_ms);
        let taken: Option<(String,)> = sqlx::query_as(
            "SELECT vantage FROM agent WHERE (vantage = ? AND NOT ?) OR (certificate_sha256 = ? AND vantage <> ?)",
        )
        .bind(vantage.name.as_str())
        .bind(replace)
        .bind(certificate_sha256.as_slice())
        .bind(vantage.name.as_str())
        .fetch_optional(write.connection())
        .await
        .during(operation)?;
        if let Some((id,)) = taken {
            return Err(StoreError::AlreadyExists { operation, kind: Kind::Agent, id });
        }
        sqlx::query(
            "INSERT INTO agent (vantage, zone, site, certificate_sha256, registered_ms) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (vantage) DO UPDATE SET zone = excluded.zone, site = excluded.site,
                certificate_sha256 = excluded.certificate_sha256, registered_ms = excluded.registered_ms",
        )
        .bind(vantage.name.as_str())
        .bind(zone_word(vantage.zone))
        .bind(&vantage.site)
        .bind(certificate_sha256.as_slice())
        .bind(now_ms)
        .execute(write.connection())
        .await
        .during(operation)?;
        write.commit().await?;
        let registered = system_time(now_ms);
        Ok(AgentRecord { vantage: vantage.clone(), certificate_sha256, registered })
    }

    /// Every registered agent, by vantage.
    pub async fn agents(&self) -> Result<Vec<AgentRecord>, StoreError> {
        sqlx::query_as("SELECT * FROM agent ORDER BY vantage")
            .fetch_all(&self.core.reader)
            .await
            .during("list agents")
    }

    /// The agent that shows this certificate, if it is registered.
    pub async fn agent_by_certificate(
        &self,
        certificate_sha256: &[u8; 32],
    ) -> Result<Option<AgentRecord>, StoreError> {
        sqlx::query_as("SELECT * FROM agent WHERE certificate_sha256 = ?")
            .bind(certificate_sha256.as_slice())
            .fetch_optional(&self.core.reader)
            .await
            .during("get agent")
    }

    /// Takes the agent of a vantage off the register.
    pub async fn remove_agent(&self, vantage: &VantageName) -> Result<(), StoreError> {
        const OPERATION: &str = "remove agent";
        let removed = sqlx::query("DELETE FROM agent WHERE vantage = ?")
            .bind(vantage.as_str())
            .execute(&self.core.writer)
            .await
            .during(OPERATION)?;
        if removed.rows_affected() == 1 { Ok(()) } else { Err(missing(OPERATION, vantage)) }
    }

    /// Counts up with every session of this agent, across restarts; the newest session wins.
    pub async fn next_session_epoch(&self, vantage: &VantageName) -> Result<i64, StoreError> {
        const OPERATION: &str = "begin agent session";
        let epoch: Option<(i64,)> = sqlx::query_as(
            "UPDATE agent SET session_epoch = session_epoch + 1 WHERE vantage = ? RETURNING session_epoch",
        )
        .bind(vantage.as_str())
        .fetch_optional(&self.core.writer)
        .await
        .during(OPERATION)?;
        epoch.map(|(epoch,)| epoch).ok_or_else(|| missing(OPERATION, vantage))
    }
}

fn missing(operation: &'static str, vantage: &VantageName) -> StoreError {
    StoreError::NotFound { operation, kind: Kind::Agent, id: vantage.as_str().to_owned() }
}
