//! What the product knew when it answered, put together again from what it stored: for tests that change it and judge anew.
//!
//! Absent on purpose: judging. This crate has no opinions.

use std::time::{Duration, SystemTime};

use parallax_model::{Account, Evidence, Past, PathReport, Round, Target, TargetId};
use parallax_store::{Store, StoreError};
use parallax_wire::{DecodeError, decode_time, pb};

/// Records of history at the most; worlds have few.
const HISTORY_MAX: usize = 1000;
const HISTORY: Duration = Duration::from_hours(90 * 24);

/// Why what was stored cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    #[error("what is stored cannot be read back")]
    Decode(#[from] DecodeError),
    #[error("`{0}` is no name of a target")]
    Name(String),
}

/// Everything that a finished diagnosis was judged by.
pub(crate) async fn evidence(
    store: &Store,
    diagnosis: &pb::Diagnosis,
) -> Result<Evidence, EvidenceError> {
    let name = &diagnosis.target;
    let id = name.strip_prefix("targets/").and_then(|it| TargetId::new(it).ok());
    let id = id.ok_or_else(|| EvidenceError::Name(name.clone()))?;
    let target = Target::try_from(&store.target(&id).await?)?;
    let mut accounts = Vec::new();
    for used in &target.accounts {
        accounts.push(Account::try_from(&store.account(&used.account).await?)?);
    }
    let vantages = store.agents().await?.into_iter().map(|it| it.vantage).collect();
    let rounds = diagnosis.rounds.iter().map(round).collect::<Result<_, _>>()?;
    let begun = decode_time(diagnosis.create_time, "create_time")?;
    let now = decode_time(diagnosis.end_time, "end_time")?;
    let since = begun.checked_sub(HISTORY).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut history = Vec::new();
    for record in store.past(&target.id, since, HISTORY_MAX).await? {
        if record.at < begun {
            let (look, sight) = (record.look.try_into()?, record.sight.try_into()?);
            history.push(Past { at: record.at, path: record.path, look, sight });
        }
    }
    Ok(Evidence { target, accounts, vantages, rounds, history, now })
}

fn round(message: &pb::Round) -> Result<Round, DecodeError> {
    let reports = message.reports.iter().cloned().map(PathReport::try_from);
    Ok(Round {
        number: u32::try_from(message.number).unwrap_or_default(),
        reports: reports.collect::<Result<_, _>>()?,
    })
}
