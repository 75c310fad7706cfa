//! The manual page of a fault, and the list of all.

use std::fmt::Write as _;

use parallax_wire::pb;

use super::diagnosis::TEXT_COLUMNS;
use super::paint::{Paint, Tone};
use super::table::{Cell, rows};
use super::words::Words;
use super::{escape, wrap};

/// One line a fault.
pub(crate) fn fault_list(faults: &[pb::Fault], words: &Words, paint: Paint) -> String {
    let heading = [words.fault, words.layer, words.owner, words.basis, words.severity, words.title];
    let mut table = vec![heading.map(|it| Cell::toned(it.to_uppercase(), Tone::Strong)).to_vec()];
    table.extend(faults.iter().map(|it| {
        let title = it.text.as_ref().map(|it| escape::line(&it.title)).unwrap_or_default();
        vec![
            Cell::new(id(it)),
            Cell::new(escape::line(&it.layer)),
            Cell::new(escape::line(words.owner_word(&it.owner))),
            Cell::new(escape::line(&it.basis)),
            Cell::new(escape::line(severity(it, words))),
            Cell::new(title),
        ]
    }));
    rows(&table, 0, paint)
}

fn id(fault: &pb::Fault) -> String {
    escape::line(fault.name.strip_prefix("faults/").unwrap_or(&fault.name))
}

/// What it does to those who meet it; of a fault that no diagnosis finds, that it is one.
fn severity<'a>(fault: &'a pb::Fault, words: &Words) -> &'a str
where
    'static: 'a,
{
    if fault.reach == "beyond" { words.reach_beyond } else { words.severity_word(&fault.severity) }
}

/// The whole page.
pub(crate) fn fault_page(fault: &pb::Fault, words: &Words, paint: Paint) -> String {
    let none = pb::FaultText::default();
    let page = fault.text.as_ref().unwrap_or(&none);
    let mut text = format!("{}\n", paint.tone(Tone::Strong, &escape::line(&page.title)));
    let mut facts = vec![id(fault)];
    if !fault.owner.is_empty() {
        facts.push(format!("{}: {}", words.owner, escape::line(words.owner_word(&fault.owner))));
        facts.extend([&fault.layer, &fault.era, &fault.basis].map(|it| escape::line(it)));
        facts.push(escape::line(words.severity_word(&fault.severity)));
        facts.push(escape::line(words.reach_word(&fault.reach)));
    }
    let _ = writeln!(text, "  {}", facts.join(" | "));
    for (heading, section) in [
        (words.meaning, &page.meaning),
        (words.how_we_know, &page.evidence),
        (words.not_this, &page.not_this),
        (words.steps, &page.steps),
        (words.verify, &page.verify),
        (words.undo, &page.undo),
        (words.ticket, &page.ticket),
        (words.references, &page.references),
    ] {
        if !section.is_empty() {
            let _ = writeln!(text, "\n{}", paint.tone(Tone::Strong, heading));
            text.push_str(&wrap::markdown(&escape::lines(section), 2, TEXT_COLUMNS));
        }
    }
    text
}
