//! The same request again gives the same answer (AIP-155): answers are kept for 24 h beside what they answered.
//!
//! Absent on purpose: the requests themselves. Of a request only a digest is kept, and that sealed, since a request may hold
//! a password.
//!
//! INVARIANT: the answer is stored in the commit of the change it reports.

use std::fmt;
use std::time::Duration;

use parallax_auth::{EnvelopeError, SealedAtRest, Secret};
use parallax_model::AccountId;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::clock::millis;
use crate::error::During as _;
use crate::write::Write;
use crate::{StoreError, write};

const KEPT: Duration = Duration::from_hours(24);
/// Expired answers removed by one change, so that none pays for all.
const REMOVED_AT_ONCE_MAX: i64 = 100;
/// Stands where the envelope binds to an account: a digest has none. Versions of real secrets begin at 1.
const DIGEST_OWNER: &str = "request-digest";
const DIGEST_VERSION: u64 = 0;

/// Which request this is.
pub struct RequestKey {
    pub principal: String,
    /// As `CreateTarget`.
    pub method: &'static str,
    /// The caller's UUID.
    pub request_id: String,
    /// The encoded request. Not kept.
    pub request: Vec<u8>,
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RequestKey")
            .field("principal", &self.principal)
            .field("method", &self.method)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    /// Done now.
    Done(T),
    /// Done before by the same request; this is what was answered then.
    Replayed(T),
}

impl<T> Answer<T> {
    pub fn into_inner(self) -> T {
        match self {
            Self::Done(value) | Self::Replayed(value) => value,
        }
    }
}

impl Write<'_> {
    /// The answer given before, if this request came before.
    pub(crate) async fn replay<M: Message + Default>(
        &mut self,
        key: Option<&RequestKey>,
        kind: crate::Kind,
    ) -> Result<Option<M>, StoreError> {
        let Some(key) = key else { return Ok(None) };
        let (operation, now_ms) = (self.operation, self.now_ms);
        let found: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT digest, answer FROM request
              WHERE principal = ? AND method = ? AND request_id = ? AND create_ms > ?",
        )
        .bind(&key.principal)
        .bind(key.method)
        .bind(&key.request_id)
        .bind(now_ms - millis(KEPT))
        .fetch_optional(self.connection())
        .await
        .during(operation)?;
        let Some((sealed, answer)) = found else { return Ok(None) };
        let stored = self
            .core
            .envelope
            .open(&digest_owner(operation)?, DIGEST_VERSION, &SealedAtRest::from_stored(sealed))
            .during(operation)?;
        if stored.expose() != digest(&key.request) {
            let request_id = key.request_id.clone();
            return Err(StoreError::RequestIdReused { operation, request_id });
        }
        write::decode(&answer, operation, kind, &key.request_id).map(Some)
    }

    /// Keeps the answer for whoever asks again, and forgets some that are too old.
    pub(crate) async fn remember<M: Message>(
        &mut self,
        key: Option<&RequestKey>,
        answer: &M,
    ) -> Result<(), StoreError> {
        let Some(key) = key else { return Ok(()) };
        let (operation, now_ms) = (self.operation, self.now_ms);
        let text =
            Secret::new(digest(&key.request)).map_err(EnvelopeError::from).during(operation)?;
        let sealed = self
            .core
            .envelope
            .seal(&digest_owner(operation)?, DIGEST_VERSION, &text)
            .during(operation)?;
        sqlx::query(
            "DELETE FROM request WHERE (principal, method, request_id) IN
               (SELECT principal, method, request_id FROM request WHERE create_ms <= ? LIMIT ?)
                OR (principal = ? AND method = ? AND request_id = ? AND create_ms <= ?)",
        )
        .bind(now_ms - millis(KEPT))
        .bind(REMOVED_AT_ONCE_MAX)
        .bind(&key.principal)
        .bind(key.method)
        .bind(&key.request_id)
        .bind(now_ms - millis(KEPT))
        .execute(self.connection())
        .await
        .during(operation)?;
        sqlx::query(
            "INSERT INTO request (principal, method, request_id, create_ms, digest, answer)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&key.principal)
        .bind(key.method)
        .bind(&key.request_id)
        .bind(now_ms)
        .bind(sealed.as_bytes())
        .bind(answer.encode_to_vec())
        .execute(self.connection())
        .await
        .during(operation)?;
        Ok(())
    }
}

/// SHA-256 in hexadecimal.
fn digest(request: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(request).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn digest_owner(operation: &'static str) -> Result<AccountId, StoreError> {
    AccountId::new(DIGEST_OWNER).map_err(|_| EnvelopeError::Seal).during(operation)
}
