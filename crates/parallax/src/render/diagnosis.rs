//! The result of a diagnosis, top to bottom: verdict, first difference, matrix, what it is, what it is not, what to do.
//!
//! INVARIANT: nothing here decides anything; every sentence of substance comes from the message.

use std::fmt::Write as _;

use parallax_wire::pb;
use parallax_wire::pb::diagnosis::State;

use super::evidence::{evidence, look, path, paths};
use super::matrix::matrix;
use super::moment::moment;
use super::paint::{Paint, Tone};
use super::table::{Cell, cut, rows};
use super::words::Words;
use super::{escape, wrap};

/// Columns of running text.
pub(super) const TEXT_COLUMNS: usize = 110;
/// Columns of a value in the table of differences.
const VALUE_COLUMNS_MAX: usize = 44;
/// Paths named beside a box that was met on them.
const PATHS_MAX: usize = 3;

/// What becomes of a diagnosis once it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// A controller keeps it and can be asked again.
    Kept,
    /// Nobody is there to be asked.
    Gone,
}

/// The whole page.
pub(crate) fn diagnosis_page(
    diagnosis: &pb::Diagnosis,
    afterwards: Afterwards,
    words: &Words,
    paint: Paint,
) -> String {
    let page = Page { words, paint };
    let sections = [
        page.verdict(diagnosis),
        page.section(words.excluded, &page.excluded(&diagnosis.excluded)),
        page.first_difference(diagnosis.first_difference.as_ref()),
        page.section(words.paths, &matrix(&diagnosis.matrix, words, paint)),
        page.section(words.who_answers, &page.recognised(&diagnosis.recognised)),
        page.section(words.findings, &page.findings(&diagnosis.findings, Told::Failures)),
        page.section(words.warnings, &page.findings(&diagnosis.findings, Told::Warnings)),
        page.section(words.ruled_out, &page.ruled_out(&diagnosis.ruled_out)),
        page.section(words.open, &page.open(&diagnosis.open)),
        page.section(words.unexplained, &page.unexplained(&diagnosis.unexplained)),
        page.section(words.notes, &page.notes(&diagnosis.notes)),
        page.section(words.gaps, &sentences(&diagnosis.gaps, 2)),
        page.section(words.not_visible, &not_visible(diagnosis)),
        page.section(words.held_logons, &page.held(diagnosis.logons.as_ref())),
        page.manual(words.steps, diagnosis.text.as_ref().map(|it| it.steps.as_str())),
        page.manual(words.verify, diagnosis.text.as_ref().map(|it| it.verify.as_str())),
        page.logons(diagnosis.logons.as_ref()),
        page.next(diagnosis, afterwards),
    ];
    sections.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n")
}

/// One line a diagnosis.
pub(crate) fn diagnosis_list(diagnoses: &[pb::Diagnosis], words: &Words, paint: Paint) -> String {
    let heading = [words.name, words.target, words.created, words.state, words.verdict];
    let mut table = vec![heading.map(|it| Cell::toned(it, Tone::Strong)).to_vec()];
    table.extend(diagnoses.iter().map(|it| {
        let verdict = it.verdict.clone().unwrap_or_default();
        let standing = match verdict.standing.as_str() {
            "" => String::new(),
            it => format!(" ({})", words.standing_word(it)),
        };
        vec![
            Cell::new(escape::line(&it.name)),
            Cell::new(escape::line(&it.target)),
            Cell::new(moment(it.create_time.as_ref())),
            Cell::new(short_state(it.state())),
            Cell::toned(
                format!("{}{}", escape::line(&verdict.fault), escape::line(&standing)),
                verdict_tone(&verdict),
            ),
        ]
    }));
    rows(&table, 0, paint)
}

/// The API's word in lower case, the same in every language.
fn short_state(state: State) -> String {
    state.as_str_name().trim_start_matches("STATE_").to_lowercase()
}

fn verdict_tone(verdict: &pb::Verdict) -> Tone {
    match verdict.fault.as_str() {
        "healthy" => Tone::Good,
        "undetermined" | "" => Tone::Caution,
        _ => Tone::Bad,
    }
}

/// Which findings a section tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Failures,
    Warnings,
}

struct Page<'a> {
    words: &'a Words,
    paint: Paint,
}

impl Page<'_> {
    fn heading(&self, text: &str) -> String {
        format!("{}\n", self.paint.tone(Tone::Strong, text))
    }

    /// Empty without content.
    fn section(&self, heading: &str, content: &str) -> String {
        if content.is_empty() { String::new() } else { self.heading(heading) + content }
    }

    fn verdict(&self, diagnosis: &pb::Diagnosis) -> String {
        let verdict = diagnosis.verdict.clone().unwrap_or_default();
        let tone = verdict_tone(&verdict);
        let mark = match tone {
            Tone::Good => "✓",
            Tone::Bad => "✗",
            Tone::Caution | Tone::Plain | Tone::Faint | Tone::Strong => "?",
        };
        let title = match verdict.title.as_str() {
            "" if verdict.fault.is_empty() => self.words.no_verdict,
            "" => &verdict.fault,
            title => title,
        };
        let mut text =
            format!("{}\n", self.paint.tone(tone, &format!("{mark} {}", escape::line(title))));
        let mut facts = Vec::new();
        if !verdict.standing.is_empty() {
            facts.push(escape::line(self.words.standing_word(&verdict.standing)));
        }
        if !verdict.fault.is_empty() {
            facts.push(escape::line(&verdict.fault));
        }
        if !verdict.owner.is_empty() {
            let owner = self.words.owner_word(&verdict.owner);
            facts.push(format!("{}: {}", self.words.owner, escape::line(owner)));
        }
        facts.push(escape::line(&diagnosis.target));
        facts.extend(took(diagnosis));
        let _ = writeln!(text, "  {}", facts.join(" | "));
        if diagnosis.state() != State::Succeeded {
            let state = self.words.state(diagnosis.state());
            let reason = match diagnosis.state() {
                // The words for these say it already, in the reader's language.
                State::Cancelled | State::Expired | State::Interrupted => String::new(),
                State::Unspecified
                | State::Pending
                | State::Running
                | State::Succeeded
                | State::Failed => escape::line(&diagnosis.state_reason),
            };
            let colon = if reason.is_empty() { "" } else { ": " };
            let state = self.paint.tone(Tone::Caution, &format!("{state}{colon}{reason}"));
            let _ = writeln!(text, "  {state}");
        }
        text
    }

    fn first_difference(&self, difference: Option<&pb::FirstDifference>) -> String {
        let Some(difference) = difference else { return String::new() };
        let asked =
            difference.look.as_ref().map(|it| format!(": {}", look(it))).unwrap_or_default();
        let side = |it: Option<&pb::Path>, account: &str| {
            let account = if account.is_empty() {
                String::new()
            } else {
                format!(", {}", escape::line(account))
            };
            Cell::toned(path(it) + &account, Tone::Strong)
        };
        let mut table = vec![vec![
            Cell::new(""),
            side(difference.left.as_ref(), &difference.left_account),
            side(difference.right.as_ref(), &difference.right_account),
        ]];
        table.extend(difference.fields.iter().map(|it| {
            let value = |it: &str| Cell::new(cut(&escape::line(it), VALUE_COLUMNS_MAX));
            vec![Cell::new(escape::line(&it.field)), value(&it.left), value(&it.right)]
        }));
        let mut text = self.heading(&format!("{}{asked}", self.words.first_difference));
        text.push_str(&rows(&table, 2, self.paint));
        if difference.equal > 0 {
            let equal = format!("({} {})", difference.equal, self.words.equal_fields);
            let _ = writeln!(text, "  {}", self.paint.tone(Tone::Faint, &equal));
        }
        text
    }

    /// What each such vantage's control came to.
    fn excluded(&self, excluded: &[pb::ExcludedVantage]) -> String {
        let mut text = String::new();
        for vantage in excluded {
            let name = self.paint.tone(Tone::Caution, &escape::line(&vantage.vantage));
            let _ = writeln!(text, "  {name}");
            text.push_str(&self.evidence_lines(&vantage.by, 6));
        }
        text
    }

    /// Each box once, the nearest to the client first, with the paths it was met on and the mark it was known by.
    fn recognised(&self, recognised: &[pb::Recognised]) -> String {
        let mut table = Vec::new();
        for seen in boxes(recognised) {
            let (shown, others) = seen.paths.split_at(seen.paths.len().min(PATHS_MAX));
            let mut names: Vec<String> = shown.iter().map(|it| path(Some(it))).collect();
            if !others.is_empty() {
                names.push(self.words.more_paths.replace("{}", &others.len().to_string()));
            }
            let by = seen.by.map(|it| it.value.as_str()).unwrap_or_default();
            let by = by.strip_prefix("declared: ").unwrap_or(by);
            table.push(vec![
                Cell::new(escape::line(self.words.kind_word(seen.kind))),
                Cell::toned(cut(&escape::line(seen.what), VALUE_COLUMNS_MAX), Tone::Strong),
                Cell::new(cut(&escape::line(by), VALUE_COLUMNS_MAX)),
                Cell::toned(names.join(", "), Tone::Faint),
            ]);
        }
        rows(&table, 2, self.paint)
    }

    fn findings(&self, findings: &[pb::Finding], told: Told) -> String {
        let mut text = String::new();
        let is_told = |it: &&pb::Finding| (it.severity == "warning") == (told == Told::Warnings);
        for finding in findings.iter().filter(is_told) {
            let standing = self.words.standing_word(&finding.standing);
            let (tone, mark) = match told {
                Told::Failures => (Tone::Bad, "✗"),
                Told::Warnings => (Tone::Caution, "!"),
            };
            let _ = writeln!(
                text,
                "  {} {} [{}, {}]",
                self.paint.tone(tone, mark),
                escape::line(&finding.title),
                escape::line(standing),
                escape::line(&finding.fault)
            );
            if finding.latent && told == Told::Failures {
                let _ = writeln!(text, "    {}", self.words.latent);
            }
            if !finding.explains.is_empty() {
                let explains = format!("{}: {}", self.words.explains, paths(&finding.explains));
                text.push_str(&wrap::markdown(&explains, 4, TEXT_COLUMNS));
            }
            text.push_str(&self.evidence(self.words.evidence, &finding.evidence));
            text.push_str(&labelled_needs(self.words.firmer, &finding.needs));
        }
        text
    }

    fn ruled_out(&self, ruled_out: &[pb::RuledOutFault]) -> String {
        let mut text = String::new();
        for fault in ruled_out {
            let _ =
                writeln!(text, "  {}: {}", escape::line(&fault.fault), escape::line(&fault.title));
            // One witness excludes it; the others stand in the JSON.
            let (first, others) = fault.by.split_at(fault.by.len().min(1));
            text.push_str(&self.evidence_lines(first, 6));
            if !others.is_empty() {
                let more = self.words.more_witnesses.replace("{}", &others.len().to_string());
                let _ = writeln!(text, "      {}", self.paint.tone(Tone::Faint, &more));
            }
        }
        text
    }

    fn open(&self, open: &[pb::OpenFault]) -> String {
        let mut text = String::new();
        for fault in open {
            let _ = writeln!(
                text,
                "  ? {}: {}",
                escape::line(&fault.fault),
                escape::line(&fault.title)
            );
            text.push_str(&self.evidence(self.words.speaks_for_it, &fault.evidence));
            text.push_str(&labelled_needs(self.words.would_decide, &fault.needs));
        }
        text
    }

    fn unexplained(&self, unexplained: &[pb::UnexplainedPath]) -> String {
        let mut text = String::new();
        for path_left in unexplained {
            let _ = writeln!(text, "  {}", path(path_left.path.as_ref()));
            text.push_str(&self.evidence_lines(&path_left.evidence, 6));
        }
        text
    }

    fn notes(&self, notes: &[pb::Note]) -> String {
        let mut text = String::new();
        for note in notes {
            let _ =
                writeln!(text, "  {}: {}", escape::line(&note.fault), escape::line(&note.title));
            text.push_str(&self.evidence_lines(&note.evidence, 6));
        }
        text
    }

    fn evidence(&self, label: &str, entries: &[pb::Evidence]) -> String {
        if entries.is_empty() {
            return String::new();
        }
        format!("    {label}:\n{}", self.evidence_lines(entries, 6))
    }

    fn evidence_lines(&self, entries: &[pb::Evidence], indent: usize) -> String {
        let mut lines: Vec<String> = entries.iter().map(|it| evidence(it, self.words)).collect();
        lines.dedup();
        indented(&lines, indent)
    }

    fn held(&self, logons: Option<&pb::Logons>) -> String {
        let mut text = String::new();
        for account in logons.map(|it| it.accounts.as_slice()).unwrap_or_default() {
            for reason in &account.held_reasons {
                let _ = writeln!(
                    text,
                    "  {} {}: {}",
                    self.paint.tone(Tone::Caution, self.words.held),
                    escape::line(&account.account),
                    escape::line(reason)
                );
            }
        }
        text
    }

    fn manual(&self, heading: &str, text: Option<&str>) -> String {
        let text = text.map(escape::lines).unwrap_or_default();
        self.section(heading, &wrap::markdown(&text, 2, TEXT_COLUMNS))
    }

    fn logons(&self, logons: Option<&pb::Logons>) -> String {
        let Some(logons) = logons else { return String::new() };
        let words = self.words;
        let counts = |used: i32, refused: i32, held: i32| {
            [
                format!("{used} {}", words.logons_used),
                format!("{refused} {}", words.logons_refused),
                format!("{held} {}", words.logons_held),
            ]
            .join(words.list_separator)
        };
        let mut text = format!(
            "{}: {}\n",
            self.paint.tone(Tone::Strong, words.logons),
            counts(logons.used, logons.refused, logons.held)
        );
        for account in &logons.accounts {
            let _ = writeln!(
                text,
                "  {}: {}; {}: {}; {}: {}",
                escape::line(&account.account),
                counts(account.used, account.refused, account.held),
                words.logons_budget,
                account.budget,
                words.logons_charged,
                account.charged
            );
        }
        text
    }

    fn next(&self, diagnosis: &pb::Diagnosis, afterwards: Afterwards) -> String {
        let fault = diagnosis.verdict.as_ref().map(|it| it.fault.as_str()).unwrap_or_default();
        let is_running = matches!(diagnosis.state(), State::Pending | State::Running);
        let language = if diagnosis.language == "ja" { " --lang ja" } else { "" };
        let mut commands = Vec::new();
        if is_running && afterwards == Afterwards::Kept {
            commands.push(format!("parallax watch {}{language}", diagnosis.name));
        }
        if !fault.is_empty() {
            commands.push(format!("parallax explain {fault}{language}"));
        }
        if !diagnosis.name.is_empty() && afterwards == Afterwards::Kept {
            commands.push(format!("parallax get {} --output json", diagnosis.name));
        }
        let commands: Vec<String> = commands.iter().map(|it| escape::line(it)).collect();
        self.section(self.words.next, &indented(&commands, 2))
    }
}

/// A box, everywhere it was met.
struct SeenBox<'a> {
    kind: &'a str,
    /// The most exact name it was known by.
    what: &'a str,
    by: Option<&'a pb::Evidence>,
    paths: Vec<&'a pb::Path>,
}

/// Of the same kind, and one name says what the other says, only more exactly.
fn is_same_box(known: &SeenBox<'_>, it: &pb::Recognised) -> bool {
    let is_part = |short: &str, long: &str| {
        long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    known.kind == it.kind && (is_part(known.what, &it.what) || is_part(&it.what, known.what))
}

fn boxes(recognised: &[pb::Recognised]) -> Vec<SeenBox<'_>> {
    let mut boxes: Vec<SeenBox<'_>> = Vec::new();
    for it in recognised {
        let by = it.by.iter().find(|it| it.path.is_some()).or_else(|| it.by.first());
        let Some(known) = boxes.iter_mut().find(|known| is_same_box(known, it)) else {
            let paths = it.path.iter().collect();
            boxes.push(SeenBox { kind: &it.kind, what: &it.what, by, paths });
            continue;
        };
        if it.what.len() > known.what.len() {
            (known.what, known.by) = (&it.what, by);
        }
        known.paths.extend(it.path.as_ref().filter(|path| !known.paths.contains(path)));
    }
    let order = |kind: &str| ["egress", "publisher", "server"].iter().position(|it| *it == kind);
    boxes.sort_by_key(|it| order(it.kind));
    boxes
}

/// One line each.
fn indented(lines: &[String], indent: usize) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}{line}", " ".repeat(indent));
        text
    })
}

/// What would decide, each sentence once.
fn sentences(needs: &[pb::Need], indent: usize) -> String {
    let mut sentences: Vec<String> = Vec::new();
    for need in needs {
        let sentence = format!("- {}", escape::line(&need.text));
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences.iter().map(|it| wrap::markdown(it, indent, TEXT_COLUMNS)).collect()
}

/// Empty without needs.
fn labelled_needs(label: &str, needs: &[pb::Need]) -> String {
    if needs.is_empty() {
        return String::new();
    }
    format!("    {label}:\n{}", sentences(needs, 6))
}

/// How long it took, as `4.2 s`.
fn took(diagnosis: &pb::Diagnosis) -> Option<String> {
    let (start, end) = (diagnosis.create_time.as_ref()?, diagnosis.end_time.as_ref()?);
    let milliseconds = (end.seconds - start.seconds) * 1000 + i64::from(end.nanos) / 1_000_000
        - i64::from(start.nanos) / 1_000_000;
    Some(format!("{}.{} s", milliseconds / 1000, milliseconds.rem_euclid(1000) / 100))
}

/// Only where nothing was found: a fault that was found needs no list of others.
fn not_visible(diagnosis: &pb::Diagnosis) -> String {
    let fault = diagnosis.verdict.as_ref().map(|it| it.fault.as_str()).unwrap_or_default();
    if !matches!(fault, "healthy" | "undetermined") {
        return String::new();
    }
    diagnosis.not_visible.iter().fold(String::new(), |text, it| {
        let line = format!("- {} [{}]", escape::line(&it.title), escape::line(&it.fault));
        text + &wrap::markdown(&line, 2, TEXT_COLUMNS)
    })
}
