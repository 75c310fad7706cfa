//! What a diagnosis would ask, and what it may cost at the worst.

use std::fmt::Write as _;

use parallax_wire::pb;

use super::diagnosis::TEXT_COLUMNS;
use super::evidence::look;
use super::paint::{Paint, Tone};
use super::table::{Cell, rows};
use super::words::Words;
use super::{escape, wrap};

/// The whole plan.
pub(crate) fn plan_page(plan: &pb::Plan, words: &Words, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.tone(Tone::Strong, words.plan_paths));
    let heading = [words.vantage, words.endpoint, words.agent, words.requests];
    let mut table = vec![heading.map(|it| Cell::toned(it, Tone::Strong)).to_vec()];
    table.extend(plan.paths.iter().map(|it| path_row(it, words)));
    text.push_str(&rows(&table, 2, paint));
    let _ = writeln!(text, "\n{}", paint.tone(Tone::Strong, words.plan_logons));
    if plan.logons.is_empty() {
        let _ = writeln!(text, "  {}", words.plan_no_logons);
    } else {
        let heading =
            [words.account, words.vantage, words.endpoint, words.cost, words.held_because];
        let mut table = vec![heading.map(|it| Cell::toned(it, Tone::Strong)).to_vec()];
        table.extend(plan.logons.iter().map(logon_row));
        text.push_str(&rows(&table, 2, paint));
    }
    let _ = writeln!(
        text,
        "\n{}: {} {}{}{} {}",
        words.plan_worst,
        plan.logons_max,
        words.logons.to_lowercase(),
        words.list_separator,
        plan.counts_max,
        words.counts
    );
    if !plan.gaps.is_empty() {
        let _ = writeln!(text, "\n{}", paint.tone(Tone::Strong, words.gaps));
        for gap in &plan.gaps {
            text.push_str(&wrap::markdown(
                &format!("- {}", escape::line(&gap.text)),
                2,
                TEXT_COLUMNS,
            ));
        }
    }
    text
}

fn path_row(path: &pb::PlannedPath, words: &Words) -> Vec<Cell> {
    let (agent, tone) = if path.connected {
        (words.connected, Tone::Good)
    } else {
        (words.not_connected, Tone::Caution)
    };
    let requests = path.looks.iter().map(look).collect::<Vec<_>>().join(", ");
    let path = path.path.clone().unwrap_or_default();
    vec![
        Cell::new(escape::line(&path.vantage)),
        Cell::new(escape::line(&path.endpoint)),
        Cell::toned(agent, tone),
        Cell::new(requests),
    ]
}

fn logon_row(logon: &pb::PlannedLogon) -> Vec<Cell> {
    let path = logon.path.clone().unwrap_or_default();
    vec![
        Cell::new(escape::line(&logon.account)),
        Cell::new(escape::line(&path.vantage)),
        Cell::new(escape::line(&path.endpoint)),
        Cell::new(logon.cost.to_string()),
        Cell::toned(escape::line(&logon.held), Tone::Caution),
    ]
}
