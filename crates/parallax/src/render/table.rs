//! Columns, aligned by the width that a terminal gives each character; Japanese ones are two wide.

use unicode_width::UnicodeWidthStr as _;

use super::paint::{Paint, Tone};

/// Between two columns.
const GAP: usize = 2;

/// A cell: its text has no escape sequences and no line ends.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub text: String,
    pub tone: Tone,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }

    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

/// Columns on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Cuts to so many columns; what was cut ends with an ellipsis.
#[cfg(feature = "full")]
pub(super) fn cut(text: &str, columns_max: usize) -> String {
    if width(text) <= columns_max {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        let mut longer = kept.clone();
        longer.push(character);
        if width(&longer) + 1 > columns_max {
            break;
        }
        kept = longer;
    }
    kept.push('…');
    kept
}

/// The rows, each indented and ended; blank columns at the end of a line are left out.
pub(super) fn rows(rows: &[Vec<Cell>], indent: usize, paint: Paint) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            rows.iter().filter_map(|row| row.get(at)).map(|it| width(&it.text)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let last = row.iter().rposition(|it| !it.text.is_empty());
        text.push_str(&" ".repeat(indent));
        for (at, cell) in row.iter().enumerate().take(last.map_or(0, |it| it + 1)) {
            text.push_str(&paint.tone(cell.tone, &cell.text));
            if Some(at) != last {
                let padding = widths[at] - width(&cell.text) + GAP;
                text.push_str(&" ".repeat(padding));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_aligned_by_what_they_take() {
        let table = [
            vec![Cell::new("観測地点"), Cell::new("TCP")],
            vec![Cell::new("ext"), Cell::new("3 ms")],
        ];
        assert_eq!(rows(&table, 0, Paint::new(false)), "観測地点  TCP\next       3 ms\n");
    }

    #[test]
    fn a_cut_text_is_never_wider_than_asked() {
        for text in ["abcdefgh", "統合認証", "a統合認証"] {
            for columns in 1..9 {
                assert!(width(&cut(text, columns)) <= columns, "{text} {columns}");
            }
        }
        assert_eq!(cut("統合認証", 5), "統合…");
    }
}
