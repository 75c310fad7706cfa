//! Breaks paragraphs of Markdown into lines of at most so many columns, in both languages.
//!
//! Japanese may break between any two wide characters, except before those that must not begin a line and after those
//! that must not end one (JIS X 4051 kinsoku). A `code span` is never broken, so that it can be copied.

use super::table::width;

/// What must not begin a line.
const NOT_FIRST: &str =
    "、。，．・：；？！）］｝」』】〉》〕ーぁぃぅぇぉっゃゅょァィゥェォッャュョ%,.:;?!)]}";
/// What must not end a line.
const NOT_LAST: &str = "（［｛「『【〈《〔([{";

/// Wraps Markdown: every list entry hangs on its mark, blank lines stay, every line is indented.
pub(super) fn markdown(text: &str, indent: usize, columns_max: usize) -> String {
    let mut wrapped = String::new();
    for line in text.lines() {
        let (mark, rest) = split_mark(line);
        let hang = indent + width(mark);
        let lines = break_lines(rest, columns_max.saturating_sub(hang));
        for (number, piece) in lines.iter().enumerate() {
            let start = if number == 0 {
                format!("{}{mark}", " ".repeat(indent))
            } else {
                " ".repeat(hang)
            };
            wrapped.push_str(format!("{start}{piece}").trim_end());
            wrapped.push('\n');
        }
        if lines.is_empty() {
            wrapped.push('\n');
        }
    }
    wrapped
}

/// `12. ` or `- ` at the beginning, with the blanks before it.
fn split_mark(line: &str) -> (&str, &str) {
    let start = line.len() - line.trim_start().len();
    let rest = &line[start..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let mark = if digits > 0 && rest[digits..].starts_with(". ") {
        digits + 2
    } else if rest.starts_with("- ") {
        2
    } else {
        0
    };
    line.split_at(start + mark)
}

fn break_lines(text: &str, columns_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for piece in pieces(text) {
        if !line.is_empty() && width(&line) + width(piece.trim_end()) > columns_max {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        if line.is_empty() {
            line.push_str(piece.trim_start());
        } else {
            line.push_str(piece);
        }
    }
    if !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Cuts at every place where a line may end; blanks stay with what is before them.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut is_code = false;
    let mut before: Option<char> = None;
    for (at, character) in text.char_indices() {
        if let Some(before) = before
            && !is_code
            && may_break(before, character)
        {
            pieces.push(&text[start..at]);
            start = at;
        }
        if character == '`' {
            is_code = !is_code;
        }
        before = Some(character);
    }
    pieces.push(&text[start..]);
    pieces
}

fn may_break(before: char, after: char) -> bool {
    if after == ' ' || NOT_FIRST.contains(after) || NOT_LAST.contains(before) {
        return false;
    }
    before == ' ' || is_wide(before) || is_wide(after)
}

fn is_wide(character: char) -> bool {
    width(character.encode_utf8(&mut [0; 4])) == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_hangs_on_its_number_and_code_stays_whole() {
        assert_eq!(
            markdown(
                "1. Look first, run `curl -i -X OPTIONS http://x` there.\n2. Then wait.",
                2,
                30
            ),
            "  1. Look first, run\n     `curl -i -X OPTIONS http://x`\n     there.\n  2. Then wait.\n"
        );
    }

    #[test]
    fn japanese_breaks_between_characters_but_not_before_a_full_stop() {
        let wrapped = markdown("統合認証を有効にします。次に確認します。", 0, 22);
        assert_eq!(wrapped, "統合認証を有効にしま\nす。次に確認します。\n");
        for line in wrapped.lines() {
            assert!(width(line) <= 22, "{line}");
        }
    }

    #[test]
    fn blank_lines_stay() {
        assert_eq!(markdown("a\n\nb", 2, 20), "  a\n\n  b\n");
    }
}
