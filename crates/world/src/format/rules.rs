//! What does a host answer? Conditions and actions, section 5 of the format.
//!
//! Absent on purpose: the evaluation (`simulation`).
//!
//! INVARIANT: a rule has exactly one action.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::network::Balance;
use super::words::words;

/// A condition and what happens when it holds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "WrittenRule")]
pub struct Rule {
    /// For people.
    pub note: Option<String>,
    pub when: When,
    pub action: Action,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Answer(Answer),
    Forward(Box<Forward>),
    /// The connection ends after the request was read.
    Close(CloseKind),
    /// No answer; the connection stays open.
    Stall,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    #[serde(default)]
    note: Option<String>,
    when: When,
    #[serde(default)]
    answer: Option<Answer>,
    #[serde(default)]
    forward: Option<Forward>,
    #[serde(default)]
    close: Option<CloseKind>,
    #[serde(default)]
    stall: Option<bool>,
}

impl TryFrom<WrittenRule> for Rule {
    type Error = &'static str;

    fn try_from(written: WrittenRule) -> Result<Self, Self::Error> {
        let WrittenRule { note, when, answer, forward, close, stall } = written;
        let action = match (answer, forward, close, stall) {
            (Some(answer), None, None, None) => Action::Answer(answer),
            (None, Some(forward), None, None) => Action::Forward(Box::new(forward)),
            (None, None, Some(close), None) => Action::Close(close),
            (None, None, None, Some(true)) => Action::Stall,
            (None, None, None, Some(false)) => return Err("`stall` must be true, or left out"),
            _ => {
                return Err(
                    "a rule must have exactly one of `answer`, `forward`, `close` and `stall`",
                );
            }
        };
        Ok(Self { note, when, action })
    }
}

/// Conditions; all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    #[serde(default)]
    pub methods: Option<Vec<String>>,
    /// Exact, or a prefix with a final `*`; the query is not part of it.
    #[serde(default)]
    pub path: Option<OneOrMore>,
    /// Letter case of the path counts.
    #[serde(default)]
    pub path_case: bool,
    /// Text in the query.
    #[serde(default)]
    pub query: Option<String>,
    /// Text that the query lacks.
    #[serde(default)]
    pub no_query: Option<String>,
    /// Tags of the request; one is enough.
    #[serde(default)]
    pub auth: Option<OneOrMore>,
    /// The account that the credential names, accepted or not.
    #[serde(default)]
    pub account: Option<OneOrMore>,
    /// Header name to `present`, `absent` or a text inside the value.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub port: Option<u16>,
    /// Values of the Host header, without a port.
    #[serde(default)]
    pub host: Option<Vec<String>>,
    /// The machine that sent the request here.
    #[serde(default)]
    pub peer: Option<Vec<String>>,
    /// The vantage where the request began.
    #[serde(default)]
    pub origin: Option<Vec<String>>,
    /// First and last number of the requests that passed all other conditions.
    #[serde(default)]
    pub nth: Option<[u32; 2]>,
    /// Modulus and remainder of that number.
    #[serde(default)]
    pub every: Option<[u32; 2]>,
    #[serde(default)]
    pub from_s: Option<f64>,
    /// Excluded.
    #[serde(default)]
    pub until_s: Option<f64>,
}

/// One text, or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "must be a text or a list of texts")]
pub enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    /// All texts, in order.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(texts) => texts,
        }
    }
}

words! {
    /// How a connection ends.
    CloseKind { Reset = "reset", Fin = "fin" }
}
words! {
    /// A version of HTTP.
    #[derive(Default)]
    HttpVersion {
        V10 = "1.0",
        #[default]
        V11 = "1.1",
    }
}

/// A scripted answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub status: u16,
    /// `None` = the usual phrase of the status.
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub version: HttpVersion,
    /// Names and values; order, repeats and letter case are kept.
    pub headers: Vec<[String; 2]>,
    #[serde(default)]
    pub body: String,
    #[serde(default)]
    pub chunked: bool,
    /// Wait before the status line.
    #[serde(default)]
    pub delay_ms: u64,
}

/// The request is handed to another host, and its answer back.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    pub to: Vec<String>,
    pub port: u16,
    pub tls: bool,
    #[serde(default)]
    pub balance: Balance,
    /// Other methods get 405.
    #[serde(default)]
    pub methods: Option<Vec<String>>,
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub host: Option<String>,
    #[serde(default)]
    pub request: Edits,
    #[serde(default)]
    pub response: Edits,
    /// Each request goes out on a connection of its own.
    #[serde(default)]
    pub per_request_connection: bool,
    /// Version of the answer to the client.
    #[serde(default)]
    pub http: Option<HttpVersion>,
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    #[serde(default)]
    pub on_timeout: Option<Answer>,
    #[serde(default)]
    pub on_unreachable: Option<Answer>,
}

/// Changes of headers, applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    #[serde(default)]
    pub strip: Vec<String>,
    /// Old and new name.
    #[serde(default)]
    pub rename: Vec<[String; 2]>,
    /// Replaced, at the end.
    #[serde(default)]
    pub set: Vec<[String; 2]>,
    #[serde(default)]
    pub add: Vec<[String; 2]>,
    #[serde(default)]
    pub lower_case: bool,
}
