//! Agents: which certificate stands for which vantage, and whether it still may.
//!
//! A renewal leaves the certificate before it good until the new one is first used, so that a lost answer harms nobody.
//! Absent on purpose: whether one is connected (the controller's to know), and how one joins (`joining`).
//!
//! INVARIANT: a vantage has one agent and a certificate one vantage; its session epochs only grow while it is registered.
//! INVARIANT: a banned agent stays banned until it is removed; the schema refuses anything else.

use std::time::SystemTime;

use parallax_model::{Vantage, VantageName};
use parallax_wire::{read_zone, zone_word};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use crate::append::{Appended, Work};
use crate::clock::system_time;
use crate::error::During as _;
use crate::page::page;
use crate::write::Write;
use crate::{AuditEntry, Kind, Page, PageRequest, Store, StoreError};

const LIST: &str = "agents";

/// A registered agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRecord {
    pub vantage: Vantage,
    /// SHA-256 of its newest certificate, over the DER encoding.
    pub certificate_sha256: [u8; 32],
    /// Of the one before, while it is still good: until the newest is first used.
    pub previous_sha256: Option<[u8; 32]>,
    /// SHA-256 of its public key, over the DER of `SubjectPublicKeyInfo`; not known of one that was registered without joining.
    pub public_key_sha256: Option<[u8; 32]>,
    /// The end of its newest certificate, as far as known.
    pub certificate_expires: Option<SystemTime>,
    /// Set by the store.
    pub registered: SystemTime,
    pub banned: Option<Ban>,
    /// Since when it is given nothing new.
    pub drained: Option<SystemTime>,
    /// The program's version, as it said last.
    pub version: String,
    /// Its policy file's SHA-256 in hexadecimal, as it said last.
    pub policy_sha256: String,
    /// When its newest session began, or its last one ended.
    pub seen: Option<SystemTime>,
    /// When a certificate was shown whose successor had been used already.
    pub copied: Option<SystemTime>,
    newest_used: bool,
}

/// When an agent was shut out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    pub at: SystemTime,
    pub reason: String,
}

/// What a certificate that somebody showed stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// An agent that may come in.
    Agent(Box<AgentRecord>),
    /// One that is shut out.
    Banned { vantage: VantageName, ban: Ban },
    /// Its successor was used already: two machines hold this identity.
    Copied { vantage: VantageName },
    /// None of ours, or not any more.
    Unknown,
}

/// What an agent says of itself at the beginning of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    pub version: String,
    pub policy_sha256: String,
}

impl AgentRecord {
    /// Every certificate that is good for it now.
    pub fn certificates(&self) -> impl Iterator<Item = [u8; 32]> {
        [Some(self.certificate_sha256), self.previous_sha256].into_iter().flatten()
    }
}

impl FromRow<'_, SqliteRow> for AgentRecord {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let name: String = row.try_get("vantage")?;
        let zone: String = row.try_get("zone")?;
        let unreadable = |what: &str| sqlx::Error::Decode(what.to_owned().into());
        let time = |column: &str| -> Result<Option<SystemTime>, sqlx::Error> {
            Ok(row.try_get::<Option<i64>, _>(column)?.map(system_time))
        };
        let ban_reason: Option<String> = row.try_get("ban_reason")?;
        let digest = |column: &str| -> Result<Option<[u8; 32]>, sqlx::Error> {
            let bytes: Option<Vec<u8>> = row.try_get(column)?;
            bytes.map(|it| it.try_into().map_err(|_| unreadable(column))).transpose()
        };
        Ok(Self {
            vantage: Vantage {
                name: VantageName::new(name).map_err(|_| unreadable("vantage"))?,
                zone: read_zone(&zone).ok_or_else(|| unreadable("zone"))?,
                site: row.try_get("site")?,
            },
            certificate_sha256: digest("certificate_sha256")?
                .ok_or_else(|| unreadable("certificate"))?,
            previous_sha256: digest("previous_sha256")?,
            public_key_sha256: digest("public_key_sha256")?,
            certificate_expires: time("certificate_expire_ms")?,
            registered: system_time(row.try_get("registered_ms")?),
            banned: time("banned_ms")?.zip(ban_reason).map(|(at, reason)| Ban { at, reason }),
            drained: time("drained_ms")?,
            version: row.try_get("program_version")?,
            policy_sha256: row.try_get("policy_sha256")?,
            seen: time("seen_ms")?,
            copied: time("copied_ms")?,
            newest_used: row.try_get("newest_used")?,
        })
    }
}

impl Store {
    /// Registers the agent of a vantage whose certificate was made here. A second one of the same name is `AlreadyExists`
    /// unless it is to replace the first; so is a certificate that stands for another vantage.
    pub async fn register_agent(
        &self,
        vantage: &Vantage,
        certificate_sha256: [u8; 32],
        replace: bool,
    ) -> Result<AgentRecord, StoreError> {
        let mut write = self.core.write("register agent").await?;
        let operation = write.operation;
        let taken: Option<(String,)> = sqlx::query_as(
            "SELECT vantage FROM agent WHERE (vantage = ? AND NOT ?)
                OR ((certificate_sha256 = ? OR previous_sha256 = ?) AND vantage <> ?)",
        )
        .bind(vantage.name.as_str())
        .bind(replace)
        .bind(certificate_sha256.as_slice())
        .bind(certificate_sha256.as_slice())
        .bind(vantage.name.as_str())
        .fetch_optional(write.connection())
        .await
        .during(operation)?;
        if let Some((id,)) = taken {
            return Err(StoreError::AlreadyExists { operation, kind: Kind::Agent, id });
        }
        write.put_agent(vantage, certificate_sha256, None, None).await?;
        let record =
            write.agent(&vantage.name).await?.ok_or_else(|| missing(operation, &vantage.name))?;
        write.commit().await?;
        Ok(record)
    }

    /// Every registered agent, by vantage.
    pub async fn agents(&self) -> Result<Vec<AgentRecord>, StoreError> {
        sqlx::query_as("SELECT * FROM agent ORDER BY vantage")
            .fetch_all(&self.core.reader)
            .await
            .during("list agents")
    }

    /// Lists agents by name.
    pub async fn list_agents(
        &self,
        request: &PageRequest,
    ) -> Result<Page<AgentRecord>, StoreError> {
        const OPERATION: &str = "list agents";
        let [after] = request.after(LIST, OPERATION)?.unwrap_or_default();
        let rows: Vec<AgentRecord> =
            sqlx::query_as("SELECT * FROM agent WHERE vantage > ? ORDER BY vantage LIMIT ?")
                .bind(after)
                .bind(request.rows() + 1)
                .fetch_all(&self.core.reader)
                .await
                .during(OPERATION)?;
        page(rows, request, LIST, |row| [row.vantage.name.to_string()], Ok)
    }

    /// The agent of a vantage.
    pub async fn agent(&self, vantage: &VantageName) -> Result<AgentRecord, StoreError> {
        const OPERATION: &str = "get agent";
        let found = sqlx::query_as("SELECT * FROM agent WHERE vantage = ?")
            .bind(vantage.as_str())
            .fetch_optional(&self.core.reader)
            .await
            .during(OPERATION)?;
        found.ok_or_else(|| missing(OPERATION, vantage))
    }

    /// The agent for which this certificate is good, if there is one. Changes nothing; see [`Store::present`].
    pub async fn agent_by_certificate(
        &self,
        certificate_sha256: &[u8; 32],
    ) -> Result<Option<AgentRecord>, StoreError> {
        sqlx::query_as("SELECT * FROM agent WHERE certificate_sha256 = ? OR previous_sha256 = ?")
            .bind(certificate_sha256.as_slice())
            .bind(certificate_sha256.as_slice())
            .fetch_optional(&self.core.reader)
            .await
            .during("get agent")
    }

    /// What a certificate stands for that somebody shows now. The first use of a renewed one ends the one before it.
    pub async fn present(&self, certificate_sha256: &[u8; 32]) -> Result<Presented, StoreError> {
        if let Some(record) = self.agent_by_certificate(certificate_sha256).await? {
            let is_first_use =
                record.certificate_sha256 == *certificate_sha256 && !record.newest_used;
            if record.banned.is_some() || !is_first_use {
                return Ok(presented(record));
            }
        }
        let mut write = self.core.write("present certificate").await?;
        let presented = write.present(certificate_sha256).await?;
        write.commit().await?;
        Ok(presented)
    }

    /// Takes the agent of a vantage off the register.
    pub async fn remove_agent(&self, vantage: &VantageName) -> Result<(), StoreError> {
        self.delete_agent(vantage, "controller").await.map(|_| ())
    }

    /// Takes the agent of a vantage off the register and says so in the audit. Gives what it was.
    pub async fn delete_agent(
        &self,
        vantage: &VantageName,
        principal: &str,
    ) -> Result<AgentRecord, StoreError> {
        let mut write = self.core.write("remove agent").await?;
        let operation = write.operation;
        let record = write.agent(vantage).await?.ok_or_else(|| missing(operation, vantage))?;
        write.audit(&entry(principal, "agent.delete", vantage, String::new())).await?;
        sqlx::query("DELETE FROM agent WHERE vantage = ?")
            .bind(vantage.as_str())
            .execute(write.connection())
            .await
            .during(operation)?;
        write.commit().await?;
        Ok(record)
    }

    /// Shuts an agent out for good. Again changes nothing: the first reason stays.
    pub async fn ban_agent(
        &self,
        vantage: &VantageName,
        principal: &str,
        reason: &str,
    ) -> Result<AgentRecord, StoreError> {
        let mut write = self.core.write("ban agent").await?;
        let (operation, now_ms) = (write.operation, write.now_ms);
        let record = write.agent(vantage).await?.ok_or_else(|| missing(operation, vantage))?;
        if record.banned.is_some() {
            return Ok(record);
        }
        write.audit(&entry(principal, "agent.ban", vantage, reason.to_owned())).await?;
        sqlx::query("UPDATE agent SET banned_ms = ?, ban_reason = ? WHERE vantage = ?")
            .bind(now_ms)
            .bind(reason)
            .bind(vantage.as_str())
            .execute(write.connection())
            .await
            .during(operation)?;
        let record = write.agent(vantage).await?.ok_or_else(|| missing(operation, vantage))?;
        write.commit().await?;
        Ok(record)
    }

    /// Begins a drain of an agent, or ends it. What is so already stays as it is.
    pub async fn drain_agent(
        &self,
        vantage: &VantageName,
        principal: &str,
        drained: bool,
    ) -> Result<AgentRecord, StoreError> {
        let operation = if drained { "drain agent" } else { "resume agent" };
        let mut write = self.core.write(operation).await?;
        let now_ms = write.now_ms;
        let record = write.agent(vantage).await?.ok_or_else(|| missing(operation, vantage))?;
        if record.drained.is_some() == drained {
            return Ok(record);
        }
        let action = if drained { "agent.drain" } else { "agent.resume" };
        write.audit(&entry(principal, action, vantage, String::new())).await?;
        sqlx::query("UPDATE agent SET drained_ms = ? WHERE vantage = ?")
            .bind(drained.then_some(now_ms))
            .bind(vantage.as_str())
            .execute(write.connection())
            .await
            .during(operation)?;
        let record = write.agent(vantage).await?.ok_or_else(|| missing(operation, vantage))?;
        write.commit().await?;
        Ok(record)
    }

    /// Begins a session of an agent that is not banned, and keeps what it says of itself. The epoch counts up with every
    /// session of this agent, across restarts; the newest session wins. Sessions that begin together share a commit.
    pub async fn begin_session(
        &self,
        vantage: &VantageName,
        introduction: &Introduction,
    ) -> Result<i64, StoreError> {
        const OPERATION: &str = "begin agent session";
        let (vantage, introduction) = (vantage.clone(), introduction.clone());
        match self.append(Work::SessionBegun { vantage, introduction }, OPERATION).await? {
            Appended::SessionBegun(epoch) => Ok(epoch),
            Appended::Report(_)
            | Appended::Events(_)
            | Appended::Forward
            | Appended::SessionEnded => Err(StoreError::Busy { operation: OPERATION }),
        }
    }

    /// Keeps when a session ended, unless a newer one has begun. Shares a commit with what comes together with it.
    pub async fn end_session(&self, vantage: &VantageName, epoch: i64) -> Result<(), StoreError> {
        let work = Work::SessionEnded { vantage: vantage.clone(), epoch };
        self.append(work, "end agent session").await.map(|_| ())
    }
}

impl Write<'_> {
    pub(crate) async fn begin_session(
        &mut self,
        vantage: &VantageName,
        introduction: &Introduction,
    ) -> Result<i64, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let epoch: Option<(i64,)> = sqlx::query_as(
            "UPDATE agent SET session_epoch = session_epoch + 1, seen_ms = ?, program_version = ?, policy_sha256 = ?
              WHERE vantage = ? AND banned_ms IS NULL RETURNING session_epoch",
        )
        .bind(now_ms)
        .bind(&introduction.version)
        .bind(&introduction.policy_sha256)
        .bind(vantage.as_str())
        .fetch_optional(self.connection())
        .await
        .during(operation)?;
        epoch.map(|(epoch,)| epoch).ok_or_else(|| missing(operation, vantage))
    }

    pub(crate) async fn end_session(
        &mut self,
        vantage: &VantageName,
        epoch: i64,
    ) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        sqlx::query("UPDATE agent SET seen_ms = ? WHERE vantage = ? AND session_epoch = ?")
            .bind(now_ms)
            .bind(vantage.as_str())
            .bind(epoch)
            .execute(self.connection())
            .await
            .during(operation)?;
        Ok(())
    }

    pub(crate) async fn agent(
        &mut self,
        vantage: &VantageName,
    ) -> Result<Option<AgentRecord>, StoreError> {
        let operation = self.operation;
        sqlx::query_as("SELECT * FROM agent WHERE vantage = ?")
            .bind(vantage.as_str())
            .fetch_optional(self.connection())
            .await
            .during(operation)
    }

    /// Writes an agent that begins anew, in place of one of that name; what held for that one is gone, a ban too.
    pub(crate) async fn put_agent(
        &mut self,
        vantage: &Vantage,
        certificate_sha256: [u8; 32],
        public_key_sha256: Option<[u8; 32]>,
        expire_ms: Option<i64>,
    ) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let epoch: Option<(i64,)> =
            sqlx::query_as("DELETE FROM agent WHERE vantage = ? RETURNING session_epoch")
                .bind(vantage.name.as_str())
                .fetch_optional(self.connection())
                .await
                .during(operation)?;
        sqlx::query(
            "INSERT INTO agent (vantage, zone, site, certificate_sha256, registered_ms, session_epoch,
                                public_key_sha256, certificate_expire_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(vantage.name.as_str())
        .bind(zone_word(vantage.zone))
        .bind(&vantage.site)
        .bind(certificate_sha256.as_slice())
        .bind(now_ms)
        .bind(epoch.map_or(0, |(epoch,)| epoch))
        .bind(public_key_sha256.map(|it| it.to_vec()))
        .bind(expire_ms)
        .execute(self.connection())
        .await
        .during(operation)?;
        Ok(())
    }

    pub(crate) async fn present(
        &mut self,
        certificate_sha256: &[u8; 32],
    ) -> Result<Presented, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let found: Option<AgentRecord> = sqlx::query_as(
            "SELECT * FROM agent WHERE certificate_sha256 = ? OR previous_sha256 = ?",
        )
        .bind(certificate_sha256.as_slice())
        .bind(certificate_sha256.as_slice())
        .fetch_optional(self.connection())
        .await
        .during(operation)?;
        let Some(mut record) = found else { return self.present_retired(certificate_sha256).await };
        let is_newest = record.certificate_sha256 == *certificate_sha256;
        if record.banned.is_none() && is_newest && !record.newest_used {
            self.retire(&record).await?;
            sqlx::query(
                "UPDATE agent SET newest_used = 1, previous_sha256 = NULL WHERE vantage = ?",
            )
            .bind(record.vantage.name.as_str())
            .execute(self.connection())
            .await
            .during(operation)?;
            tracing::debug!(vantage = %record.vantage.name, now_ms, "a renewed certificate is in use");
            (record.previous_sha256, record.newest_used) = (None, true);
        }
        Ok(presented(record))
    }

    /// Remembers the certificate before the newest, of which only a copy can be shown from now on.
    async fn retire(&mut self, record: &AgentRecord) -> Result<(), StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let Some(previous) = record.previous_sha256 else { return Ok(()) };
        sqlx::query(
            "DELETE FROM retired_certificate WHERE vantage = ?1 AND certificate_sha256 NOT IN
               (SELECT certificate_sha256 FROM retired_certificate WHERE vantage = ?1
                 ORDER BY retired_ms DESC LIMIT ?2)",
        )
        .bind(record.vantage.name.as_str())
        .bind(RETIRED_MAX - 1)
        .execute(self.connection())
        .await
        .during(operation)?;
        sqlx::query(
            "INSERT INTO retired_certificate (certificate_sha256, vantage, retired_ms) VALUES (?, ?, ?)
             ON CONFLICT DO NOTHING",
        )
        .bind(previous.as_slice())
        .bind(record.vantage.name.as_str())
        .bind(now_ms)
        .execute(self.connection())
        .await
        .during(operation)?;
        Ok(())
    }

    async fn present_retired(
        &mut self,
        certificate_sha256: &[u8; 32],
    ) -> Result<Presented, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let retired: Option<AgentRecord> = sqlx::query_as(
            "UPDATE agent SET copied_ms = ? WHERE vantage =
               (SELECT vantage FROM retired_certificate WHERE certificate_sha256 = ?) RETURNING *",
        )
        .bind(now_ms)
        .bind(certificate_sha256.as_slice())
        .fetch_optional(self.connection())
        .await
        .during(operation)?;
        Ok(match retired {
            None => Presented::Unknown,
            Some(AgentRecord { vantage, banned: Some(ban), .. }) => {
                Presented::Banned { vantage: vantage.name, ban }
            }
            Some(AgentRecord { vantage, banned: None, .. }) => {
                Presented::Copied { vantage: vantage.name }
            }
        })
    }
}

/// Retired certificates remembered of one agent; more than it can have in 90 days of renewals.
const RETIRED_MAX: i64 = 32;

fn presented(record: AgentRecord) -> Presented {
    match record.banned {
        Some(ban) => Presented::Banned { vantage: record.vantage.name, ban },
        None => Presented::Agent(Box::new(record)),
    }
}

/// A line of the audit about an agent.
pub(crate) fn entry(
    principal: &str,
    action: &str,
    vantage: &VantageName,
    detail: String,
) -> AuditEntry {
    AuditEntry {
        principal: principal.to_owned(),
        action: action.to_owned(),
        subject: format!("agents/{vantage}"),
        detail,
    }
}

pub(crate) fn missing(operation: &'static str, vantage: &VantageName) -> StoreError {
    StoreError::NotFound { operation, kind: Kind::Agent, id: vantage.as_str().to_owned() }
}
