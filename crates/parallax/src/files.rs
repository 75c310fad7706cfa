//! Target and account files: JSON or TOML with the API's field names, read with all their mistakes at once.
//!
//! Absent on purpose: what the fields mean; `wire` walks the document and checks it as it checks a request.
//!
//! INVARIANT: nothing is sent to the controller from a file with a mistake.
//! INVARIANT: no error repeats a line of the file, for it may hold a secret.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use parallax_wire::{FieldViolation, pb, read_account_document, read_target_document};
use serde_json::Value;

use crate::failure::{Failure, WrongField};

/// A target with 64 endpoints and 200 events is far smaller.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Whether a path means stdin.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a target.
pub(crate) fn read_target(path: &Path) -> Result<pb::Target, Failure> {
    let document = read_document(path)?;
    read_target_document(&document).map(|it| it.0).map_err(|it| refused(path, it))
}

/// Reads an account.
pub(crate) fn read_account(path: &Path) -> Result<pb::Account, Failure> {
    let document = read_document(path)?;
    read_account_document(&document).map(|it| it.0).map_err(|it| refused(path, it))
}

fn shown(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { path.display().to_string() }
}

fn refused(path: &Path, violations: Vec<FieldViolation>) -> Failure {
    let fields = violations
        .into_iter()
        .map(|it| WrongField { field: it.field, text: it.description })
        .collect();
    Failure::usage(format!("{}: nothing was sent, because the file has mistakes", shown(path)))
        .fields(fields)
}

fn read_document(path: &Path) -> Result<Value, Failure> {
    let unreadable =
        |error: &io::Error| Failure::usage(format!("cannot read {}", shown(path))).because(error);
    let bytes = if is_stdin(path) {
        read_bounded(io::stdin().lock())
    } else {
        File::open(path).and_then(read_bounded)
    };
    let bytes = bytes.map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let text = format!("{} is larger than {FILE_BYTES_MAX} bytes", shown(path));
        return Err(Failure::usage(text));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{} is not UTF-8", shown(path))))?;
    parse(&text).map_err(|error| Failure::usage(format!("{}: {error}", shown(path))))
}

fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// JSON if it begins with a brace, else TOML.
fn parse(text: &str) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        let Document(value) =
            serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
        return Ok(value);
    }
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        // The error's own text would show the line.
        let at = error.span().map_or(0, |it| it.start);
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        format!(
            "is not TOML (nor does it begin with a brace, as JSON): line {line}: {}",
            error.message()
        )
    })?;
    Ok(from_toml(toml::Value::Table(table)))
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            // What JSON cannot say becomes a text, which is then refused with its field.
            serde_json::Number::from_f64(number)
                .map_or_else(|| Value::String(number.to_string()), Value::Number)
        }
        toml::Value::Boolean(value) => Value::Bool(value),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => values.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, it)| (key, from_toml(it))).collect())
        }
    }
}

/// A JSON document in which no key stands twice; `serde_json` alone would keep the last one and say nothing.
struct Document(Value);

impl<'de> serde::Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> serde::de::Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Document(value)) = entries.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = serde_json::Map::new();
        while let Some((key, Document(value))) = entries.next_entry::<String, Document>()? {
            if values.contains_key(&key) {
                return Err(serde::de::Error::custom(format!("the key `{key}` is there twice")));
            }
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::render::failure_text;

    fn read_text(text: &str) -> Result<pb::Target, Failure> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("target");
        std::fs::write(&path, text).expect("written");
        read_target(&path).map_err(|mut failure| {
            failure.text = failure.text.replace(&path.display().to_string(), "FILE");
            failure
        })
    }

    fn check_refused(text: &str, expected: Expect) {
        let failure = read_text(text).expect_err("refused");
        assert_eq!(failure.code, parallax_process::ExitCode::Usage);
        expected.assert_eq(&failure_text(&failure, crate::render::Paint::OFF));
    }

    const TOML: &str = r#"
        name = "targets/mail"
        display_name = "Mail"
        [[endpoints]]
        name = "published"
        role = "ROLE_EXTERNAL"
        url = "https://mail.contoso.example"
        allow_plaintext_logon = false
        [[events]]
        event_time = 2026-03-01T10:40:00Z
        kind = "KIND_CUTOVER"
        text = "moved"
    "#;

    const JSON: &str = r#"{
        "name": "targets/mail", "displayName": "Mail",
        "endpoints": [{"name": "published", "role": "ROLE_EXTERNAL", "url": "https://mail.contoso.example"}],
        "events": [{"eventTime": "2026-03-01T10:40:00Z", "kind": "KIND_CUTOVER", "text": "moved"}]
    }"#;

    #[test]
    fn both_forms_and_both_spellings_say_the_same() {
        let target = read_text(TOML).expect("right");
        assert_eq!(target, read_text(JSON).expect("right"));
        assert_eq!(target.events.len(), 1);
    }

    #[test]
    fn all_mistakes_at_once() {
        check_refused(
            r#"
                name = "Mail Server"
                displayname = "Mail"
                [[endpoints]]
                name = "published"
                role = "external"
                url = "ftp://mail.contoso.example"
                conect = "10.0.0.1"
                allow_plaintext_logon = "yes"
                [[accounts]]
                account = "anna"
                purpose = 1
            "#,
            expect![[r"
                error: FILE: nothing was sent, because the file has mistakes
                  `accounts[0].purpose`: is a number; give one of PURPOSE_SUBJECT, PURPOSE_WITNESS
                  `displayname`: is unknown; known are name, display_name, generation, endpoints, accounts, events, create_time, update_time, etag
                  `endpoints[0].allow_plaintext_logon`: is a text; give true or false
                  `endpoints[0].conect`: is unknown; known are name, role, url, generation, connect, trust, from, published_on, allow_plaintext_logon, logon_cost
                  `endpoints[0].role`: `external` is unknown; known are ROLE_EXTERNAL, ROLE_CAS, ROLE_BACKEND, ROLE_CONTROL
                  `name`: `Mail Server` is not `targets/{id}`
                  `endpoints[0].url`: `ftp://mail.contoso.example` has another scheme than https or http; give `https://host[:port]/path` or `http://…`
                  `accounts[0].account`: `anna` is not `accounts/{id}`
            "]],
        );
    }

    #[test]
    fn a_syntax_error_names_its_line_and_shows_none() {
        check_refused(
            "name = \"targets/mail\"\nsecret = 'Planted-1",
            expect![[r"
            error: FILE: is not TOML (nor does it begin with a brace, as JSON): line 2: invalid literal string, expected `'`
        "]],
        );
        check_refused(
            "{\"name\": \"targets/mail\",\n \"secret\": \"Planted-1\" x}",
            expect![[r"
                error: FILE: is not JSON: expected `,` or `}` at line 2 column 24
            "]],
        );
        check_refused(
            "{\"name\": \"targets/mail\", \"name\": \"targets/mail2\"}",
            expect![[r"
                error: FILE: is not JSON: the key `name` is there twice at line 1 column 49
            "]],
        );
    }
}
