//! Can this file be read as a world, and which worlds lie in a folder?
//!
//! A file that cannot be read is an error of its own kind, never a failing world: whoever runs
//! worlds must be able to tell "we failed to look" from "the product was wrong". Every error names
//! the file, the JSON path and what would be right.
//!
//! INVARIANT: the order of what [`find`] returns depends on the paths alone.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::World;
use super::references;

/// The value of `schema` in every world.
pub const SCHEMA: &str = "parallax-world/1";

/// The largest file that is read as a world, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How deep [`find`] walks into folders.
const FOLDER_DEPTH_MAX: usize = 16;

/// One thing wrong in a file that has the right shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a JSON path such as `hosts[2].rules[0].forward.to[0]`.
    pub at: String,
    /// What is wrong and what would be right.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.at, self.what)
    }
}

/// Why a world could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` has {bytes} bytes; a world has at most {FILE_BYTES_MAX}", path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("`{}` is not JSON: {source}", path.display())]
    NotJson { path: PathBuf, source: serde_json::Error },
    #[error("`{}` is no world: `schema` must be \"{SCHEMA}\"", path.display())]
    OtherSchema { path: PathBuf },
    #[error("`{}`: {problem}", path.display())]
    Shape { path: PathBuf, problem: Problem },
    #[error("`{}`: {}", path.display(), list(problems))]
    Contents { path: PathBuf, problems: Vec<Problem> },
    #[error("folder `{}` lies more than {FOLDER_DEPTH_MAX} folders deep", path.display())]
    TooDeep { path: PathBuf },
    #[error("`{}` holds no world: no JSON file whose `schema` is \"{SCHEMA}\"", path.display())]
    NoWorld { path: PathBuf },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads one file, which must be a world.
///
/// # Errors
/// Everything in [`LoadError`]; a shape error names the first place, wrong contents name all.
pub fn read(path: &Path) -> Result<World, LoadError> {
    read_text(path, &text_of(path)?)
}

/// Reads the text of one file; `path` only names it in errors.
///
/// # Errors
/// As [`read`], but for the file itself.
pub fn read_text(path: &Path, text: &str) -> Result<World, LoadError> {
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|source| LoadError::NotJson { path: path.to_owned(), source })?;
    if value.get("schema").and_then(serde_json::Value::as_str) != Some(SCHEMA) {
        return Err(LoadError::OtherSchema { path: path.to_owned() });
    }
    // From the text, not from the value: only the text still shows a key that stands there twice.
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let world =
        World::deserialize(serde_path_to_error::Deserializer::new(&mut deserializer, &mut track))
            .map_err(|error| LoadError::Shape {
            path: path.to_owned(),
            problem: Problem { at: track.path().to_string(), what: error.to_string() },
        })?;
    let problems = references::check(&world);
    if problems.is_empty() {
        Ok(world)
    } else {
        Err(LoadError::Contents { path: path.to_owned(), problems })
    }
}

/// The worlds of a path: the file itself, or every `.json` file below a folder that has the schema
/// of a world, sorted by path. Other JSON files of the folder are passed over.
///
/// # Errors
/// When the path, a folder or a world below it cannot be read.
pub fn find(path: &Path) -> Result<Vec<(PathBuf, World)>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![(path.to_owned(), read(path)?)]);
    }
    let mut files = Vec::new();
    collect(path, 0, &mut files)?;
    files.sort();
    let mut worlds = Vec::new();
    for file in files {
        let text = text_of(&file)?;
        if is_meant_as_world(&text) {
            let world = read_text(&file, &text)?;
            worlds.push((file, world));
        }
    }
    Ok(worlds)
}

/// A file that is not JSON has no schema; it counts as a world if it speaks of one, so that a
/// broken world is an error and not a world less.
fn is_meant_as_world(text: &str) -> bool {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => value.get("schema").and_then(serde_json::Value::as_str) == Some(SCHEMA),
        Err(_) => text.contains(SCHEMA),
    }
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    if depth > FOLDER_DEPTH_MAX {
        return Err(LoadError::TooDeep { path: folder.to_owned() });
    }
    let unreadable = |source| LoadError::Unreadable { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let metadata = std::fs::metadata(&path)
            .map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
        if metadata.is_dir() {
            collect(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|it| it.eq_ignore_ascii_case("json")) {
            files.push(path);
        }
    }
    Ok(())
}

fn text_of(path: &Path) -> Result<String, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(LoadError::TooLarge { path: path.to_owned(), bytes });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The smallest world that is right; tests break it.
    pub(super) fn smallest() -> serde_json::Value {
        serde_json::json!({
            "schema": SCHEMA, "id": "a-b", "title": "one host", "why": "a test", "layer": "none",
            "directories": [{"name": "corp", "netbios": "CORP", "dns_domain": "corp.example", "upn_suffixes": [],
                "lockout_threshold": 10, "observation_window_s": 1800, "lockout_duration_s": 1800}],
            "accounts": [{"name": "anna", "directory": "corp", "login": "anna@corp.example", "form": "upn",
                "resolves": true, "secret": "right", "state": "ok", "mailbox": "ex1", "given": true, "purpose": "subject"}],
            "vantages": [{"name": "ext", "zone": "external", "site": "net", "agent": "up",
                "dns": {"mail.example": "ex1", "gone.example": "nxdomain"}, "reach": {"ex1:443": "open"}, "reach_default": "blackhole"}],
            "hosts": [{"name": "ex1", "listeners": [{"port": 80, "tls": "none"}],
                "rules": [{"when": {}, "answer": {"status": 200, "headers": []}}]}],
            "target": {"name": "t", "published": "mail.example",
                "endpoints": [{"name": "published", "role": "external", "url": "http://mail.example/Microsoft-Server-ActiveSync"}]},
            "expect": {"fault": "healthy", "acceptable": [], "standing_at_least": "likely", "also": [], "never": [], "max_refused_logons": 0},
            "shows": []
        })
    }

    #[track_caller]
    fn check_refused(change: impl FnOnce(&mut serde_json::Value), expected: &[&str]) {
        let mut value = smallest();
        change(&mut value);
        let error = read_text(Path::new("w.json"), &value.to_string())
            .expect_err("must be refused")
            .to_string();
        for part in expected {
            assert!(error.contains(part), "`{error}` lacks `{part}`");
        }
    }

    #[test]
    fn smallest_world_is_read() {
        let world = read_text(Path::new("w.json"), &smallest().to_string()).expect("a world");
        assert_eq!(world.hosts[0].listeners[0].tls, None);
        assert_eq!(world.vantages[0].families, vec![crate::format::Family::V4]);
    }

    #[test]
    fn unknown_key_is_named() {
        check_refused(
            |it| it["hosts"][0]["colour"] = "blue".into(),
            &["w.json", "hosts[0]", "unknown field `colour`", "`listeners`"],
        );
    }

    #[test]
    fn wrong_word_names_the_right_ones() {
        check_refused(
            |it| it["vantages"][0]["zone"] = "outside".into(),
            &["vantages[0].zone", "`external`", "`backend`"],
        );
        check_refused(
            |it| it["vantages"][0]["reach"]["ex1"] = "maybe".into(),
            &["vantages[0].reach.ex1", "`tls_stall`"],
        );
        check_refused(
            |it| it["hosts"][0]["listeners"][0]["tls"] = 5.into(),
            &["listeners[0].tls", "`none`"],
        );
    }

    #[test]
    fn two_actions_are_refused() {
        check_refused(
            |it| it["hosts"][0]["rules"][0]["stall"] = true.into(),
            &["hosts[0].rules[0]", "exactly one"],
        );
    }

    #[test]
    fn all_wrong_names_at_once() {
        check_refused(
            |it| {
                it["accounts"][0]["directory"] = "nowhere".into();
                it["vantages"][0]["dns"]["mail.example"] = "ex9".into();
                it["target"]["endpoints"][0]["url"] = "ftp://mail.example/".into();
            },
            &[
                "accounts[0].directory",
                "`corp`",
                "vantages[0].dns.mail.example",
                "`ex1`",
                "endpoints[0].url",
                "http",
            ],
        );
    }

    #[test]
    fn folder_keeps_worlds_and_passes_over_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("deep")).expect("a folder");
        std::fs::write(folder.path().join("deep/b.json"), smallest().to_string()).expect("written");
        std::fs::write(folder.path().join("a.json"), smallest().to_string()).expect("written");
        std::fs::write(folder.path().join("other.json"), "{\"schema\": \"another\"}")
            .expect("written");
        std::fs::write(folder.path().join("notes.md"), "no world").expect("written");
        let found = find(folder.path()).expect("readable");
        assert_eq!(found.len(), 2);
        assert!(found[0].0.ends_with("a.json"));

        std::fs::write(folder.path().join("half.json"), &smallest().to_string()[..60])
            .expect("written");
        assert!(matches!(find(folder.path()), Err(LoadError::NotJson { .. })));
        assert!(matches!(find(&folder.path().join("absent")), Err(LoadError::Unreadable { .. })));
    }
}
