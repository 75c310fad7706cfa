//! History: earlier sights of a target's paths, for the faults that only history tells.
//!
//! Absent on purpose: what changed; the engine compares.
//!
//! INVARIANT: a target keeps its newest 20 000 records, whatever is inserted.

use std::time::SystemTime;

use parallax_model::{EndpointName, PathId, TargetId, VantageName};
use parallax_wire::pb;
use prost::Message as _;

use crate::clock::{stored_ms, system_time};
use crate::error::During as _;
use crate::row::row;
use crate::write::decode;
use crate::{Kind, Store, StoreError};

const RECORDS_PER_TARGET_MAX: i64 = 20_000;
/// Records inserted or read at once at the most.
const RECORDS_AT_ONCE_MAX: usize = 10_000;

/// An earlier sight of one path.
#[derive(Clone, Debug, PartialEq)]
pub struct PastRecord {
    pub at: SystemTime,
    pub path: PathId,
    pub look: pb::Look,
    pub sight: pb::Sight,
}

row! {
    struct PastRow {
        at_ms: i64,
        vantage: String,
        endpoint: String,
        look: Vec<u8>,
        sight: Vec<u8>,
    }
}

impl Store {
    /// Adds records; at most 10 000 at once.
    pub async fn add_past(
        &self,
        target: &TargetId,
        records: &[PastRecord],
    ) -> Result<(), StoreError> {
        let mut write = self.core.write("add history").await?;
        let operation = write.operation;
        if records.len() > RECORDS_AT_ONCE_MAX {
            return Err(StoreError::TooMany { operation, limit: RECORDS_AT_ONCE_MAX });
        }
        for record in records {
            sqlx::query(
                "INSERT INTO past (target, at_ms, vantage, endpoint, look, sight) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(target.as_str())
            .bind(stored_ms(record.at))
            .bind(record.path.vantage.as_str())
            .bind(record.path.endpoint.as_str())
            .bind(record.look.encode_to_vec())
            .bind(record.sight.encode_to_vec())
            .execute(write.connection())
            .await
            .during(operation)?;
        }
        sqlx::query(
            "DELETE FROM past WHERE sequence IN
               (SELECT sequence FROM past WHERE target = ? ORDER BY at_ms DESC, sequence DESC LIMIT -1 OFFSET ?)",
        )
        .bind(target.as_str())
        .bind(RECORDS_PER_TARGET_MAX)
        .execute(write.connection())
        .await
        .during(operation)?;
        write.commit().await
    }

    /// The newest records of a target since then, at most `limit` (and 10 000), oldest first.
    pub async fn past(
        &self,
        target: &TargetId,
        since: SystemTime,
        limit: usize,
    ) -> Result<Vec<PastRecord>, StoreError> {
        const OPERATION: &str = "read history";
        let limit = i64::try_from(limit.min(RECORDS_AT_ONCE_MAX)).unwrap_or(i64::MAX);
        let rows: Vec<PastRow> = sqlx::query_as(
            "SELECT at_ms, vantage, endpoint, look, sight FROM past
              WHERE target = ? AND at_ms >= ? ORDER BY at_ms DESC, sequence DESC LIMIT ?",
        )
        .bind(target.as_str())
        .bind(stored_ms(since))
        .bind(limit)
        .fetch_all(&self.core.reader)
        .await
        .during(OPERATION)?;
        let name = |error| sqlx::Error::Decode(Box::new(error));
        rows.into_iter()
            .rev()
            .map(|row| {
                Ok(PastRecord {
                    at: system_time(row.at_ms),
                    path: PathId {
                        vantage: VantageName::new(row.vantage).map_err(name).during(OPERATION)?,
                        endpoint: EndpointName::new(row.endpoint)
                            .map_err(name)
                            .during(OPERATION)?,
                    },
                    look: decode(&row.look, OPERATION, Kind::Target, target.as_str())?,
                    sight: decode(&row.sight, OPERATION, Kind::Target, target.as_str())?,
                })
            })
            .collect()
    }
}
