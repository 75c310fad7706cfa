//! Results that the controller has not acknowledged: kept in memory and, if there is a folder, on the disk, so that they
//! outlive the agent. Sent again with every new session, and in one that lasts.
//!
//! One file a result: a mark, the SHA-256 of the rest, the message. No secret is in a result. Absent on purpose: anything
//! about sessions; whoever has one asks what is kept.
//!
//! INVARIANT: a result leaves when it is acknowledged, when the controller says that it does not know its task, or for want of
//! room, and the last is logged.
//! INVARIANT: a result with an attempt does not leave for want of room while an anonymous one is there: its answer settles
//! what a logon cost.
//! INVARIANT: no state of the disk ends the agent: what cannot be written stays in memory, what cannot be read is set aside.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parallax_wire::pb::link as wire;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tracing::{error, info, warn};

use crate::files::{Draft, PRIVATE, UNFINISHED, make_folder};

/// Results kept, with those of the tasks in hand.
pub(crate) const RESULTS_MAX: usize = 1000;
/// Their messages together, in bytes.
pub(crate) const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Damaged files kept for people to look at; further ones are removed.
const SET_ASIDE_MAX: usize = 100;
/// First bytes of every file.
const MARK: &[u8; 8] = b"PLXRES1\n";
const DIGEST_LENGTH: usize = 32;
const ENDING: &str = ".result";
const SET_ASIDE: &str = ".damaged";
/// A result has at most 1,000 KiB, see the desk.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Above every number that is given in the life of an agent.
const SEQUENCE_END: u64 = 1 << 62;

struct Kept {
    result: wire::Result,
    size: usize,
    is_on_disk: bool,
}

/// Unacknowledged results, oldest first.
#[derive(Default)]
pub(crate) struct Spool {
    kept: BTreeMap<u64, Kept>,
    next: u64,
    bytes: usize,
    folder: Option<PathBuf>,
    /// The disk took the last write.
    is_disk_good: bool,
}

impl Spool {
    /// For an agent without a home.
    pub(crate) fn in_memory() -> Self {
        Self::default()
    }

    /// Reads what is in the folder, which is made if it is not there. Blocks on the disk.
    pub(crate) fn open(folder: &Path) -> Self {
        let mut spool = Self { is_disk_good: true, ..Self::default() };
        let names = make_folder(folder).and_then(|()| names_in(folder));
        match names {
            Ok(names) => {
                for name in names {
                    spool.take_up(folder, &name);
                }
                spool.folder = Some(folder.to_owned());
            }
            Err(error) => {
                error!(%error, folder = %folder.display(), "the spool cannot be used: results are kept in memory alone");
            }
        }
        if !spool.kept.is_empty() {
            info!(count = spool.kept.len(), "results of before wait to be acknowledged");
        }
        spool.make_room();
        spool
    }

    fn take_up(&mut self, folder: &Path, name: &str) {
        let path = folder.join(name);
        if name.ends_with(UNFINISHED) {
            // A write that a crash cut off; its result was never said to be kept.
            let _ = fs::remove_file(&path);
            return;
        }
        let Some(sequence) = name.strip_suffix(ENDING).and_then(|it| it.parse::<u64>().ok()) else {
            return;
        };
        // A number that we never gave would leave none for what comes.
        let is_ours = sequence < SEQUENCE_END;
        if is_ours {
            self.next = self.next.max(sequence + 1);
        }
        let found =
            if is_ours { read_file(&path) } else { Err(damaged("its number is too large")) };
        match found.and_then(|bytes| read(&bytes).map(|it| (it, bytes.len()))) {
            Ok((result, size)) => {
                self.bytes += size;
                self.kept.insert(sequence, Kept { result, size, is_on_disk: true });
            }
            Err(error) => {
                error!(%error, file = %path.display(), "a kept result is damaged; it is set aside");
                set_aside(folder, &path);
            }
        }
    }

    /// Keeps a result until it is acknowledged. Blocks on the disk.
    pub(crate) fn keep(&mut self, result: wire::Result) {
        let size = MARK.len() + DIGEST_LENGTH + result.encoded_len();
        self.bytes += size;
        self.kept.insert(self.next, Kept { result, size, is_on_disk: false });
        self.next += 1;
        self.make_room();
        self.save();
    }

    /// Writes what is not on the disk yet.
    pub(crate) fn save(&mut self) {
        let Some(folder) = &self.folder else { return };
        for (sequence, kept) in self.kept.iter_mut().filter(|(_, it)| !it.is_on_disk) {
            match on_disk(|| write(&path(folder, *sequence), &kept.result)) {
                Ok(()) => kept.is_on_disk = true,
                Err(error) => {
                    if self.is_disk_good {
                        error!(%error, folder = %folder.display(), "results cannot be written: they are kept in memory and written later");
                    }
                    self.is_disk_good = false;
                    return;
                }
            }
        }
        if !self.is_disk_good {
            info!("results can be written again");
        }
        self.is_disk_good = true;
    }

    /// Lets the oldest go until there is room, anonymous ones first.
    fn make_room(&mut self) {
        while self.kept.len() > RESULTS_MAX || (self.bytes > BYTES_MAX && self.kept.len() > 1) {
            let anonymous = self.kept.iter().find(|(_, it)| it.result.attempt.is_empty());
            let Some((sequence, kept)) = anonymous.or_else(|| self.kept.first_key_value()) else {
                return;
            };
            let (sequence, attempt) = (*sequence, &kept.result.attempt);
            error!(
                task = kept.result.task,
                attempt, "no room: a result that was not acknowledged is dropped"
            );
            self.forget(sequence);
        }
    }

    fn forget(&mut self, sequence: u64) {
        let Some(kept) = self.kept.remove(&sequence) else { return };
        self.bytes -= kept.size;
        if let Some(folder) = self.folder.as_ref().filter(|_| kept.is_on_disk) {
            let path = path(folder, sequence);
            if let Err(error) = on_disk(|| fs::remove_file(&path)) {
                // It is sent once more after a restart, and acknowledged once more.
                warn!(%error, file = %path.display(), "an acknowledged result cannot be removed");
            }
        }
    }

    fn forget_those(&mut self, is_meant: impl Fn(&wire::Result) -> bool) {
        let meant: Vec<u64> =
            self.kept.iter().filter(|(_, it)| is_meant(&it.result)).map(|it| *it.0).collect();
        for sequence in meant {
            self.forget(sequence);
        }
        if !self.is_disk_good {
            self.save();
        }
    }

    pub(crate) fn acknowledge(&mut self, task: &str) {
        self.forget_those(|it| it.task == task);
    }

    /// A cancel for a result of an earlier session says that its task was not granted to this agent: nothing else makes the
    /// controller speak of such a task. A result of this session may have crossed the cancel, so it stays.
    pub(crate) fn disown(&mut self, task: &str, current_epoch: i64) {
        self.forget_those(|it| it.task == task && it.session_epoch != current_epoch);
    }

    pub(crate) fn get(&self, task: &str) -> Option<&wire::Result> {
        self.results().find(|it| it.task == task)
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Of all messages kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Results that the next start would not find.
    pub(crate) fn only_in_memory(&self) -> usize {
        self.kept.values().filter(|it| !it.is_on_disk).count()
    }

    pub(crate) fn results(&self) -> impl Iterator<Item = &wire::Result> {
        self.kept.values().map(|it| &it.result)
    }
}

fn path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("{sequence:020}{ENDING}"))
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn write(path: &Path, result: &wire::Result) -> io::Result<()> {
    let message = result.encode_to_vec();
    let mut bytes = MARK.to_vec();
    bytes.extend_from_slice(&Sha256::digest(&message));
    bytes.extend_from_slice(&message);
    Draft::write(path, PRIVATE, &bytes)?.place()
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Neither follows a link nor waits for a pipe nor takes more than we ever write.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_file() {
        return Err(damaged("it is no plain file"));
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(damaged("it is larger than any result"));
    }
    fs::read(path)
}

fn read(bytes: &[u8]) -> io::Result<wire::Result> {
    let rest = bytes.strip_prefix(MARK.as_slice()).ok_or_else(|| damaged("its mark is missing"))?;
    let (digest, message) =
        rest.split_at_checked(DIGEST_LENGTH).ok_or_else(|| damaged("it is cut off"))?;
    if Sha256::digest(message).as_slice() != digest {
        return Err(damaged("its digest is wrong"));
    }
    wire::Result::decode(message).map_err(|_| damaged("it is no result"))
}

fn set_aside(folder: &Path, path: &Path) {
    let count =
        names_in(folder).unwrap_or_default().iter().filter(|it| it.ends_with(SET_ASIDE)).count();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(SET_ASIDE);
    let done = if count < SET_ASIDE_MAX {
        fs::rename(path, path.with_file_name(name))
    } else {
        fs::remove_file(path)
    };
    if let Err(error) = done {
        warn!(%error, file = %path.display(), "a damaged file cannot be set aside");
    }
}

/// A slow disk holds up this task alone, not the others of its thread.
fn on_disk<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let is_shared =
        Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_shared { tokio::task::block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    fn result(task: &str, attempt: &str) -> wire::Result {
        wire::Result {
            task: task.into(),
            attempt: attempt.into(),
            session_epoch: 1,
            ..Default::default()
        }
    }

    fn tasks(spool: &Spool) -> Vec<&str> {
        spool.results().map(|it| it.task.as_str()).collect()
    }

    #[test]
    fn a_file_that_we_never_wrote_is_set_aside() {
        let folder = tempdir().expect("a folder");
        let put = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).expect("written");
        };
        put("18446744073709551615.result", b"x");
        put("00000000000000000007.result", &vec![0; 2 << 20]);
        #[cfg(unix)]
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("00000000000000000008.result"))
            .expect("a link");
        let mut spool = Spool::open(folder.path());
        assert_eq!(spool.len(), 0);
        spool.keep(result("a", ""));
        assert_eq!((tasks(&spool), spool.only_in_memory()), (vec!["a"], 0));
        let names = names_in(folder.path()).expect("names");
        assert_eq!(names.iter().filter(|it| it.ends_with(SET_ASIDE)).count(), 3, "{names:?}");
    }

    #[test]
    fn acknowledged_ones_leave_memory_and_disk() {
        let folder = tempdir().expect("a folder");
        let mut spool = Spool::open(folder.path());
        for task in ["a", "b", "c"] {
            spool.keep(result(task, ""));
        }
        spool.acknowledge("b");
        spool.acknowledge("unknown");
        assert_eq!((tasks(&spool), spool.only_in_memory()), (vec!["a", "c"], 0));
        // As after a crash.
        let mut spool = Spool::open(folder.path());
        assert_eq!(tasks(&spool), ["a", "c"]);
        spool.keep(result("d", ""));
        let spool = Spool::open(folder.path());
        assert_eq!(tasks(&spool), ["a", "c", "d"]);
    }

    #[test]
    fn a_cancel_disowns_old_ones_only() {
        let mut spool = Spool::in_memory();
        spool.keep(result("a", ""));
        spool.keep(wire::Result { session_epoch: 2, ..result("b", "") });
        spool.disown("a", 2);
        spool.disown("b", 2);
        assert_eq!(tasks(&spool), ["b"]);
    }

    #[test]
    fn an_attempt_stays_while_something_anonymous_is_there() {
        let mut spool = Spool::in_memory();
        spool.keep(result("logon-0", "a0"));
        for number in 0..RESULTS_MAX {
            spool.keep(result(&format!("look-{number}"), ""));
        }
        assert_eq!(spool.len(), RESULTS_MAX);
        assert_eq!(tasks(&spool)[..2], ["logon-0", "look-1"]);
        for number in 1..=RESULTS_MAX {
            spool.keep(result(&format!("logon-{number}"), "a"));
        }
        assert_eq!(tasks(&spool)[0], "logon-1");
        assert!(spool.get("look-999").is_none());
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut spool = Spool::in_memory();
        let large = wire::Result { nonce: vec![0; 1024 * 1024], ..result("a", "") };
        for _ in 0..20 {
            spool.keep(large.clone());
        }
        assert!(spool.bytes() <= BYTES_MAX && spool.len() == 15, "{}", spool.len());
    }

    #[test]
    fn damaged_files_are_set_aside() {
        let folder = tempdir().expect("a folder");
        let mut spool = Spool::open(folder.path());
        for task in ["a", "b", "c", "d"] {
            spool.keep(result(task, ""));
        }
        let file = |sequence| path(folder.path(), sequence);
        let mut bytes = fs::read(file(0)).expect("there");
        *bytes.last_mut().expect("bytes") ^= 1;
        fs::write(file(0), bytes).expect("written");
        fs::write(file(1), b"").expect("written");
        fs::write(file(2), b"PLXRES1\nshort").expect("written");
        fs::write(folder.path().join("00000000000000000009.result.tmp"), b"x").expect("written");
        let spool = Spool::open(folder.path());
        assert_eq!(tasks(&spool), ["d"]);
        let names = names_in(folder.path()).expect("names");
        assert_eq!(names.iter().filter(|it| it.ends_with(SET_ASIDE)).count(), 3, "{names:?}");
        assert_eq!(names.len(), 4, "{names:?}");
    }

    #[test]
    fn without_a_disk_results_stay_in_memory_and_are_written_later() {
        let home = tempdir().expect("a folder");
        let folder = home.path().join("spool");
        let mut spool = Spool::open(&folder);
        fs::remove_dir(&folder).expect("removed");
        spool.keep(result("a", ""));
        assert_eq!((spool.len(), spool.only_in_memory()), (1, 1));
        fs::create_dir(&folder).expect("made");
        spool.keep(result("b", ""));
        assert_eq!(spool.only_in_memory(), 0);
        assert_eq!(tasks(&Spool::open(&folder)), ["a", "b"]);
        // No folder can be made below a file.
        let file = home.path().join("file");
        fs::write(&file, "").expect("written");
        let mut spool = Spool::open(&file.join("spool"));
        spool.keep(result("c", ""));
        assert_eq!(spool.only_in_memory(), 1);
    }
}
