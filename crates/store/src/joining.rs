//! Join tokens, and the certificates for which they, a renewal or a recovery are traded.
//!
//! A token is kept as its hash, with what it was made for. Absent on purpose: keys and signatures. The caller signs first and
//! brings the certificate along; here it is decided, in one write, whether that certificate counts.
//!
//! INVARIANT: a token makes one agent, whoever asks at the same time: it is used by compare-and-swap in the write that
//! registers the agent and its line in the audit.
//! INVARIANT: whoever asks again with the same token and the same key gets the same certificate, for [`REPLAYED`].

use std::time::{Duration, SystemTime};

use parallax_model::{Vantage, VantageName};
use parallax_wire::{read_zone, zone_word};

use crate::agent::{entry, missing};
use crate::clock::{millis, stored_ms, system_time};
use crate::error::During as _;
use crate::write::Write;
use crate::{AgentRecord, Ban, Presented, Store, StoreError};

/// How long the answer to a token is repeated.
pub const REPLAYED: Duration = Duration::from_mins(10);
/// Tokens that are open at once; more are a mistake of whoever makes them.
const OPEN_TOKENS_MAX: i64 = 1000;
/// How long a token is remembered after its end, so that it can be said what became of it.
const REMEMBERED: Duration = Duration::from_hours(7 * 24);
/// How long after its end a certificate may still be recovered.
pub const RECOVERABLE: Duration = Duration::from_hours(90 * 24);
/// How long before its end it may, for agents whose clock is ahead.
const CLOCK_SLACK: Duration = Duration::from_mins(5);

/// What a token is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJoinToken {
    /// SHA-256 of the token's secret part.
    pub token_sha256: [u8; 32],
    pub vantage: Vantage,
    /// Whether the agent may take the place of one that is registered.
    pub may_replace: bool,
    pub principal: String,
    pub ttl: Duration,
}

/// A certificate that was signed for an agent and does not count yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCertificate {
    /// The certificate.
    pub der: Vec<u8>,
    /// Over its DER encoding.
    pub sha256: [u8; 32],
    /// Over the DER of its `SubjectPublicKeyInfo`.
    pub public_key_sha256: [u8; 32],
    pub expires: SystemTime,
}

/// What a token leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenStanding {
    /// It is open; a certificate for this vantage will count.
    Open(Vantage),
    /// This key used it a moment ago, and got this certificate.
    Answered(Vantage, Vec<u8>),
}

/// Why a token, a renewal or a recovery comes to nothing. The texts are read by whoever stands at the agent's machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    #[error(
        "this join token is unknown here: it was made by another controller, or is mistyped; make a new one with `parallax \
         fleet token`"
    )]
    TokenUnknown,
    #[error(
        "this join token was used already; if that was not this machine, somebody else joined as `{agent}`: look at `parallax \
         fleet list`; make a new token with `parallax fleet token {agent}`"
    )]
    TokenUsed { agent: VantageName },
    #[error(
        "this join token expired; make a new one with `parallax fleet token {agent}` and use it within its time"
    )]
    TokenExpired { agent: VantageName },
    #[error(
        "the agent name `{agent}` is taken: another machine joined under it; choose another name, remove that agent, or \
         make a token with `parallax fleet token {agent} --replace`"
    )]
    NameTaken { agent: VantageName },
    #[error("agent `{agent}` is banned: {reason}")]
    Banned { agent: VantageName, reason: String },
    #[error(
        "this certificate is not the newest one of an agent registered here; join anew with a token"
    )]
    NotNewest,
    #[error(
        "this certificate was followed by a newer one that is in use: two machines hold the identity of agent `{agent}`; \
         find out which is right, remove the agent and join anew"
    )]
    Copied { agent: VantageName },
    #[error("the request is not made with the key of the certificate that ended")]
    OtherKey,
    #[error(
        "this certificate has not ended: by the controller's clock it holds for {hours} h more; is this machine's clock right?"
    )]
    NotEnded { hours: u64 },
    #[error("this certificate ended more than 90 days ago; join anew with a token")]
    EndedLongAgo,
}

type TokenRow =
    (String, String, String, bool, i64, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>, String);

/// A token as it is stored.
struct TokenRecord {
    vantage: Vantage,
    may_replace: bool,
    expire_ms: i64,
    used_ms: Option<i64>,
    used_key: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    principal: String,
}

const TOKEN: &str = "SELECT vantage, zone, site, may_replace, expire_ms, used_ms, used_key_sha256, certificate, principal
                       FROM join_token WHERE token_sha256 = ?";

impl Store {
    /// Keeps a token. Gives its end.
    pub async fn create_join_token(&self, token: &NewJoinToken) -> Result<SystemTime, StoreError> {
        let mut write = self.core.write("create join token").await?;
        let (operation, now_ms) = (write.operation, write.now_ms);
        sqlx::query("DELETE FROM join_token WHERE expire_ms < ?")
            .bind(now_ms - millis(REMEMBERED))
            .execute(write.connection())
            .await
            .during(operation)?;
        let (open,): (i64,) = sqlx::query_as(
            "SELECT count(*) FROM join_token WHERE expire_ms > ? AND used_ms IS NULL",
        )
        .bind(now_ms)
        .fetch_one(write.connection())
        .await
        .during(operation)?;
        if open >= OPEN_TOKENS_MAX {
            let limit = usize::try_from(OPEN_TOKENS_MAX).unwrap_or(usize::MAX);
            return Err(StoreError::TooMany { operation, limit });
        }
        let expire_ms = now_ms.saturating_add(millis(token.ttl).max(1));
        sqlx::query(
            "INSERT INTO join_token (token_sha256, vantage, zone, site, may_replace, principal, create_ms, expire_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(token.token_sha256.as_slice())
        .bind(token.vantage.name.as_str())
        .bind(zone_word(token.vantage.zone))
        .bind(&token.vantage.site)
        .bind(token.may_replace)
        .bind(&token.principal)
        .bind(now_ms)
        .bind(expire_ms)
        .execute(write.connection())
        .await
        .during(operation)?;
        let detail = format!(
            "zone {}, good for {} s{}",
            zone_word(token.vantage.zone),
            token.ttl.as_secs(),
            if token.may_replace { ", may replace" } else { "" }
        );
        write.audit(&entry(&token.principal, "agent.token", &token.vantage.name, detail)).await?;
        write.commit().await?;
        Ok(system_time(expire_ms))
    }

    /// What this token leads to for this key. Changes nothing; [`Store::join`] decides.
    pub async fn join_token(
        &self,
        token_sha256: &[u8; 32],
        public_key_sha256: &[u8; 32],
    ) -> Result<Result<TokenStanding, JoinRefused>, StoreError> {
        const OPERATION: &str = "read join token";
        let now_ms = {
            let mut reader = self.core.reader.acquire().await.during(OPERATION)?;
            self.core.clock.now_ms(&mut reader).await.during(OPERATION)?
        };
        let row: Option<TokenRow> = sqlx::query_as(TOKEN)
            .bind(token_sha256.as_slice())
            .fetch_optional(&self.core.reader)
            .await
            .during(OPERATION)?;
        let Some(token) = row.and_then(read_token) else {
            return Ok(Err(JoinRefused::TokenUnknown));
        };
        let agent = match self.agent(&token.vantage.name).await {
            Ok(agent) => Some(agent),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(standing(token, agent.as_ref(), public_key_sha256, now_ms))
    }

    /// Uses a token: registers the agent with this certificate. The certificate that counts is the one that is given back.
    pub async fn join(
        &self,
        token_sha256: &[u8; 32],
        certificate: &NewCertificate,
    ) -> Result<Result<Joined, JoinRefused>, StoreError> {
        let mut write = self.core.write("join").await?;
        let operation = write.operation;
        let row: Option<TokenRow> = sqlx::query_as(TOKEN)
            .bind(token_sha256.as_slice())
            .fetch_optional(write.connection())
            .await
            .during(operation)?;
        let Some(token) = row.and_then(read_token) else {
            return Ok(Err(JoinRefused::TokenUnknown));
        };
        let principal = token.principal.clone();
        let before = write.agent(&token.vantage.name).await?;
        let now_ms = write.now_ms;
        let vantage = match standing(token, before.as_ref(), &certificate.public_key_sha256, now_ms)
        {
            Ok(TokenStanding::Open(vantage)) => vantage,
            Ok(TokenStanding::Answered(vantage, certificate)) => {
                return Ok(Ok(Joined { vantage, certificate, replaced: None }));
            }
            Err(refused) => return Ok(Err(refused)),
        };
        if let Some(refused) = write.banned_key(&certificate.public_key_sha256).await? {
            return Ok(Err(refused));
        }
        if !write.use_token(token_sha256, certificate).await? {
            return Ok(Err(JoinRefused::TokenUsed { agent: vantage.name }));
        }
        let (key, expire_ms) = (certificate.public_key_sha256, stored_ms(certificate.expires));
        write.put_agent(&vantage, certificate.sha256, Some(key), Some(expire_ms)).await?;
        let by = if before.is_some() { "in place of the one before, " } else { "" };
        let detail = format!("{by}with a token of {principal}");
        let joined =
            entry(&format!("agents/{}", vantage.name), "agent.join", &vantage.name, detail);
        write.audit(&joined).await?;
        write.commit().await?;
        Ok(Ok(Joined { vantage, certificate: certificate.der.clone(), replaced: before }))
    }

    /// Puts a new certificate in place of the one shown. That one stays good until the new one is first used.
    pub async fn renew_agent(
        &self,
        shown_sha256: &[u8; 32],
        certificate: &NewCertificate,
    ) -> Result<Result<(), JoinRefused>, StoreError> {
        let mut write = self.core.write("renew certificate").await?;
        let record = match admitted(write.present(shown_sha256).await?) {
            Ok(record) => record,
            Err(refused) => {
                // What was learned of a copy stays.
                write.commit().await?;
                return Ok(Err(refused));
            }
        };
        write.replace_certificate(&record, shown_sha256, certificate, "agent.renew").await?;
        write.commit().await?;
        Ok(Ok(()))
    }

    /// The vantage whose certificate, with this end, may be recovered. [`Store::recover_agent`] decides.
    pub async fn recoverable(
        &self,
        ended_sha256: &[u8; 32],
        ended: SystemTime,
    ) -> Result<Result<Vantage, JoinRefused>, StoreError> {
        let mut write = self.core.write("read certificate").await?;
        let checked = write.check_recovery(ended_sha256, ended).await?;
        write.commit().await?;
        Ok(checked.map(|it| it.vantage))
    }

    /// Puts a new certificate in place of one that ended at most [`RECOVERABLE`] ago. Whoever calls has seen that the
    /// certificate is signed by our authority and that the request was made with its key.
    pub async fn recover_agent(
        &self,
        ended_sha256: &[u8; 32],
        ended: SystemTime,
        certificate: &NewCertificate,
    ) -> Result<Result<(), JoinRefused>, StoreError> {
        let mut write = self.core.write("recover certificate").await?;
        let checked = write.check_recovery(ended_sha256, ended).await?;
        let outcome = match checked {
            Ok(record) => {
                write
                    .replace_certificate(&record, ended_sha256, certificate, "agent.recover")
                    .await?;
                Ok(())
            }
            Err(refused) => Err(refused),
        };
        write.commit().await?;
        Ok(outcome)
    }
}

/// An agent that joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub vantage: Vantage,
    /// The certificate that counts, DER.
    pub certificate: Vec<u8>,
    /// Whose place it took.
    pub replaced: Option<AgentRecord>,
}

fn read_token(row: TokenRow) -> Option<TokenRecord> {
    let (name, zone, site, may_replace, expire_ms, used_ms, used_key, certificate, principal) = row;
    let vantage = Vantage { name: VantageName::new(name).ok()?, zone: read_zone(&zone)?, site };
    Some(TokenRecord { vantage, may_replace, expire_ms, used_ms, used_key, certificate, principal })
}

/// What a token leads to, given the agent that has its name now.
fn standing(
    token: TokenRecord,
    agent: Option<&AgentRecord>,
    public_key_sha256: &[u8; 32],
    now_ms: i64,
) -> Result<TokenStanding, JoinRefused> {
    let name = token.vantage.name.clone();
    if let Some(Ban { reason, .. }) = agent.and_then(|it| it.banned.clone()) {
        return Err(JoinRefused::Banned { agent: name, reason });
    }
    if let (Some(used_ms), Some(certificate)) = (token.used_ms, token.certificate) {
        let is_same_key = token.used_key.as_deref() == Some(public_key_sha256.as_slice());
        let is_its_agent = agent.is_some_and(|it| it.public_key_sha256 == Some(*public_key_sha256));
        if is_same_key && is_its_agent && now_ms - used_ms <= millis(REPLAYED) {
            return Ok(TokenStanding::Answered(token.vantage, certificate));
        }
        return Err(JoinRefused::TokenUsed { agent: name });
    }
    if now_ms >= token.expire_ms {
        return Err(JoinRefused::TokenExpired { agent: name });
    }
    if agent.is_some() && !token.may_replace {
        return Err(JoinRefused::NameTaken { agent: name });
    }
    Ok(TokenStanding::Open(token.vantage))
}

fn admitted(presented: Presented) -> Result<AgentRecord, JoinRefused> {
    match presented {
        Presented::Agent(record) => Ok(*record),
        Presented::Banned { vantage, ban } => {
            Err(JoinRefused::Banned { agent: vantage, reason: ban.reason })
        }
        Presented::Copied { vantage } => Err(JoinRefused::Copied { agent: vantage }),
        Presented::Unknown => Err(JoinRefused::NotNewest),
    }
}

impl Write<'_> {
    /// Whether a banned agent has this key; its key is worth nothing under another name either.
    async fn banned_key(
        &mut self,
        public_key_sha256: &[u8; 32],
    ) -> Result<Option<JoinRefused>, StoreError> {
        let operation = self.operation;
        let found: Option<AgentRecord> = sqlx::query_as(
            "SELECT * FROM agent WHERE public_key_sha256 = ? AND banned_ms IS NOT NULL",
        )
        .bind(public_key_sha256.as_slice())
        .fetch_optional(self.connection())
        .await
        .during(operation)?;
        Ok(found.and_then(|it| {
            let reason = it.banned?.reason;
            Some(JoinRefused::Banned { agent: it.vantage.name, reason })
        }))
    }

    /// False: somebody else did.
    async fn use_token(
        &mut self,
        token_sha256: &[u8; 32],
        certificate: &NewCertificate,
    ) -> Result<bool, StoreError> {
        let (operation, now_ms) = (self.operation, self.now_ms);
        let used = sqlx::query(
            "UPDATE join_token SET used_ms = ?, used_key_sha256 = ?, certificate = ?
              WHERE token_sha256 = ? AND used_ms IS NULL AND expire_ms > ?",
        )
        .bind(now_ms)
        .bind(certificate.public_key_sha256.as_slice())
        .bind(&certificate.der)
        .bind(token_sha256.as_slice())
        .bind(now_ms)
        .execute(self.connection())
        .await
        .during(operation)?;
        Ok(used.rows_affected() == 1)
    }

    async fn check_recovery(
        &mut self,
        ended_sha256: &[u8; 32],
        ended: SystemTime,
    ) -> Result<Result<AgentRecord, JoinRefused>, StoreError> {
        let now_ms = self.now_ms;
        let record = match admitted(self.present(ended_sha256).await?) {
            Ok(record) => record,
            Err(refused) => return Ok(Err(refused)),
        };
        let left_ms = stored_ms(ended) - now_ms;
        if left_ms > millis(CLOCK_SLACK) {
            let hours = u64::try_from(left_ms / 3_600_000).unwrap_or(0).max(1);
            return Ok(Err(JoinRefused::NotEnded { hours }));
        }
        if left_ms < -millis(RECOVERABLE) {
            return Ok(Err(JoinRefused::EndedLongAgo));
        }
        Ok(Ok(record))
    }

    async fn replace_certificate(
        &mut self,
        record: &AgentRecord,
        shown_sha256: &[u8; 32],
        certificate: &NewCertificate,
        action: &'static str,
    ) -> Result<(), StoreError> {
        let operation = self.operation;
        let vantage = &record.vantage.name;
        // If the one before is shown again, the answer with the newest was lost; nobody has that one.
        let changed = sqlx::query(
            "UPDATE agent SET previous_sha256 = ?, certificate_sha256 = ?, newest_used = 0, public_key_sha256 = ?,
                              certificate_expire_ms = ?
              WHERE vantage = ? AND banned_ms IS NULL",
        )
        .bind(shown_sha256.as_slice())
        .bind(certificate.sha256.as_slice())
        .bind(certificate.public_key_sha256.as_slice())
        .bind(stored_ms(certificate.expires))
        .bind(vantage.as_str())
        .execute(self.connection())
        .await
        .during(operation)?;
        if changed.rows_affected() != 1 {
            return Err(missing(operation, vantage));
        }
        self.audit(&entry(&format!("agents/{vantage}"), action, vantage, String::new())).await?;
        Ok(())
    }
}
