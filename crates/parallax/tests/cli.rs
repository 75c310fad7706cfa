//! The program as people and scripts meet it: what goes to stdout and stderr, and the exit code.
//!
//! Every process gets an environment of its own, so that what the machine has set does not matter. Absent on purpose:
//! what needs a controller of its own, and mistakes in files; `tests/it` has both.

use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_parallax");

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[track_caller]
fn check_refused(arguments: &[&str], code: i32, needles: &[&str]) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", text(&output.stderr));
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    for needle in needles {
        assert!(text(&output.stderr).contains(needle), "{needle}\n{}", text(&output.stderr));
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_would_be_right() {
    check_refused(&["diagnose"], 2, &["<TARGET>"]);
    check_refused(&["explain", "iwa_mising"], 2, &["e2003_be_iwa_missing", "`parallax explain`"]);
    check_refused(&["list", "--server", "http://192.0.2.1:7443"], 2, &["--server", "in clear"]);
    check_refused(&["list", "--token-file", "/nonexistent"], 2, &["/nonexistent"]);
    check_refused(
        &["account", "add", "anna", "--directory", "corp", "--secret-stdin"],
        2,
        &["`user_names`"],
    );
    check_refused(&["diagnose", "mail", "--trust", "public"], 2, &["`--trust`", "URL only"]);
    check_refused(&["diagnose", "ftp://mail.example"], 2, &["ftp", "https://"]);
    check_refused(&["world", "check", "/nonexistent.json"], 2, &["/nonexistent.json"]);
    check_refused(&["agent", "run", "--config", "/nonexistent.toml"], 2, &["/nonexistent.toml"]);
}

#[test]
fn a_password_in_a_wrong_url_is_not_repeated() {
    for target in [
        "https://u:Planted-1@h:99999/",
        "gopher://u:Planted-1@h",
        "u:Planted-1@h",
        "//u:Planted-1@h/x",
    ] {
        for arguments in [&["diagnose", target][..], &["diagnose", target, "--zone", "dmz"]] {
            let output = run(arguments);
            assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
            assert!(!text(&output.stderr).contains("Planted"), "{}", text(&output.stderr));
        }
    }
    check_refused(
        &["diagnose", "mail.example.org"],
        2,
        &["parallax diagnose https://mail.example.org"],
    );
}

#[test]
fn a_controller_that_is_not_there_is_exit_code_5() {
    // Port 9 of a loopback address that nobody uses.
    check_refused(&["list", "--server", "http://127.9.9.9:9"], 5, &["cannot reach", "--server"]);
}

#[test]
fn the_manual_works_offline_in_both_languages() {
    let list = run(&["explain"]);
    assert_eq!(list.status.code(), Some(0));
    assert!(text(&list.stdout).lines().count() > 17);
    assert!(!text(&list.stdout).contains('\u{1b}'), "no colour in a pipe");
    let page = run(&["explain", "e2003_be_iwa_missing", "--lang", "ja"]);
    assert!(text(&page.stdout).contains("手順") && text(&page.stdout).contains("KB 937031"));
    let json = run(&["explain", "faults/bad_password", "--output", "json"]);
    let fault: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        (&fault["name"], &fault["text"]["language"]),
        (&"faults/bad_password".into(), &"en".into())
    );
}

/// The seed problem, end to end, by the program alone.
#[test]
fn the_demo_names_the_cause_and_ends_with_its_exit_code() {
    let output = run(&["demo", "--once", "--output", "ndjson"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let name =
        text(&output.stderr).lines().find(|it| it.starts_with("diagnoses/")).expect("the name");
    let events: Vec<serde_json::Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("one event a line"))
        .collect();
    let sequence: Vec<i64> = events.iter().filter_map(|it| it["sequence"].as_i64()).collect();
    assert_eq!(sequence.len(), events.len());
    assert!(sequence.is_sorted());
    let diagnosis = &events.last().expect("events")["diagnosis"];
    assert_eq!(diagnosis["name"], name);
    assert_eq!(diagnosis["verdict"]["fault"], "e2003_be_iwa_missing");
    assert_eq!(diagnosis["verdict"]["standing"], "confirmed");
    assert_eq!(
        (&diagnosis["logons"]["used"], &diagnosis["logons"]["refused"]),
        (&3.into(), &1.into())
    );

    let japanese = run(&["demo", "--once", "--lang", "ja"]);
    assert_eq!(japanese.status.code(), Some(1));
    for needle in ["確定", "観測地点", "除外された原因", "手順", "IIS マネージャー"]
    {
        assert!(text(&japanese.stdout).contains(needle), "{needle}");
    }
}

/// Embedded mode: controller, agent and ledger in this one process. Loopback is what no policy of the field permits.
#[test]
fn a_url_is_diagnosed_without_a_service_and_within_the_policy() {
    let folder = tempfile::tempdir().expect("folder");
    let diagnose = |arguments: &[&str]| {
        let line = [&["diagnose", "https://127.0.0.1", "--output", "json"], arguments].concat();
        command(&line).env("XDG_DATA_HOME", folder.path()).output().expect("it runs")
    };
    let output = diagnose(&["--zone", "dmz"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    let diagnosis: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(diagnosis["verdict"]["fault"], "undetermined");
    let report = &diagnosis["rounds"][0]["reports"][0];
    assert!(
        report["refused"]["rule"].as_str().is_some_and(|it| it.contains("loopback")),
        "{report}"
    );
    assert!(folder.path().join("parallax/embedded/parallax.db").exists());
    assert_eq!(diagnose(&[]).status.code(), Some(4), "a second run finds the ledger free");
}
