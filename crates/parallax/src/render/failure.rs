//! A failure as text: what went wrong, each wrong field, the causes, and what to do.

use std::fmt::Write as _;

use super::escape;
use super::paint::{Paint, Tone};
use crate::failure::Failure;

/// Ends with a line end.
pub(crate) fn failure_text(failure: &Failure, paint: Paint) -> String {
    let mut text = String::new();
    let reason = failure.reason.as_ref().map(|it| format!(" ({})", escape::line(it)));
    let mut lines = failure.text.lines().map(escape::line);
    let first = lines.next().unwrap_or_default();
    let _ =
        writeln!(text, "{} {first}{}", paint.tone(Tone::Bad, "error:"), reason.unwrap_or_default());
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
    for wrong in &failure.fields {
        let description = escape::line(&wrong.text);
        if wrong.field.is_empty() {
            let _ = writeln!(text, "  {description}");
        } else {
            let field = format!("`{}`", escape::line(&wrong.field));
            let _ = writeln!(text, "  {}: {description}", paint.tone(Tone::Strong, &field));
        }
    }
    for cause in &failure.causes {
        let _ = writeln!(text, "  caused by: {}", escape::line(cause));
    }
    if let Some(hint) = &failure.hint {
        for line in hint.lines() {
            let _ = writeln!(text, "  {}", escape::line(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::WrongField;

    #[test]
    fn every_wrong_field_is_told_and_nothing_is_obeyed() {
        let mut failure = Failure::usage("the target was refused").fields(vec![
            WrongField {
                field: "endpoints[0].url".into(),
                text: "has to begin with https://".into(),
            },
            WrongField { field: "na\u{1b}me".into(), text: "is unknown".into() },
        ]);
        failure.reason = Some("FIELDS_INVALID".into());
        assert_eq!(
            failure_text(&failure, Paint::new(false)),
            "error: the target was refused (FIELDS_INVALID)\n  `endpoints[0].url`: has to begin with https://\n  \
             `na\\u{1b}me`: is unknown\n"
        );
    }
}
