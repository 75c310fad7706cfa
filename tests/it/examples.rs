//! What `deploy/` hands out is what the program takes: example files through the real readers, commands of the units and of the
//! guide against `--help`, and the guide's list of alarms against the source.
//!
//! Absent on purpose: running it; `installation` does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use parallax_agent::{AgentConfig, Policy, WrittenAgentSettings};
use parallax_controller::settings::{ControllerSettings, WrittenSettings};
use parallax_process::{Layers, read_settings};
use parallax_wire::{read_account_document, read_target_document};
use serde_json::Value;
use tempfile::tempdir;

use crate::program::run;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below, of a folder that is there.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn document(path: &Path) -> Value {
    let table: toml::Table = toml::from_str(&text_of(path)).expect("TOML");
    serde_json::to_value(table).expect("a document")
}

#[test]
fn every_example_is_taken_by_its_reader() {
    for path in files_below(&deploy().join("examples")) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let layers = Layers::default().with_file(&path);
        let mistakes = match name.split(['-', '.']).next().expect("a first word") {
            "controller" => read_settings::<WrittenSettings, _>(&layers, ControllerSettings::check)
                .err()
                .map(|error| error.to_string()),
            "agent" => read_settings::<WrittenAgentSettings, _>(&layers, |raw, mistakes| {
                AgentConfig::check(raw, &|_| None, mistakes)
            })
            .err()
            .map(|error| error.to_string()),
            "policy" => Policy::read(&path).err().map(|error| error.to_string()),
            "account" => read_account_document(&document(&path)).err().map(|it| format!("{it:?}")),
            "target" => read_target_document(&document(&path)).err().map(|it| format!("{it:?}")),
            _ => Some("is read by nothing; give it the first word of what it is".to_owned()),
        };
        assert_eq!(mistakes, None, "{name}");
    }
}

/// An endpoint of the example target that names an address is worth nothing if the example policy does not permit it.
#[test]
fn the_example_policy_lists_what_the_example_target_dials() {
    let (target, _) =
        read_target_document(&document(&deploy().join("examples/target.toml"))).expect("a target");
    let policy = text_of(&deploy().join("examples/policy.toml"));
    for endpoint in target.endpoints.iter().filter(|it| !it.connect.is_empty()) {
        assert!(policy.contains(&format!("\"{}\"", endpoint.connect)), "{}", endpoint.name);
    }
}

/// The words of a command line after `parallax`: the commands, and the options without their values.
fn words(line: &str) -> (Vec<&str>, Vec<&str>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_option = |it: &&str| it.starts_with("--");
    let is_command = |it: &&&str| it.chars().all(|it| it.is_ascii_lowercase() || it == '-');
    let commands = words.iter().take_while(is_command).take(2).copied();
    let commands = commands.filter(|it| !is_option(it)).collect();
    let options = words.iter().copied().filter(is_option);
    (commands, options.map(|it| it.split('=').next().unwrap_or(it)).collect())
}

/// Every option of a command has to be in the help of that command.
fn check_command(line: &str) {
    let home = tempdir().expect("a folder");
    let (commands, options) = words(line);
    // The second word may be an argument, as in `diagnose mail`.
    let mut help = run(home.path(), &[&commands[..], &["--help"]].concat());
    if help.code != 0 || !help.stdout.contains("Usage") {
        help = run(home.path(), &[&commands[..1], &["--help"]].concat());
    }
    help.assert_code(0);
    for option in options {
        assert!(help.stdout.contains(option), "{line}: no {option}");
    }
}

/// Keys of the settings files, as they stand in the environment.
const VARIABLES: [&str; 3] =
    ["PARALLAX_CONTROLLER_API_CERTIFICATE", "PARALLAX_CONTROLLER_API_KEY", "PARALLAX_AGENT_POLICY"];

#[test]
fn the_units_start_what_there_is() {
    let mut seen = 0;
    for path in files_below(&deploy().join("systemd")) {
        for line in text_of(&path).lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            if let Some(command) = value.strip_prefix("/usr/local/bin/parallax ")
                && key.starts_with("Exec")
            {
                check_command(command);
                seen += 1;
            }
            if key == "Environment" {
                let name = value.split('=').next().expect("a name");
                assert!(VARIABLES.contains(&name), "{name}");
            }
        }
    }
    assert_eq!(seen, 3, "ExecStartPre and two times ExecStart");
}

#[test]
fn the_commands_of_the_guide_are_there() {
    let home = tempdir().expect("a folder");
    let help = run(home.path(), &["--help"]);
    let (commands, _) = help.stdout.split_once("Options:").expect("the commands come first");
    let is_command = |word: &str| commands.contains(&format!("\n  {word} "));
    let guide = text_of(&deploy().join("README.md"));
    let mut seen = BTreeSet::new();
    for line in guide.lines().filter(|it| it.starts_with("    ")) {
        // Users and folders have that name, too; a command is followed by one of its own.
        let ends = line.match_indices("parallax ").map(|(at, word)| &line[at + word.len()..]);
        let mut commands = ends.filter(|it| it.split(' ').next().is_some_and(is_command));
        let Some(command) = commands.next() else { continue };
        let command = command.split(['#', '|', '>']).next().expect("a command");
        if seen.insert(command.to_owned()) {
            check_command(command);
        }
    }
    assert!(seen.len() >= 16, "{seen:#?}");
}

#[test]
fn a_configuration_is_checked_without_changing_anything() {
    let home = tempdir().expect("a folder");
    let data = home.path().join("data");
    let shown = data.display().to_string();
    run(home.path(), &["controller", "init", "--data-folder", &shown]).assert_code(0);
    let before = files_below(&data);
    let example = deploy().join("examples/controller.toml").display().to_string();
    let arguments = ["controller", "--config", &example, "--data-folder", &shown, "--check-config"];
    run(home.path(), &arguments).assert_code(0).assert_shows(&["would start", "no database yet"]);

    fs::remove_file(data.join("token")).expect("removed");
    fs::write(data.join("agent-ca.pem"), "none").expect("written");
    let off_loopback = [&arguments[..], &["--api-listen", "0.0.0.0:7443", "--agent-listen", "x"]];
    run(home.path(), &off_loopback.concat()).assert_code(2).assert_says(&[
        "would not start",
        "`api_certificate`",
        "`agent_listen`",
        "agent-ca.pem`",
        "token`",
    ]);
    assert_eq!(files_below(&data).len(), before.len() - 1);
}

/// The texts of all warnings and errors that these sources log.
fn alarms(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in files_below(folder) {
        let shown = path.display().to_string();
        let is_source = path.extension().is_some_and(|it| it == "rs");
        if !is_source || shown.contains("/tests/") || shown.ends_with("tests.rs") {
            continue;
        }
        let text = text_of(&path);
        for mark in ["warn!(", "error!("] {
            for (at, _) in text.match_indices(mark) {
                found.extend(last_literal(&text[at + mark.len()..]));
            }
        }
    }
    found
}

/// The last text in the arguments of a macro, of which this is the rest of the file.
fn last_literal(arguments: &str) -> Option<String> {
    let (mut depth, mut literal, mut last) = (1, None::<String>, None);
    for letter in arguments.chars() {
        match (&mut literal, letter) {
            (Some(_), '"') => last = literal.take(),
            (Some(text), _) => text.push(letter),
            (None, '"') => literal = Some(String::new()),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, _) => {}
        }
        if depth == 0 {
            break;
        }
    }
    last
}

#[test]
fn every_alarm_is_in_the_guide() {
    let guide = text_of(&deploy().join("README.md"));
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let all: BTreeSet<String> = ["controller", "agent", "store"]
        .iter()
        .flat_map(|it| alarms(&crates.join(it).join("src")))
        .collect();
    assert!(all.len() > 40, "the source was not read: {all:?}");
    let missing: Vec<&String> = all.iter().filter(|it| !guide.contains(it.as_str())).collect();
    assert!(missing.is_empty(), "deploy/README.md says nothing of: {missing:#?}");
}
