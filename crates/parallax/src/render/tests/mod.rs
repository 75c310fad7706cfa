//! Golden tests: one diagnosis of the seed problem, built by hand, as people and platforms get it.
//!
//! `UPDATE_EXPECT=1 cargo test -p parallax` writes the golden files anew; read the difference before you commit it.

mod seed;

use expect_test::expect_file;
use parallax_wire::pb;

use super::paint::Paint;
use super::{Afterwards, account_page, diagnosis_list, diagnosis_page, plan_page, pretty, words};
use crate::cli::Language;

const PLAIN: Paint = Paint::OFF;

fn page(language: Language) -> String {
    let diagnosis = seed::diagnosis(language);
    diagnosis_page(&diagnosis, Afterwards::Kept, words(language), PLAIN)
}

#[test]
fn the_seed_in_english() {
    expect_file!["../golden/seed.en.txt"].assert_eq(&page(Language::En));
}

#[test]
fn the_seed_in_japanese() {
    expect_file!["../golden/seed.ja.txt"].assert_eq(&page(Language::Ja));
}

/// What is set aside, who answers, what is only a warning, and what nobody sees from here.
#[test]
fn what_stands_around_a_verdict() {
    for (language, golden) in [
        (Language::En, expect_file!["../golden/around.en.txt"]),
        (Language::Ja, expect_file!["../golden/around.ja.txt"]),
    ] {
        let shown = |diagnosis: &pb::Diagnosis| {
            diagnosis_page(diagnosis, Afterwards::Kept, words(language), PLAIN)
        };
        let mut diagnosis = seed::undetermined(language);
        golden.assert_eq(&shown(&diagnosis));
        // Where a cause is named, a list of causes that nobody sees would only distract from it.
        diagnosis.verdict = seed::diagnosis(language).verdict;
        assert!(!shown(&diagnosis).contains("idle_timeout_too_short"));
    }
}

/// Freezes the JSON of the API's message: names, enums as words, int32 counters, defaults written out.
#[test]
fn the_seed_as_json() {
    let mut json = pretty(&seed::diagnosis(Language::En)).expect("json");
    json.push('\n');
    expect_file!["../golden/seed.json"].assert_eq(&json);
    let back: pb::Diagnosis = serde_json::from_str(&json).expect("reads back");
    assert_eq!(back, seed::diagnosis(Language::En));
}

#[test]
fn colour_adds_nothing_but_colour() {
    let coloured = diagnosis_page(
        &seed::diagnosis(Language::En),
        Afterwards::Kept,
        words(Language::En),
        Paint::new(true),
    );
    assert!(coloured.contains("\u{1b}["));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        stripped.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    stripped.push_str(rest);
    assert_eq!(stripped, page(Language::En));
}

/// A header of a hostile server reaches the terminal as readable text only, wherever it stands.
#[test]
fn no_escape_sequence_of_a_stranger_gets_through() {
    const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}";
    let json = serde_json::to_string(&seed::diagnosis(Language::En)).expect("json");
    // Every text of the message, keys apart, ends with the hostile one.
    let mut value: serde_json::Value = serde_json::from_str(&json).expect("reads");
    spoil(&mut value, HOSTILE);
    let diagnosis: pb::Diagnosis = serde_json::from_value(value).expect("still a diagnosis");
    assert!(diagnosis.target.ends_with(HOSTILE), "nothing was spoiled");
    for language in [Language::En, Language::Ja] {
        for afterwards in [Afterwards::Kept, Afterwards::Gone] {
            let text = diagnosis_page(&diagnosis, afterwards, words(language), PLAIN);
            let list = diagnosis_list(std::slice::from_ref(&diagnosis), words(language), PLAIN);
            for shown in [text, list] {
                let harmful =
                    shown.chars().find(|it| *it != '\n' && super::escape::is_harmful(*it));
                assert_eq!(harmful, None, "{shown}");
                assert!(shown.contains(r"\u{1b}]0;owned"));
            }
        }
    }
}

/// Enums and times have to stay what they are, or the message would not be one.
fn spoil(value: &mut serde_json::Value, with: &str) {
    match value {
        serde_json::Value::String(text) => {
            let is_enum =
                text.bytes().all(|it| it.is_ascii_uppercase() || it == b'_' || it.is_ascii_digit());
            let is_time = (text.ends_with("+00:00") && text.contains('T'))
                || text.strip_suffix('s').is_some_and(|it| it.parse::<u32>().is_ok());
            if !is_time && (!is_enum || text.is_empty()) {
                text.push_str(with);
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(|it| spoil(it, with)),
        serde_json::Value::Object(values) => values.values_mut().for_each(|it| spoil(it, with)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[test]
fn the_plan_of_the_seed() {
    let plan = seed::plan();
    expect_file!["../golden/plan.en.txt"].assert_eq(&plan_page(&plan, words(Language::En), PLAIN));
    expect_file!["../golden/plan.ja.txt"].assert_eq(&plan_page(&plan, words(Language::Ja), PLAIN));
}

#[test]
fn an_account_shows_everything_but_its_secret() {
    let account = seed::account();
    let page = account_page(&account, words(Language::En), PLAIN);
    assert!(!page.contains("Planted"), "{page}");
    expect_file!["../golden/account.en.txt"].assert_eq(&page);
}
