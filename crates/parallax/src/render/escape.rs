//! Text of a stranger, made safe for a terminal: what would move the cursor, change colours, ring, hide or reorder
//! characters is shown as `\u{..}` instead.

/// One line: line ends are shown, too.
pub(crate) fn line(text: &str) -> String {
    if text.chars().any(is_harmful) {
        text.chars().fold(String::with_capacity(text.len()), |mut safe, it| {
            if is_harmful(it) {
                safe.extend(it.escape_unicode());
            } else {
                safe.push(it);
            }
            safe
        })
    } else {
        text.to_owned()
    }
}

/// Several lines: line ends stay.
#[cfg(feature = "full")]
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and what is invisible or reorders text (UTR 36).
pub(crate) fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        for (hostile, shown) in [
            ("\u{1b}[2J\u{1b}[31mred", r"\u{1b}[2J\u{1b}[31mred"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("a\r\nb\u{8}", r"a\u{d}\u{a}b\u{8}"),
            ("\u{202e}gnp.exe", r"\u{202e}gnp.exe"),
            ("zero\u{200b}width", r"zero\u{200b}width"),
        ] {
            assert_eq!(line(hostile), shown);
        }
    }

    #[test]
    fn readable_text_stays() {
        for text in ["Basic realm=\"mail\"", "統合 Windows 認証", "é — ✓ → 😀"] {
            assert_eq!(line(text), text);
        }
    }
}
