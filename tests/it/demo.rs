//! `parallax demo`: one command names the seed's cause from four places at once. What stands in the README, stays true.

use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Ended, run};

/// Without what differs from run to run: times, widths of columns, and whatever follows from this run's keys.
fn lasting(text: &str) -> Vec<String> {
    let words = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        for at in 1..words.len() {
            if matches!(words[at], "ms" | "s") {
                words[at - 1] = "N";
            }
        }
        words.join(" ")
    };
    let lines = text.lines().filter(|it| !it.contains("sha256") && !it.contains("valid until"));
    lines.map(words).filter(|it| !it.is_empty() && it != "…").collect()
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let (_, result) = readme.split_once("```text\n").expect("a result");
    let (result, _) = result.split_once("```").expect("its end");
    let printed = lasting(&demo_once(&[]).stdout);
    let shown = lasting(result);
    assert!(shown.len() > 20, "the README shows no result");
    let missing: Vec<&String> = shown.iter().filter(|it| !printed.contains(it)).collect();
    assert!(missing.is_empty(), "in the README, but not printed: {missing:#?}");
}

fn demo_once(arguments: &[&str]) -> Ended {
    let home = tempdir().expect("a folder");
    run(home.path(), &[&["demo", "--once"], arguments].concat())
}

#[test]
fn the_seed_is_named_with_its_witness_and_its_steps() {
    let ended = demo_once(&[]);
    ended.assert_code(1);
    ended.assert_shows(&[
        "e2003_be_iwa_missing",
        "confirmed",
        "bad_password",
        "937031",
        "Exchange System Manager",
        "IIS Manager",
    ]);
}

#[test]
fn the_seed_takes_three_logons_and_one_refusal() {
    let ended = demo_once(&["--output", "json"]);
    ended.assert_code(1);
    let diagnosis: Value = serde_json::from_str(&ended.stdout).expect("one JSON document");
    assert_eq!(diagnosis["verdict"]["fault"], "e2003_be_iwa_missing");
    assert_eq!(diagnosis["verdict"]["standing"], "confirmed");
    assert_eq!(diagnosis["logons"]["used"], 3);
    assert_eq!(diagnosis["logons"]["refused"], 1);
    assert!(diagnosis["logons"]["held"].as_i64() >= Some(1), "the external logon is held");
    let ruled_out = diagnosis["ruledOut"].as_array().expect("a list");
    let witness = ruled_out.iter().find(|it| it["fault"] == "bad_password").expect("ruled out");
    assert!(!witness["by"].as_array().expect("a list").is_empty(), "no witness");
}

#[test]
fn the_same_in_japanese() {
    let ended = demo_once(&["--lang", "ja"]);
    ended.assert_code(1);
    ended.assert_shows(&["e2003_be_iwa_missing", "937031", "認証"]);
}
