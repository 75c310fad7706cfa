//! The matrix: one row per vantage, endpoint and address, one column per stage, in the order of happening.
//!
//! INVARIANT: every reading has a mark of its own, colour or not.

use parallax_wire::pb::cell::Mark;
use parallax_wire::pb::{self};

use super::escape;
use super::paint::{Paint, Tone};
use super::table::{Cell, cut, rows};
use super::words::Words;

/// A longer text is cut; the whole of it stands with the evidence and in the JSON.
const CELL_COLUMNS_MAX: usize = 34;

/// The matrix with its headings and legend; empty without rows.
pub(super) fn matrix(matrix: &[pb::MatrixRow], words: &Words, paint: Paint) -> String {
    if matrix.is_empty() {
        return String::new();
    }
    let heading = [
        words.vantage,
        words.endpoint,
        words.address,
        "DNS",
        "TCP",
        "TLS",
        words.anonymous,
        words.logon,
        "EAS",
    ];
    let mut table = vec![heading.map(|it| Cell::toned(it, Tone::Strong)).to_vec()];
    table.extend(matrix.iter().map(|it| row(it, words)));
    let mut text = rows(&table, 2, paint);
    text.push_str("  ");
    text.push_str(&paint.tone(Tone::Faint, words.legend));
    text.push('\n');
    text
}

fn row(row: &pb::MatrixRow, words: &Words) -> Vec<Cell> {
    let path = row.path.clone().unwrap_or_default();
    let address = if row.address.is_empty() { "-" } else { &row.address };
    let mut cells = vec![
        Cell::new(escape::line(&path.vantage)),
        Cell::new(escape::line(&path.endpoint)),
        Cell::new(escape::line(address)),
    ];
    let stages = [&row.dns, &row.tcp, &row.tls, &row.anonymous, &row.logon, &row.active_sync];
    cells.extend(stages.map(|it| it.as_ref().map_or_else(|| Cell::new("."), |it| cell(it, words))));
    cells
}

fn cell(cell: &pb::Cell, words: &Words) -> Cell {
    let marked = |mark: &str, tone| {
        let text = escape::line(&cell.text);
        let text = format!("{mark} {text}");
        Cell::toned(cut(text.trim_end(), CELL_COLUMNS_MAX), tone)
    };
    match cell.mark() {
        Mark::Good => marked("✓", Tone::Good),
        Mark::Bad => marked("✗", Tone::Bad),
        Mark::Plain => marked("~", Tone::Plain),
        Mark::Held => marked(words.held, Tone::Caution),
        Mark::NotReached => marked("-", Tone::Faint),
        Mark::NotAsked | Mark::Unspecified => marked(".", Tone::Faint),
        Mark::Silent => marked(words.silent, Tone::Faint),
    }
}
