//! Settings in layers: a TOML file, then the environment, then flags; the later one wins.
//!
//! A program describes what is written (`Raw`, with `serde` and defaults) and how it is checked; here the layers are put
//! together and every mistake of both steps is collected.
//!
//! INVARIANT: an unknown key is a mistake, wherever it stands; nothing is half read.
//! INVARIANT: a file that is not TOML is told by line and column, never by its text: a password may stand there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, File, FileFormat, Source as _, Value, ValueKind};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path as FieldPath, Segment};

use crate::ExitCode;

/// Mistakes of one file looked for before giving up; it has fewer fields.
const MISTAKES_MAX: usize = 100;

/// One thing that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// As `listen.address`.
    pub field: String,
    pub description: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`: {}", self.field, self.description)
    }
}

/// Collects what is wrong, so that all is told at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        let mistake = Mistake { field: field.into(), description: description.into() };
        // What cannot be read is not also missing or out of range.
        if !self.0.iter().any(|it| it.field == mistake.field) {
            self.0.push(mistake);
        }
    }

    /// The value, if it is good; its mistake noted otherwise.
    pub fn keep<T, E: fmt::Display>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(field, error.to_string())).ok()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Mistakes {
    type Item = Mistake;
    type IntoIter = std::vec::IntoIter<Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// One line a mistake.
impl fmt::Display for Mistakes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.0.iter().enumerate() {
            if number > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{mistake}")?;
        }
        Ok(())
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("cannot read the settings file {}", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the settings file {} is not TOML: {detail}", .path.display())]
    NotToml { path: PathBuf, detail: String },
    #[error("{0}")]
    Mistakes(Mistakes),
}

impl SettingsError {
    /// With which code the process ends.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Usage
    }
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    /// What the file holds, where it was read before.
    file_text: Option<String>,
    environment: BTreeMap<String, String>,
    flags: Vec<(String, String)>,
}

impl Layers {
    /// This file; it has to be there.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// What this file holds, read by the caller.
    #[must_use]
    pub fn with_file_text(mut self, path: impl Into<PathBuf>, text: String) -> Self {
        self.file = Some(path.into());
        self.file_text = Some(text);
        self
    }

    /// The environment of this process: with the prefix `PARALLAX_AGENT`, the variable `PARALLAX_AGENT_LOG__FORMAT` is
    /// the field `log.format`. Variables that are not Unicode are left out.
    #[must_use]
    pub fn with_environment(self, prefix: &str) -> Self {
        let all = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        self.with_variables(prefix, all)
    }

    /// These variables instead of the process's own.
    #[must_use]
    pub fn with_variables(
        mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let prefix = format!("{prefix}_");
        let ours = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), value)));
        self.environment.extend(ours);
        self
    }

    /// A flag given on the command line; nothing if it was not given.
    #[must_use]
    pub fn with_flag(mut self, field: &str, value: Option<impl Into<String>>) -> Self {
        self.flags.extend(value.map(|it| (field.to_owned(), it.into())));
        self
    }

    fn merged(&self) -> Result<Value, SettingsError> {
        let path = self.file.as_deref().unwrap_or(Path::new(""));
        let mut builder = Config::builder();
        if let Some(path) = &self.file {
            let text = match &self.file_text {
                Some(text) => text.clone(),
                None => std::fs::read_to_string(path)
                    .map_err(|source| SettingsError::Unreadable { path: path.clone(), source })?,
            };
            check_syntax(&text)
                .map_err(|detail| SettingsError::NotToml { path: path.clone(), detail })?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let variables = self.environment.clone().into_iter().collect();
        builder =
            builder.add_source(Environment::default().separator("__").source(Some(variables)));
        let wrong = |error: ConfigError| SettingsError::NotToml {
            path: path.to_owned(),
            detail: error.to_string(),
        };
        for (field, value) in &self.flags {
            builder = builder.set_override(field, value.as_str()).map_err(wrong)?;
        }
        let merged = builder.build().and_then(|it| it.collect()).map_err(wrong)?;
        Ok(Value::new(None, ValueKind::Table(merged)))
    }
}

/// Where the text is not TOML, and what is wrong there, in one line. The parser's own `Display` would show the whole line.
fn check_syntax(text: &str) -> Result<(), String> {
    let Err(error) = toml::de::DeTable::parse(text) else { return Ok(()) };
    let start = error.span().map_or(0, |it| it.start);
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|it| *it != '\n').count() + 1;
    let what = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    Err(format!("line {line}, column {column}: {what}"))
}

/// Reads and checks settings. `check` turns what is written into what is used and notes what is wrong; it is also asked
/// when something could not be read and stands at its default, so that its mistakes are told in the same run.
///
/// Let `Raw` have a default or an `Option` for every field: a required field that is missing ends the search.
pub fn read_settings<Raw: DeserializeOwned, Checked>(
    layers: &Layers,
    check: impl FnOnce(Raw, &mut Mistakes) -> Option<Checked>,
) -> Result<Checked, SettingsError> {
    let mut mistakes = Mistakes::default();
    let raw: Option<Raw> = read_raw(layers.merged()?, &mut mistakes);
    match raw.and_then(|raw| check(raw, &mut mistakes)) {
        Some(checked) if mistakes.is_empty() => Ok(checked),
        Some(_) | None => Err(SettingsError::Mistakes(mistakes)),
    }
}

/// Reads as often as something is wrong, each time without what was wrong.
fn read_raw<Raw: DeserializeOwned>(mut value: Value, mistakes: &mut Mistakes) -> Option<Raw> {
    for _ in 0..MISTAKES_MAX {
        let mut unknown = Vec::new();
        let mut note = |path: serde_ignored::Path<'_>| unknown.push(path.to_string());
        let reader = serde_ignored::Deserializer::new(value.clone(), &mut note);
        match serde_path_to_error::deserialize::<_, Raw>(reader) {
            Ok(raw) => {
                for field in unknown {
                    mistakes.add(field, "is unknown; remove it or correct its name");
                }
                return Some(raw);
            }
            Err(error) => {
                let (steps, description) = explain(steps(error.path()), error.inner());
                mistakes.add(shown(&steps), description);
                if !remove(&mut value, &steps) {
                    return None;
                }
            }
        }
    }
    None
}

/// One step from a table or list into it.
enum Step {
    Key(String),
    Number(usize),
}

fn steps(path: &FieldPath) -> Vec<Step> {
    path.iter()
        .map_while(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Number(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// As `hosts[2].name`.
fn shown(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |outer, step| match step {
        Step::Key(key) if outer.is_empty() => key.clone(),
        Step::Key(key) => format!("{outer}.{key}"),
        Step::Number(number) => format!("{outer}[{number}]"),
    })
}

/// What to say of an error, and the field it is about.
fn explain(mut steps: Vec<Step>, error: &ConfigError) -> (Vec<Step>, String) {
    if let ConfigError::At { error, .. } = error {
        return explain(steps, error);
    }
    if let ConfigError::Type { unexpected, expected, .. } = error {
        return (steps, misfit(&unexpected.to_string(), expected));
    }
    let text = error.to_string();
    let types = ["invalid type: ", "invalid value: "].iter().find_map(|it| text.strip_prefix(it));
    if let Some((found, wanted)) = types.and_then(|it| it.split_once(", expected ")) {
        return (steps, misfit(found, wanted));
    }
    for (beginning, verb) in [("unknown field `", "is unknown"), ("missing field `", "is required")]
    {
        let found = text.strip_prefix(beginning).and_then(|rest| rest.split_once('`'));
        let Some((field, rest)) = found else { continue };
        if !matches!(steps.last(), Some(Step::Key(last)) if last == field) {
            steps.push(Step::Key(field.to_owned()));
        }
        let known = rest.strip_prefix(", ").map(|it| format!("; {it}")).unwrap_or_default();
        return (steps, format!("{verb}{known}"));
    }
    (steps, text)
}

/// What stands there and what should, in the words of TOML and not of the reader's types.
fn misfit(found: &str, wanted: &str) -> String {
    let number = found.find('`').filter(|_| !found.starts_with("string "));
    let found = match (number, found.strip_prefix("string ")) {
        (_, Some(value)) => format!("the text {}", value.replace('"', "`")),
        (Some(at), None) => found[at..].to_owned(),
        (None, None) => match found {
            "sequence" => "a list".to_owned(),
            "map" => "a table".to_owned(),
            "unit value" => "empty".to_owned(),
            other => other.to_owned(),
        },
    };
    let wanted = match wanted {
        "an integer" | "i64" | "u64" | "an unsigned 64 bit integer" => "a whole number",
        "u8" | "an unsigned 8 bit integer" => "a whole number from 0 to 255",
        "u16" | "an unsigned 16 bit integer" => "a whole number from 0 to 65535",
        "u32" | "usize" | "an unsigned 32 bit integer" => "a whole number from 0 up",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "a text in quotes",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    format!("is {found}; give {wanted}")
}

/// Takes out what was wrong. An entry of a list takes the whole list with it, so that the others keep their number.
fn remove(value: &mut Value, steps: &[Step]) -> bool {
    let Some(last) = steps.iter().rposition(|it| matches!(it, Step::Key(_))) else { return false };
    let mut inner = value;
    for step in &steps[..last] {
        let next = match (step, &mut inner.kind) {
            (Step::Key(key), ValueKind::Table(entries)) => entries.get_mut(key),
            (Step::Number(number), ValueKind::Array(entries)) => entries.get_mut(*number),
            (Step::Key(_) | Step::Number(_), _) => None,
        };
        let Some(next) = next else { return false };
        inner = next;
    }
    match (&steps[last], &mut inner.kind) {
        (Step::Key(key), ValueKind::Table(entries)) => entries.remove(key).is_some(),
        (Step::Key(_) | Step::Number(_), _) => false,
    }
}

#[cfg(test)]
mod tests;
