//! Grades of worlds, for people: every world that is not right, then the count.

use std::fmt::Write as _;

use parallax_faults::catalogue;
use parallax_world::grade::{Coverage, Summary};

use super::escape;
use super::paint::{Paint, Tone};

/// Ends with the count, which is what people look for.
pub(crate) fn grades_page(summary: &Summary, paint: Paint) -> String {
    let mut text = String::new();
    for failure in &summary.failures {
        let _ = writeln!(
            text,
            "{} {}: {}\n    expected  {}\n    got       {}",
            paint.tone(Tone::Bad, "✗"),
            escape::line(&failure.id),
            failure.grade.word(),
            escape::line(&failure.expected),
            escape::line(&failure.got)
        );
    }
    let (mark, tone) = if summary.all_right() { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
    let _ = writeln!(
        text,
        "{} {} worlds: {} right, {} incomplete, {} undetermined, {} wrong, {} confirmed wrong, {} over budget",
        paint.tone(tone, mark),
        summary.worlds,
        summary.right,
        summary.incomplete,
        summary.undetermined,
        summary.wrong,
        summary.confirmed_wrong,
        summary.over_budget
    );
    text
}

/// Every fault of the catalogue, one row each, as Markdown; then what is not right.
pub(crate) fn coverage_page(summary: &Summary, paint: Paint) -> String {
    let mut text = String::from(
        "| fault | layer | basis | worlds | confirmed | likely | open | look-alikes | reached |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let none = Coverage::default();
    for fault in catalogue() {
        let one = summary.coverages.0.get(fault.id.0).unwrap_or(&none);
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} |",
            fault.id,
            fault.layer.word(),
            fault.basis.word(),
            one.worlds,
            one.confirmed,
            one.likely,
            one.open,
            one.look_alikes,
            one.reached()
        );
    }
    let _ = writeln!(text);
    text + &grades_page(summary, paint)
}

#[cfg(test)]
mod tests {
    use parallax_world::grade::{Grade, Graded};

    use super::*;
    use crate::render::compact;

    fn summary() -> Summary {
        let mut summary = Summary::default();
        summary.add(Graded {
            id: "x".into(),
            grade: Grade::Wrong,
            expected: "healthy".into(),
            got: "bad_password (likely)".into(),
        });
        summary
    }

    #[test]
    fn the_json_has_exactly_these_keys() {
        assert_eq!(
            compact(&summary()).expect("json"),
            r#"{"worlds":1,"right":0,"incomplete":0,"undetermined":0,"wrong":1,"confirmed_wrong":0,"over_budget":0,"failures":[{"id":"x","grade":"wrong","expected":"healthy","got":"bad_password (likely)"}]}"#
        );
    }

    #[test]
    fn the_count_comes_last() {
        assert_eq!(
            grades_page(&summary(), Paint::new(false)),
            "✗ x: wrong\n    expected  healthy\n    got       bad_password (likely)\n\
             ✗ 1 worlds: 0 right, 0 incomplete, 0 undetermined, 1 wrong, 0 confirmed wrong, 0 over budget\n"
        );
    }
}
