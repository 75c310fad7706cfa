//! Progress of a diagnosis while it runs: one line a path on a terminal, one line an event elsewhere.
//!
//! Absent on purpose: the result. What is shown here is provisional and goes to stderr.
//!
//! INVARIANT: what was drawn is redrawn as a whole; nothing else may write to stderr between two redraws.

use std::fmt::Write as _;

use parallax_wire::pb;
use parallax_wire::pb::path_report::Report;
use parallax_wire::pb::watch_diagnosis_response::{Event, LogonEvent, StageEnded};

use super::escape;
use super::evidence::path;
use super::paint::{Paint, Tone};
use super::table::{cut, width};
use super::words::Words;

/// Columns of a line on a terminal; a longer one would break and spoil the redrawing.
const LINE_COLUMNS_MAX: usize = 78;

/// What is known of one path.
#[derive(Debug)]
struct Line {
    path: String,
    text: String,
    is_done: bool,
}

/// What was told and drawn so far.
#[derive(Debug)]
pub(crate) struct Progress {
    words: &'static Words,
    lines: Vec<Line>,
    news: String,
    summary: String,
    drawn: usize,
}

impl Progress {
    pub(crate) fn new(words: &'static Words) -> Self {
        Self { words, lines: Vec::new(), news: String::new(), summary: String::new(), drawn: 0 }
    }

    /// Takes in one event.
    pub(crate) fn take(&mut self, event: &pb::WatchDiagnosisResponse) {
        match &event.event {
            Some(Event::RoundBegun(round)) => {
                self.summary = format!("{} {}", self.words.round, round.number);
                self.tell(&self.summary.clone());
                for asked in &round.paths {
                    let asked = path(Some(asked));
                    let line = self.line(&asked);
                    line.is_done = false;
                    if line.text.is_empty() {
                        line.text = String::new();
                    }
                }
            }
            Some(Event::StageEnded(stage)) => self.stage(stage),
            Some(Event::PathReported(report)) => self.report(report),
            Some(Event::Logon(logon)) => self.logon(logon),
            Some(Event::Judged(verdict)) => {
                let standing = self.words.standing_word(&verdict.standing);
                let judged = format!("{} {standing}", escape::line(&verdict.fault));
                self.summary = format!("{}: {}", self.words.provisional, judged.trim_end());
                self.tell(&self.summary.clone());
            }
            Some(Event::State(_) | Event::Diagnosis(_)) | None => {}
        }
    }

    fn line(&mut self, path: &str) -> &mut Line {
        let at = self.lines.iter().position(|it| it.path == path).unwrap_or_else(|| {
            self.lines.push(Line { path: path.to_owned(), text: String::new(), is_done: false });
            self.lines.len() - 1
        });
        &mut self.lines[at]
    }

    fn tell(&mut self, text: &str) {
        self.news.push_str(text);
        self.news.push('\n');
    }

    fn stage(&mut self, stage: &StageEnded) {
        let text = format!("{} {}", escape::line(&stage.stage), escape::line(&stage.text));
        let path = path(stage.path.as_ref());
        self.tell(&format!("  {path}: {text}"));
        self.line(&path).text = text;
    }

    fn report(&mut self, report: &pb::PathReport) {
        let text = match &report.report {
            Some(Report::Seen(_)) | None => None,
            Some(Report::Refused(it)) => Some(escape::line(&it.rule)),
            Some(Report::Unable(it)) => Some(escape::line(&it.detail)),
            Some(Report::Silent(_)) => Some(self.words.silent.to_owned()),
        };
        let path = path(report.path.as_ref());
        let told = text.clone().unwrap_or_else(|| self.words.reported.to_owned());
        self.tell(&format!("  {path}: {told}"));
        let line = self.line(&path);
        line.is_done = true;
        if let Some(text) = text {
            line.text = text;
        }
    }

    fn logon(&mut self, logon: &LogonEvent) {
        let words = self.words;
        let what = match logon.what.as_str() {
            "started" => words.logon_started,
            "accepted" => words.logon_accepted,
            "refused" => words.logon_refused,
            "unproven" => words.logon_unproven,
            "not_sent" => words.logon_not_sent,
            "held" => words.logon_held,
            other => other,
        };
        let reason = match logon.reason.as_str() {
            "" => String::new(),
            it => format!(" ({})", escape::line(it)),
        };
        let text = format!("{} {}{reason}", escape::line(&logon.account), escape::line(what));
        let path = path(logon.path.as_ref());
        self.tell(&format!("  {path}: {text}"));
        self.line(&path).text = text;
    }

    /// What is new since the last time, line by line.
    pub(crate) fn news(&mut self) -> String {
        std::mem::take(&mut self.news)
    }

    /// The block again, over the one drawn before (ECMA-48 CPL and ED).
    pub(crate) fn redraw(&mut self, paint: Paint) -> String {
        let mut text = self.erase();
        let column = self.lines.iter().map(|it| width(&it.path)).max().unwrap_or(0);
        for line in &self.lines {
            let (mark, tone) =
                if line.is_done { ("•", Tone::Plain) } else { ("…", Tone::Faint) };
            let padding = " ".repeat(column - width(&line.path));
            let shown = format!("{mark} {}{padding}  {}", line.path, line.text);
            let _ = writeln!(text, "{}", paint.tone(tone, &cut(&shown, LINE_COLUMNS_MAX)));
        }
        let _ =
            writeln!(text, "{}", paint.tone(Tone::Faint, &cut(&self.summary, LINE_COLUMNS_MAX)));
        self.drawn = self.lines.len() + 1;
        self.news.clear();
        text
    }

    /// Takes the block away.
    pub(crate) fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}F\u{1b}[J"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Language;
    use crate::render::words;

    fn event(event: Event) -> pb::WatchDiagnosisResponse {
        pb::WatchDiagnosisResponse { event: Some(event), ..Default::default() }
    }

    fn ext() -> pb::Path {
        pb::Path { vantage: "ext".to_owned(), endpoint: "published".to_owned() }
    }

    #[test]
    fn every_event_is_one_line_and_hostile_text_is_shown() {
        let mut progress = Progress::new(words(Language::En));
        progress.take(&event(Event::RoundBegun(pb::watch_diagnosis_response::RoundBegun {
            number: 1,
            paths: vec![ext()],
        })));
        progress.take(&event(Event::StageEnded(StageEnded {
            path: Some(ext()),
            stage: "http".to_owned(),
            text: "401 \u{1b}[2J".to_owned(),
        })));
        progress.take(&event(Event::Logon(LogonEvent {
            path: Some(ext()),
            account: "accounts/anna".to_owned(),
            what: "held".to_owned(),
            reason: "one refused".to_owned(),
        })));
        assert_eq!(
            progress.news(),
            "round 1\n  ext -> published: http 401 \\u{1b}[2J\n  ext -> published: accounts/anna logon held (one refused)\n"
        );
        assert_eq!(progress.news(), "");
    }

    #[test]
    fn the_block_is_redrawn_over_itself() {
        let mut progress = Progress::new(words(Language::Ja));
        progress.take(&event(Event::PathReported(pb::PathReport {
            path: Some(ext()),
            report: Some(Report::Silent(pb::Silence::default())),
        })));
        let paint = Paint::new(false);
        assert_eq!(progress.redraw(paint), "• ext -> published  (応答なし)\n\n");
        assert_eq!(progress.redraw(paint), "\u{1b}[2F\u{1b}[J• ext -> published  (応答なし)\n\n");
        assert_eq!(progress.erase(), "\u{1b}[2F\u{1b}[J");
    }
}
