//! Colour, or none: the four tones that are used, as ANSI escape sequences (ECMA-48 SGR).

/// Whether tones become escape sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    is_on: bool,
}

/// What a tone stands for; there is always a word or a mark beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Caution,
    Faint,
    Strong,
}

impl Paint {
    #[cfg(all(test, feature = "full"))]
    pub(crate) const OFF: Self = Self { is_on: false };

    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    /// The text in this tone; the text itself has no escape sequences.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Bad => "31;1",
            Tone::Caution => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.is_on && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
