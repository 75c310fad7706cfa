//! Target and account files: JSON (or TOML read into the same values) with the API's field names.
//!
//! The generated reader stops at the first mistake and says nothing of the place; people want all of them, with the
//! field. So the document is first walked along the message's descriptor, then read, then checked as a request is.
//!
//! INVARIANT: no violation repeats a value that stands at a secret's place.

use std::sync::LazyLock;

use parallax_model::{Account, Target};
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorSet,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{FieldViolation, Violations};
use crate::{check_account, check_target, pb};

/// Reads a target from a document. On failure: every mistake, unknown keys among them.
pub fn read_target_document(document: &Value) -> Result<(pb::Target, Target), Vec<FieldViolation>> {
    read(document, ".parallax.v1.Target", check_target)
}

/// Reads an account from a document. On failure: every mistake, unknown keys among them.
pub fn read_account_document(
    document: &Value,
) -> Result<(pb::Account, Account), Vec<FieldViolation>> {
    read(document, ".parallax.v1.Account", check_account)
}

fn read<M: DeserializeOwned, T>(
    document: &Value,
    message: &str,
    check: impl Fn(&M) -> Result<T, Vec<FieldViolation>>,
) -> Result<(M, T), Vec<FieldViolation>> {
    let mut violations = Violations::default();
    let cleaned = walk_message(document, message, "", &mut violations);
    let read = serde_json::from_value::<M>(cleaned)
        .map_err(|error| violations.add("", format!("cannot be read: {error}")));
    let Ok(message) = read else { return Err(violations.0) };
    match check(&message) {
        Ok(value) if violations.0.is_empty() => Ok((message, value)),
        Ok(_) => Err(violations.0),
        Err(more) => {
            // What was dropped as malformed is not also missing.
            let known: Vec<String> = violations.0.iter().map(|it| it.field.clone()).collect();
            violations.0.extend(more.into_iter().filter(|it| !known.contains(&it.field)));
            Err(violations.0)
        }
    }
}

static DESCRIPTORS: LazyLock<FileDescriptorSet> =
    LazyLock::new(|| FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap_or_default());

/// The message of a full name with a leading dot.
fn message_of(name: &str) -> Option<&'static DescriptorProto> {
    let parts = split_name(name)?;
    let (first, nested) = parts.split_first()?;
    let top = DESCRIPTORS
        .file
        .iter()
        .filter(|file| file.package() == "parallax.v1")
        .flat_map(|file| &file.message_type)
        .find(|it| it.name() == *first)?;
    nested
        .iter()
        .try_fold(top, |outer, part| outer.nested_type.iter().find(|it| it.name() == *part))
}

fn enum_of(name: &str) -> Option<&'static EnumDescriptorProto> {
    let parts = split_name(name)?;
    let (last, outer) = parts.split_last()?;
    if outer.is_empty() {
        let mut all = DESCRIPTORS.file.iter().filter(|file| file.package() == "parallax.v1");
        return all.find_map(|file| file.enum_type.iter().find(|it| it.name() == *last));
    }
    let outer = message_of(&format!(".parallax.v1.{}", outer.join(".")))?;
    outer.enum_type.iter().find(|it| it.name() == *last)
}

fn split_name(name: &str) -> Option<Vec<&str>> {
    Some(name.strip_prefix(".parallax.v1.")?.split('.').collect())
}

/// Copies a message without what is wrong in it, which is noted.
fn walk_message(document: &Value, message: &str, at: &str, violations: &mut Violations) -> Value {
    let Value::Object(document) = document else {
        violations.add(at, format!("is {}; give a table of fields", kind(document)));
        return Value::Object(Map::new());
    };
    let Some(descriptor) = message_of(message) else {
        return Value::Object(document.clone());
    };
    let mut cleaned = Map::new();
    let mut chosen: Vec<(i32, &str)> = Vec::new();
    for (key, value) in document {
        let found = descriptor.field.iter().find(|it| it.name() == key || it.json_name() == key);
        let Some(field) = found else {
            let known: Vec<&str> =
                descriptor.field.iter().map(FieldDescriptorProto::name).collect();
            violations.add(join(at, key), format!("is unknown; known are {}", known.join(", ")));
            continue;
        };
        if value.is_null() {
            continue;
        }
        let here = join(at, field.name());
        if cleaned.contains_key(field.json_name()) {
            violations.add(here, "is there twice, in both spellings");
            continue;
        }
        if let Some(oneof) = field.oneof_index {
            if let Some((_, other)) = chosen.iter().find(|(index, _)| *index == oneof) {
                violations.add(here, format!("excludes `{other}`; give one of them"));
                continue;
            }
            chosen.push((oneof, field.name()));
        }
        if let Some(value) = walk_field(value, field, &here, violations) {
            cleaned.insert(field.json_name().to_owned(), value);
        }
    }
    Value::Object(cleaned)
}

fn walk_field(
    value: &Value,
    field: &FieldDescriptorProto,
    at: &str,
    violations: &mut Violations,
) -> Option<Value> {
    if field.label() != Label::Repeated {
        return walk_value(value, field, at, violations);
    }
    let Value::Array(entries) = value else {
        violations.add(at, format!("is {}; give a list", kind(value)));
        return None;
    };
    let walked = entries
        .iter()
        .enumerate()
        .map(|(number, entry)| walk_value(entry, field, &format!("{at}[{number}]"), violations));
    let walked: Vec<Option<Value>> = walked.collect();
    if field.r#type() == Type::Message {
        // A dropped entry leaves an empty one behind, so that later entries keep their number.
        let empty = || Value::Object(Map::new());
        return Some(walked.into_iter().map(|it| it.unwrap_or_else(empty)).collect());
    }
    walked.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
}

fn walk_value(
    value: &Value,
    field: &FieldDescriptorProto,
    at: &str,
    violations: &mut Violations,
) -> Option<Value> {
    let wrong = |wanted: &str| Err(format!("is {}; give {wanted}", kind(value)));
    let checked: Result<(), String> = match field.r#type() {
        Type::String => {
            if value.is_string() {
                Ok(())
            } else {
                wrong("a text in quotes")
            }
        }
        Type::Bool => {
            if value.is_boolean() {
                Ok(())
            } else {
                wrong("true or false")
            }
        }
        Type::Int32 => match value.as_i64().map(i32::try_from) {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => wrong("a whole number"),
        },
        Type::Enum => check_enum(value, field.type_name()),
        Type::Message => return walk_nested(value, field.type_name(), at, violations),
        // None of these occurs in the two messages; the reader decides.
        Type::Double
        | Type::Float
        | Type::Int64
        | Type::Uint64
        | Type::Fixed64
        | Type::Fixed32
        | Type::Group
        | Type::Bytes
        | Type::Uint32
        | Type::Sfixed32
        | Type::Sfixed64
        | Type::Sint32
        | Type::Sint64 => Ok(()),
    };
    violations.keep(at, checked).map(|()| value.clone())
}

fn walk_nested(
    value: &Value,
    message: &str,
    at: &str,
    violations: &mut Violations,
) -> Option<Value> {
    let checked = match message {
        ".google.protobuf.Timestamp" => {
            read_text::<pbjson_types::Timestamp>(value, "a time as `2026-03-01T10:40:00Z`")
        }
        ".google.protobuf.Duration" => {
            read_text::<pbjson_types::Duration>(value, "a duration in seconds as `1800s`")
        }
        _ => return Some(walk_message(value, message, at, violations)),
    };
    violations.keep(at, checked).map(|()| value.clone())
}

fn read_text<T: DeserializeOwned>(value: &Value, wanted: &str) -> Result<(), String> {
    let Some(text) = value.as_str() else {
        return Err(format!("is {}; give {wanted}", kind(value)));
    };
    serde_json::from_value::<T>(value.clone())
        .map(|_| ())
        .map_err(|_| format!("`{text}` is not {wanted}"))
}

fn check_enum(value: &Value, name: &str) -> Result<(), String> {
    let values = enum_of(name).map(|it| it.value.as_slice()).unwrap_or_default();
    // The first one means that nothing was given.
    let known: Vec<&str> = values.iter().skip(1).map(EnumValueDescriptorProto::name).collect();
    let wanted = known.join(", ");
    let Some(text) = value.as_str() else {
        return Err(format!("is {}; give one of {wanted}", kind(value)));
    };
    if values.iter().any(|it| it.name() == text) {
        return Ok(());
    }
    Err(format!("`{text}` is unknown; known are {wanted}"))
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// What a value is, without the value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
