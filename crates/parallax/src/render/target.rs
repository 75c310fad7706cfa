//! Targets, for people: the list, and one with its endpoints, accounts and events.

use std::fmt::Write as _;

use parallax_wire::pb;

use super::escape;
use super::moment::moment;
use super::paint::{Paint, Tone};
use super::table::{Cell, rows};
use super::words::Words;

/// One line a target.
pub(crate) fn target_list(targets: &[pb::Target], words: &Words, paint: Paint) -> String {
    let heading = [words.name, words.title, words.endpoints, words.accounts];
    let mut table = vec![heading.map(|it| Cell::toned(it.to_uppercase(), Tone::Strong)).to_vec()];
    table.extend(targets.iter().map(|it| {
        vec![
            Cell::new(escape::line(&it.name)),
            Cell::new(escape::line(&it.display_name)),
            Cell::new(it.endpoints.len().to_string()),
            Cell::new(it.accounts.len().to_string()),
        ]
    }));
    rows(&table, 0, paint)
}

/// One target.
pub(crate) fn target_page(target: &pb::Target, words: &Words, paint: Paint) -> String {
    let mut text = paint.tone(Tone::Strong, &escape::line(&target.name));
    if !target.display_name.is_empty() {
        let _ = write!(text, "  {}", escape::line(&target.display_name));
    }
    let _ = writeln!(text, "  {}", word(target.generation().as_str_name(), "GENERATION_"));
    let heading = [words.endpoint, words.role, words.generation, "URL", "CONNECT"];
    let mut table = vec![heading.map(|it| Cell::toned(it, Tone::Strong)).to_vec()];
    table.extend(target.endpoints.iter().map(|it| {
        vec![
            Cell::new(escape::line(&it.name)),
            Cell::new(word(it.role().as_str_name(), "ROLE_")),
            Cell::new(word(it.generation().as_str_name(), "GENERATION_")),
            Cell::new(escape::line(&it.url)),
            Cell::new(escape::line(&it.connect)),
        ]
    }));
    text.push_str(&rows(&table, 2, paint));
    if !target.accounts.is_empty() {
        let heading = [words.account, words.purpose];
        let mut table = vec![heading.map(|it| Cell::toned(it, Tone::Strong)).to_vec()];
        table.extend(target.accounts.iter().map(|it| {
            vec![
                Cell::new(escape::line(&it.account)),
                Cell::new(word(it.purpose().as_str_name(), "PURPOSE_")),
            ]
        }));
        text.push_str(&rows(&table, 2, paint));
    }
    if !target.events.is_empty() {
        let _ = writeln!(text, "  {}", paint.tone(Tone::Strong, words.events));
        let table: Vec<Vec<Cell>> = target.events.iter().map(event_row).collect();
        text.push_str(&rows(&table, 4, paint));
    }
    text
}

fn event_row(event: &pb::Event) -> Vec<Cell> {
    vec![
        Cell::new(moment(event.event_time.as_ref())),
        Cell::new(word(event.kind().as_str_name(), "KIND_")),
        Cell::new(escape::line(&event.text)),
    ]
}

/// The API's word in lower case, without what all of its enum begin with.
pub(super) fn word(name: &str, prefix: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name).to_lowercase();
    if word == "unspecified" { "-".to_owned() } else { word }
}
