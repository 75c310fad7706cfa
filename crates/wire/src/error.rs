//! What is wrong with a message: one error that names the field, or a list of violations for people.
//!
//! INVARIANT: no value of a message is repeated here that could be a secret; names and addresses may be.

use std::fmt;

/// A message that cannot be read: which field, as `reports[2].path.vantage`, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {problem}")]
pub struct DecodeError {
    pub field: String,
    pub problem: Problem,
}

/// Why a field cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not set, or its enum is `UNSPECIFIED`.
    Missing,
    /// A number that the enum does not have.
    UnknownValue(i32),
    /// A number or time outside what is allowed.
    OutOfRange { allowed: &'static str },
    /// A text that is not what it has to be.
    Malformed { expected: &'static str },
    /// More entries than are allowed.
    TooMany { max: usize },
    /// What a check of what people write would say.
    Violation(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => out.write_str("is missing"),
            Self::UnknownValue(number) => write!(out, "has no value {number}"),
            Self::OutOfRange { allowed } => write!(out, "is out of range: {allowed}"),
            Self::Malformed { expected } => write!(out, "is malformed: expected {expected}"),
            Self::TooMany { max } => write!(out, "has more than {max} entries"),
            Self::Violation(text) => out.write_str(text),
        }
    }
}

impl DecodeError {
    pub(crate) fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self { field: field.into(), problem }
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::new(field, Problem::Missing)
    }

    pub(crate) fn malformed(field: &str, expected: &'static str) -> Self {
        Self::new(field, Problem::Malformed { expected })
    }

    pub(crate) fn out_of_range(field: &str, allowed: &'static str) -> Self {
        Self::new(field, Problem::OutOfRange { allowed })
    }

    /// The same error seen from the message around it.
    fn within(mut self, outer: &str) -> Self {
        self.field = if self.field.is_empty() {
            outer.to_owned()
        } else {
            format!("{outer}.{}", self.field)
        };
        self
    }
}

pub(crate) type Decoded<T> = Result<T, DecodeError>;

pub(crate) trait Within {
    /// Puts the name of the field around an error.
    fn within(self, outer: &str) -> Self;
}

impl<T> Within for Decoded<T> {
    fn within(self, outer: &str) -> Self {
        self.map_err(|error| error.within(outer))
    }
}

/// A message field that has to be set.
pub(crate) fn required<From, To>(value: Option<From>, field: &str) -> Decoded<To>
where
    To: TryFrom<From, Error = DecodeError>,
{
    value.ok_or_else(|| DecodeError::missing(field)).and_then(|it| To::try_from(it).within(field))
}

/// A message field that may be absent.
pub(crate) fn optional<From, To>(value: Option<From>, field: &str) -> Decoded<Option<To>>
where
    To: TryFrom<From, Error = DecodeError>,
{
    value.map(|it| To::try_from(it).within(field)).transpose()
}

/// A repeated message field with at most so many entries.
pub(crate) fn each<From, To>(values: Vec<From>, field: &str, max: usize) -> Decoded<Vec<To>>
where
    To: TryFrom<From, Error = DecodeError>,
{
    bounded(&values, field, max)?;
    values
        .into_iter()
        .enumerate()
        .map(|(at, it)| To::try_from(it).within(&format!("{field}[{at}]")))
        .collect()
}

pub(crate) fn bounded<T>(values: &[T], field: &str, max: usize) -> Decoded<()> {
    if values.len() > max {
        return Err(DecodeError::new(field, Problem::TooMany { max }));
    }
    Ok(())
}

/// An enum's number, which must be one that the enum has.
pub(crate) fn enumeration<E: TryFrom<i32>>(number: i32, field: &str) -> Decoded<E> {
    E::try_from(number).map_err(|_| DecodeError::new(field, Problem::UnknownValue(number)))
}

/// One mistake in what a person wrote: becomes an entry of `google.rpc.BadRequest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldViolation {
    /// As `endpoints[1].url`.
    pub field: String,
    /// What is wrong and what would be right; a sentence without a full stop.
    pub description: String,
}

impl fmt::Display for FieldViolation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}`: {}", self.field, self.description)
    }
}

/// Characters of a value that a message repeats.
const QUOTED_CHARACTERS_MAX: usize = 80;

/// A value in backquotes, as a message repeats it: not longer than 80 characters, and not at all where a user name and
/// password may stand in it (RFC 3986 section 3.2.1).
pub(crate) fn quote(text: &str) -> String {
    if text.contains('@') {
        return "what is given".to_owned();
    }
    let mut shown: String = text.chars().take(QUOTED_CHARACTERS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Collects the mistakes of one message, so that all are told at once.
#[derive(Debug, Default)]
pub(crate) struct Violations(pub(crate) Vec<FieldViolation>);

impl Violations {
    pub(crate) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation { field: field.into(), description: description.into() });
    }

    /// The value, if it is good; its mistake noted otherwise.
    pub(crate) fn keep<T, E: fmt::Display>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// The first mistake, for messages that are not written by people.
    pub(crate) fn first(self) -> DecodeError {
        match self.0.into_iter().next() {
            Some(it) => DecodeError::new(it.field, Problem::Violation(it.description)),
            None => DecodeError::missing(""),
        }
    }
}
