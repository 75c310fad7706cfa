//! What `agent join` wrote, and what `agent --self-test` saw, for people and for programs.

use std::fmt::Write as _;
use std::path::Path;

use parallax_agent::{Joined, SelfTest, Verdict};
use serde_json::json;

use super::escape;
use super::paint::{Paint, Tone};
use super::table::{Cell, rows};

/// What was written, and what to do next.
pub(crate) fn joined_page(joined: &Joined, folder: &Path, paint: Paint) -> String {
    let mut text = format!(
        "{}\n",
        paint.tone(
            Tone::Strong,
            &format!(
                "joined as {} (zone {}), certificate until {}",
                escape::line(&joined.vantage),
                joined.zone,
                joined.until
            ),
        )
    );
    let files: Vec<Vec<Cell>> = joined
        .files
        .iter()
        .map(|(path, what)| {
            vec![
                Cell::new(escape::line(&path.display().to_string())),
                Cell::toned(*what, Tone::Faint),
            ]
        })
        .collect();
    text.push_str(&rows(&files, 2, paint));
    let folder = escape::line(&folder.display().to_string());
    text.push_str("\nnext:\n");
    if joined.policy_lacks_hosts {
        let _ = writeln!(
            text,
            "  name the hosts that may be probed in {folder}/policy.toml; zone {} needs at least one",
            joined.zone
        );
    }
    if let Some(zone) = joined.policy_of_zone {
        let _ = writeln!(
            text,
            "  look at {folder}/policy.toml: it was there before and is for zone {zone}, this agent's is {}",
            joined.zone
        );
    }
    if let Some(aside) = &joined.spool_set_aside {
        let aside = escape::line(&aside.display().to_string());
        let _ = writeln!(
            text,
            "  results of the agent before were not acknowledged; they are in {aside}, which may be removed"
        );
    }
    let _ = writeln!(text, "  parallax agent --self-test --config {folder}/agent.toml");
    let _ = writeln!(text, "  parallax agent run --config {folder}/agent.toml");
    text
}

/// One line a finding.
pub(crate) fn self_test_page(seen: &SelfTest, paint: Paint) -> String {
    let table: Vec<Vec<Cell>> = seen
        .findings
        .iter()
        .map(|it| {
            let tone = match it.verdict {
                Verdict::Good => Tone::Good,
                Verdict::Caution => Tone::Caution,
                Verdict::Bad => Tone::Bad,
            };
            vec![
                Cell::toned(it.verdict.word(), tone),
                Cell::new(it.what),
                Cell::new(escape::line(&it.text)),
            ]
        })
        .collect();
    rows(&table, 0, paint)
}

/// The same as one JSON document.
pub(crate) fn self_test_json(seen: &SelfTest) -> String {
    let findings: Vec<_> = seen
        .findings
        .iter()
        .map(|it| json!({ "what": it.what, "verdict": it.verdict.word(), "text": it.text }))
        .collect();
    let document = json!({
        "vantage": seen.vantage,
        "good": seen.is_good(),
        "reachesController": seen.trouble.is_none(),
        "findings": findings,
    });
    format!("{document:#}")
}
