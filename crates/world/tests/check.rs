//! Worlds through the whole product: real controller, agents and sockets, in real time.
//!
//! A few quick ones; the whole set runs by `parallax world check tests/worlds`.

use std::path::{Path, PathBuf};

use parallax_world::check::check;
use parallax_world::format::LoadError;
use parallax_world::grade::{Grade, Graded};

fn worlds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/worlds")
}

#[tokio::test]
async fn quick_worlds_are_right() {
    let names = ["x01-seed.json", "x03-chain-incomplete-outside.json", "seed-flip-back.json"];
    let paths: Vec<PathBuf> = names.iter().map(|it| worlds().join(it)).collect();
    let mut told = Vec::new();
    let summary = check(&paths, |it| told.push(it.id.clone())).await.expect("readable");
    assert!(summary.all_right(), "{summary:#?}");
    told.sort();
    assert_eq!(told, ["seed-flip-back", "x01-seed", "x03-chain-incomplete-outside"]);
}

/// The graders see what happened: an expectation that is not met, and a logon that the directory counted.
#[tokio::test]
async fn a_wrong_answer_and_a_risen_counter_are_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |id: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let text =
            std::fs::read_to_string(worlds().join("wrong-password-2016.json")).expect("read");
        let mut world: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        world["id"] = id.into();
        change(&mut world);
        std::fs::write(folder.path().join(format!("{id}.json")), world.to_string())
            .expect("written");
    };
    write("as-it-is", &|_| {});
    write("no-budget", &|it| it["expect"]["max_refused_logons"] = 0.into());
    write("other-fault", &|it| it["expect"]["fault"] = "upn_mismatch".into());
    let summary = check(&[folder.path().to_owned()], |_| {}).await.expect("readable");
    assert_eq!((summary.worlds, summary.right), (3, 1), "{summary:#?}");
    let grades: Vec<(&str, Grade)> =
        summary.failures.iter().map(|Graded { id, grade, .. }| (id.as_str(), *grade)).collect();
    assert_eq!(grades, [("no-budget", Grade::OverBudget), ("other-fault", Grade::Wrong)]);
}

#[tokio::test]
async fn the_same_file_counts_once_and_none_is_an_error() {
    let seed = worlds().join("x03-chain-incomplete-outside.json");
    let summary = check(&[seed.clone(), seed], |_| {}).await.expect("readable");
    assert_eq!(summary.worlds, 1);
    let empty = tempfile::tempdir().expect("a folder");
    let error = check(&[empty.path().to_owned()], |_| {}).await.expect_err("nothing to run");
    assert!(matches!(error, LoadError::NoWorld { .. }), "{error}");
    std::fs::write(empty.path().join("w.json"), r#"{"schema": "parallax-world/1"}"#)
        .expect("written");
    let error = check(&[worlds(), empty.path().to_owned()], |_| panic!("nothing runs")).await;
    assert!(matches!(error.expect_err("unreadable"), LoadError::Shape { .. }));
}
