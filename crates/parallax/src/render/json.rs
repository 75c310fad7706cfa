//! JSON of the API's messages (`ProtoJSON`: lowerCamelCase, defaults written out).
//!
//! INVARIANT: what a terminal would obey is written as `\u` and four hexadecimal digits, which every reader of JSON understands.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::escape::is_harmful;
use crate::failure::Failure;

/// Over several lines.
pub(crate) fn pretty(message: &impl Serialize) -> Result<String, Failure> {
    safe(zulu(message).and_then(|it| serde_json::to_string_pretty(&it)))
}

/// On one line.
pub(crate) fn compact(message: &impl Serialize) -> Result<String, Failure> {
    safe(zulu(message).and_then(|it| serde_json::to_string(&it)))
}

/// The message with every time ending in `Z`, as `ProtoJSON` wants it.
fn zulu(message: &impl Serialize) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(message)?;
    end_times_in_z(&mut value);
    Ok(value)
}

fn end_times_in_z(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                if let Value::String(text) = field
                    && key.ends_with("Time")
                    && let Some(bare) = text.strip_suffix("+00:00")
                {
                    *text = format!("{bare}Z");
                }
                end_times_in_z(field);
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(end_times_in_z),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn safe(written: serde_json::Result<String>) -> Result<String, Failure> {
    let json = written
        .map_err(|error| Failure::unavailable("cannot write the answer as JSON").because(&error))?;
    // Outside strings JSON has no such characters but line ends; inside, line ends are escaped already.
    let is_safe = |it: char| it == '\n' || !is_harmful(it);
    if json.chars().all(is_safe) {
        return Ok(json);
    }
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_safe(character) {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_end_in_z_and_nothing_else_changes() {
        let zero = "2026-03-01T10:40:00+00:00";
        let json = compact(&serde_json::json!({"value": zero, "a": [{"endTime": zero}]}));
        let wanted =
            r#"{"value":"2026-03-01T10:40:00+00:00","a":[{"endTime":"2026-03-01T10:40:00Z"}]}"#;
        assert_eq!(json.expect("json"), wanted);
    }

    #[test]
    fn hostile_text_is_escaped_and_reads_back_the_same() {
        let hostile = "\u{1b}[2J \u{9b}31m \u{202e} \u{e0001} é 統";
        let json = compact(&serde_json::json!({"value": hostile})).expect("json");
        assert_eq!(json, r#"{"value":"\u001b[2J \u009b31m \u202e \udb40\udc01 é 統"}"#);
        let back: serde_json::Value = serde_json::from_str(&json).expect("reads");
        assert_eq!(back["value"], hostile);
    }
}
