//! What is told of things that were set up: the demo with what to try, and the files that `controller init` made.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use parallax_controller::init::InitReport;
use parallax_world::demo::DemoTarget;

use super::escape;
use super::paint::{Paint, Tone};
use super::table::{Cell, rows};
use super::words::Words;

/// Where the demo listens and what can be tried on it.
pub(crate) fn demo_page(
    api: SocketAddr,
    agents: SocketAddr,
    token_file: &Path,
    targets: &[DemoTarget],
    words: &Words,
    paint: Paint,
) -> String {
    let token = token_file.display().to_string();
    let facts = [
        vec![Cell::new(words.demo_api), Cell::new(format!("http://{api}"))],
        vec![Cell::new(words.demo_agents), Cell::new(agents.to_string())],
        vec![Cell::new(words.demo_token), Cell::new(escape::line(&token))],
    ];
    let mut text = format!("{}\n", paint.tone(Tone::Strong, words.demo_running));
    text.push_str(&rows(&facts, 2, paint));
    let _ = writeln!(text, "\n{}", paint.tone(Tone::Strong, words.demo_try));
    let _ = writeln!(text, "  export PARALLAX_SERVER=http://{api} PARALLAX_TOKEN_FILE='{token}'");
    let mut targets = targets.iter().map(|it| it.id.as_str());
    if let Some(first) = targets.next() {
        for command in [
            format!("plan {first}"),
            format!("diagnose {first}"),
            "list".to_owned(),
            "account list".to_owned(),
            format!("target get {first}"),
            "explain e2003_be_iwa_missing".to_owned(),
        ] {
            let _ = writeln!(text, "  parallax {command}");
        }
    }
    let others: Vec<&str> = targets.collect();
    if !others.is_empty() {
        let _ = writeln!(text, "\n{}", paint.tone(Tone::Strong, words.demo_again));
        for other in others {
            let _ = writeln!(text, "  parallax diagnose {other}");
        }
    }
    let _ = writeln!(text, "\n{}", words.demo_stop);
    text
}

/// Which files were made.
pub(crate) fn init_page(report: &InitReport, words: &Words, paint: Paint) -> String {
    let file = |path: &Path| Cell::new(escape::line(&path.display().to_string()));
    let table = [
        vec![Cell::new(words.authority), file(&report.authority)],
        vec![Cell::new(words.demo_token), file(&report.token_file)],
    ];
    rows(&table, 0, paint)
}
