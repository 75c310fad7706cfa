//! A planted password is really sent, and yet stands in no output, no trace, no error and no file.
//!
//! The demo's controller and agents run at trace level in one process; the password goes over the wire to the simulated
//! Exchange, which refuses it. What was registered only is searched for in `installation.rs`.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::needles::Needles;
use crate::program::{Ended, Running, run_with};

const SECRET: &str = "Planted-51d0-wrong-and-sent";
const LOGIN: &str = "planted@contoso.example";
const START_LIMIT: Duration = Duration::from_secs(90);

#[test]
fn a_password_that_was_sent_is_nowhere_to_be_read() {
    let home = tempdir().expect("a folder");
    let mut demo = Running::start(home.path(), &["demo", "--log", "trace"]);
    let token_file =
        demo.wait_for("PARALLAX_TOKEN_FILE=", START_LIMIT).trim_matches('\'').to_owned();
    let server = demo.wait_for("PARALLAX_SERVER=", START_LIMIT);
    let ask = |arguments: &[&str], stdin: &str| -> Ended {
        let connection = ["--server", &server, "--token-file", &token_file, "--log", "trace"];
        run_with(home.path(), &[arguments, &connection[..]].concat(), stdin, &[])
    };

    let added = ask(
        &[
            "account",
            "add",
            "planted",
            "--directory",
            "planted",
            "--upn",
            LOGIN,
            "--mailbox",
            "2010",
            "--lockout-threshold",
            "10",
            "--lockout-window",
            "30m",
            "--secret-stdin",
        ],
        SECRET,
    );
    added.assert_code(0);
    let got = ask(&["target", "get", "contoso", "--output", "json"], "");
    got.assert_code(0);
    let mut target: Value = serde_json::from_str(&got.stdout).expect("one JSON document");
    target["name"] = json!("targets/planted");
    target["etag"] = json!("");
    target["accounts"] = json!([{"account": "accounts/planted", "purpose": "PURPOSE_SUBJECT"}]);
    let applied = ask(&["target", "apply", "-f", "-"], &target.to_string());
    applied.assert_code(0);
    let diagnosed = ask(&["diagnose", "planted", "--output", "json"], "");
    let diagnosis: Value = serde_json::from_str(&diagnosed.stdout).expect("one JSON document");
    assert_eq!(diagnosis["logons"]["refused"], 1, "it was not sent: {}", diagnosis["logons"]);

    let needles = Needles::of(SECRET, &[LOGIN]);
    let data = Path::new(&token_file).parent().expect("a folder").to_owned();
    needles.assert_absent_below(&data);
    Needles::plain(LOGIN).assert_present_below(&data);
    for ended in [added, got, applied, diagnosed] {
        needles.assert_absent("what a command printed", ended.all().as_bytes());
    }
    let demo = demo.stop();
    needles.assert_absent("the log of controller and agents", demo.all().as_bytes());
    assert!(demo.stderr.contains("TRACE"), "nothing was traced");
    assert!(!data.exists(), "the demo's data outlives it");
}
