//! Files with flipped bytes, overwritten pages and cut tails: each is refused with a word about what to do, or frozen, or
//! opens with a ledger that says what it said before.

use std::fs;
use std::path::Path;
use std::time::Duration;

use parallax_model::Threshold;
use parallax_wire::pb;

use super::{Fixture, diagnosis_id, request};
use crate::{LogonResult, Store, StoreError};

const HALF_HOUR: Duration = Duration::from_mins(30);
const VARIANTS: u64 = 300;
/// One variant in a hundred.
const UNNOTICED_MAX: usize = 3;
const PAGE: u64 = 4096;
const FILES: [&str; 4] = ["parallax.db", "parallax.db-wal", "ledger.generation", "envelope.key"];

/// What of the ledger may cost a logon if it changes unnoticed.
const LEDGER: [&str; 4] = [
    "SELECT group_concat(concat_ws('|', account_key, k, quiet_ms, secret_version, quiet_period, open_cost, charged_cost,
            not_sent_cost, last_start_ms)) FROM (SELECT * FROM account_guard ORDER BY account_key)",
    "SELECT group_concat(concat_ws('|', attempt_id, diagnosis, account_key, secret_version, quiet_period, cost, state,
            outcome, hex(begin_nonce), started_ms)) FROM (SELECT * FROM attempt ORDER BY attempt_id)",
    "SELECT group_concat(concat_ws('|', account_key, secret_version, scope, closed_ms))
       FROM (SELECT * FROM breaker ORDER BY attempt_id)",
    "SELECT group_concat(concat_ws('|', name, account_key)) FROM (SELECT * FROM guard_name ORDER BY name)",
];

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

async fn ledger(store: &Store) -> Result<Vec<String>, String> {
    let mut rows = Vec::new();
    for sql in LEDGER {
        let (text,): (Option<String>,) = sqlx::query_as(sql)
            .fetch_one(&store.core.reader)
            .await
            .map_err(|error| error.to_string())?;
        rows.push(text.unwrap_or_default());
    }
    Ok(rows)
}

/// A store with something in every table; some of it in the WAL alone.
async fn grown() -> Fixture {
    let mut it = Fixture::new().await;
    for number in 0..30 {
        let id = diagnosis_id(&format!("d{number}"));
        let language = "a diagnosis ".repeat(200);
        let diagnosis = pb::Diagnosis { language, ..pb::Diagnosis::default() };
        it.store.create_diagnosis(&id, diagnosis, None).await.expect("made");
    }
    for number in 0..20 {
        if number == 15 {
            // From here on it stands in a WAL of its own.
            sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&it.store.core.writer)
                .await
                .expect("checkpointed");
        }
        let id = format!("a{number}");
        it.add_account(&id, Threshold::At(20), HALF_HOUR).await;
        for (diagnosis, result) in [
            ("d1", LogonResult::Accepted),
            ("d2", LogonResult::Unproven),
            ("d3", LogonResult::Refused { proof: false }),
        ] {
            it.logon(&request(&id, diagnosis, "x"), result).await.expect("granted");
        }
    }
    it
}

fn copy(from: &Path, to: &Path) {
    for name in FILES {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).expect("copied");
        }
    }
}

fn harm(folder: &Path, numbers: &mut Numbers) -> String {
    let wal = folder.join("parallax.db-wal");
    let database = folder.join("parallax.db");
    let kind = numbers.below(6);
    let in_wal = kind >= 4 && fs::metadata(&wal).is_ok_and(|it| it.len() > 0);
    let file = if in_wal { &wal } else { &database };
    let mut bytes = fs::read(file).expect("read");
    let length = bytes.len() as u64;
    let what = match kind {
        0 | 1 => {
            let at = numbers.below(length);
            bytes[usize::try_from(at).expect("fits")] ^= 1 << numbers.below(8);
            format!("a bit at {at}")
        }
        2 => {
            let page = numbers.below(length / PAGE);
            let range = usize::try_from(page * PAGE).expect("fits");
            let filler = u8::try_from(numbers.below(256)).expect("fits");
            bytes[range..range + 4096].fill(filler);
            format!("page {page} filled with {filler}")
        }
        3 => {
            let at = usize::try_from(numbers.below(length - 64)).expect("fits");
            for byte in &mut bytes[at..at + 64] {
                *byte = u8::try_from(numbers.below(256)).expect("fits");
            }
            format!("64 bytes at {at}")
        }
        4 => {
            let at = numbers.below(length);
            bytes.truncate(usize::try_from(at).expect("fits"));
            format!("cut at {at}")
        }
        _ => {
            let at = numbers.below(length);
            bytes[usize::try_from(at).expect("fits")] ^= 0xFF;
            format!("a byte at {at}")
        }
    };
    fs::write(file, bytes).expect("written");
    format!("{what} of {}", file.display())
}

async fn is_frozen(store: &Store) -> bool {
    let frozen: Result<(i64,), _> =
        sqlx::query_as("SELECT count(*) FROM ledger_meta WHERE frozen_until_ms IS NOT NULL")
            .fetch_one(&store.core.reader)
            .await;
    frozen.is_ok_and(|(count,)| count == 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_damage_changes_the_ledger_unnoticed() {
    let it = grown().await;
    let before = ledger(&it.store).await.expect("read");
    let source = tempfile::tempdir().expect("a folder");
    // As after a crash: the WAL is left as it is.
    copy(it.folder.path(), source.path());
    let mut numbers = Numbers(7);
    let (mut refused, mut frozen, mut same) = (0, 0, 0);
    let mut unnoticed = Vec::new();
    for variant in 0..VARIANTS {
        let folder = tempfile::tempdir().expect("a folder");
        copy(source.path(), folder.path());
        let what = harm(folder.path(), &mut numbers);
        let harmed = fs::read(folder.path().join("parallax.db")).expect("read");
        match Store::open_by(folder.path(), Duration::ZERO, it.store.core.clock.again()).await {
            Ok(store) if is_frozen(&store).await => frozen += 1,
            Ok(store) => match ledger(&store).await {
                Ok(after) if after == before => same += 1,
                Ok(_) | Err(_) => unnoticed.push(format!("variant {variant}: {what}")),
            },
            Err(error) => {
                let text = error.to_string();
                assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {text}");
                assert!(text.contains("backup"), "{what}: {text}");
                if what.contains("db-wal") {
                    refused += 1;
                    continue;
                }
                let after = fs::read(folder.path().join("parallax.db")).expect("read");
                assert!(after == harmed, "{what}: it was written to");
                refused += 1;
            }
        }
    }
    eprintln!(
        "{refused} refused, {frozen} frozen, {same} with the same ledger, {}",
        unnoticed.len()
    );
    // What is left: a bit inside a number that neither an index nor a sum of the ledger repeats.
    assert!(unnoticed.len() <= UNNOTICED_MAX, "{unnoticed:#?}");
    assert!(refused > 20 && frozen > 10 && same > 20, "{refused} {frozen} {same}");
}
