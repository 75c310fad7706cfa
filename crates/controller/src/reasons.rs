//! Why the API refuses a call: the one catalogue of reasons, and how each becomes a `google.rpc.Status` (AIP-193).
//!
//! Absent on purpose: anything about Exchange. The status says whether *we* could do what was asked; a target's 401 is
//! data in a diagnosis.
//!
//! INVARIANT: every error of the public API is built here, with an `ErrorInfo` of domain `parallax`.
//! INVARIANT: no text in here holds a secret or a token.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parallax_store::{Kind, StoreError};
use parallax_wire::FieldViolation;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::error;

/// Trailer with the milliseconds after which a call may be made again.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Domain of every `ErrorInfo`.
pub const DOMAIN: &str = "parallax";

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $code:ident;)+) => {
        /// One reason of the catalogue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in `ErrorInfo.reason`; never changed, never reused.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The canonical code it comes with.
            pub fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code,)+ }
            }
        }
    };
}

reasons! {
    /// Fields of the request are wrong; `BadRequest` names each.
    FieldsInvalid = "FIELDS_INVALID", InvalidArgument;
    /// The same `request_id` came with another request.
    RequestIdReused = "REQUEST_ID_REUSED", InvalidArgument;
    /// The message is larger than the limit.
    MessageTooLarge = "MESSAGE_TOO_LARGE", ResourceExhausted;
    /// No bearer token came along.
    TokenMissing = "TOKEN_MISSING", Unauthenticated;
    /// The bearer token is not the one in the token file.
    TokenWrong = "TOKEN_WRONG", Unauthenticated;
    /// The principal lacks the permission that the call needs.
    PermissionMissing = "PERMISSION_MISSING", PermissionDenied;
    /// There is no such resource.
    NotFound = "RESOURCE_NOT_FOUND", NotFound;
    /// There is one of that name already.
    AlreadyExists = "RESOURCE_ALREADY_EXISTS", AlreadyExists;
    /// Somebody changed it in between.
    EtagMismatch = "ETAG_MISMATCH", Aborted;
    /// Targets still name the account.
    AccountInUse = "ACCOUNT_IN_USE", FailedPrecondition;
    /// No agent is registered in a zone that the target needs.
    NoVantage = "NO_VANTAGE", FailedPrecondition;
    /// The budget of refused logons is spent before the start.
    BudgetSpent = "CREDENTIAL_BUDGET_EXHAUSTED", FailedPrecondition;
    /// The ledger still holds more than the new policy's budget.
    LedgerHolds = "LEDGER_HOLDS_CHARGES", FailedPrecondition;
    /// Two accounts would share one ledger key.
    AccountKeyTaken = "ACCOUNT_KEY_TAKEN", FailedPrecondition;
    /// The agent is banned; only deleting it ends that.
    AgentBanned = "AGENT_BANNED", FailedPrecondition;
    /// As many join tokens are open as may be open at once.
    TooManyJoinTokens = "TOO_MANY_JOIN_TOKENS", ResourceExhausted;
    /// The caller, its address or the target had more calls than its rate allows.
    RateExceeded = "RATE_LIMIT_EXCEEDED", ResourceExhausted;
    /// As many calls are under way as may be.
    Overloaded = "CONTROLLER_OVERLOADED", ResourceExhausted;
    /// As many diagnoses run as may run at once.
    TooManyDiagnoses = "TOO_MANY_DIAGNOSES", ResourceExhausted;
    /// Too little of the call's deadline is left to begin.
    DeadlineTooShort = "DEADLINE_TOO_SHORT", DeadlineExceeded;
    /// The call's deadline passed.
    DeadlineExceeded = "DEADLINE_EXCEEDED", DeadlineExceeded;
    /// The store did not answer.
    StoreUnavailable = "STORE_UNAVAILABLE", Unavailable;
    /// The controller is stopping.
    Stopping = "CONTROLLER_STOPPING", Unavailable;
    /// What the store holds cannot be read; a fault of this program.
    Unreadable = "STORED_DATA_UNREADABLE", Internal;
}

/// A call that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    parts: Box<Parts>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    reason: Reason,
    message: String,
    metadata: BTreeMap<String, String>,
    violations: Vec<FieldViolation>,
    /// Type, subject, description.
    precondition: Option<(&'static str, String, String)>,
    /// Resource type, name.
    resource: Option<(&'static str, String)>,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let parts = Parts {
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            precondition: None,
            resource: None,
            retry_after: None,
        };
        Self { parts: Box::new(parts) }
    }

    /// All wrong fields at once.
    pub fn fields(violations: Vec<FieldViolation>) -> Self {
        let text: Vec<String> = violations.iter().map(ToString::to_string).collect();
        let mut refusal = Self::new(Reason::FieldsInvalid, text.join("\n"));
        refusal.parts.violations = violations;
        refusal
    }

    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        let violation = FieldViolation { field: field.into(), description: description.into() };
        Self::fields(vec![violation])
    }

    pub fn not_found(kind: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        Self::new(Reason::NotFound, format!("`{name}` does not exist")).about(kind, name)
    }

    pub fn already_exists(kind: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        Self::new(Reason::AlreadyExists, format!("`{name}` exists already")).about(kind, name)
    }

    pub fn etag_mismatch(kind: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        let message = format!("`{name}` was changed in between; get it again and use its etag");
        Self::new(Reason::EtagMismatch, message).about(kind, name)
    }

    /// Names the resource that the refusal is about.
    #[must_use]
    pub fn about(mut self, kind: &'static str, name: impl Into<String>) -> Self {
        self.parts.resource = Some((kind, name.into()));
        self
    }

    /// Names what has to be put right first.
    #[must_use]
    pub fn unless(mut self, subject: impl Into<String>, description: impl Into<String>) -> Self {
        self.parts.precondition =
            Some((self.parts.reason.word(), subject.into(), description.into()));
        self
    }

    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.parts.retry_after = Some(delay);
        self
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.parts.metadata.insert(key.to_owned(), value.into());
        self
    }

    pub fn reason(&self) -> Reason {
        self.parts.reason
    }

    pub fn violations(&self) -> &[FieldViolation] {
        &self.parts.violations
    }

    /// The whole mapping to gRPC.
    pub fn into_status(self) -> Status {
        let Parts { reason, message, metadata, violations, precondition, resource, retry_after } =
            *self.parts;
        let message = shown(&message, MESSAGE_BYTES_MAX);
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(key, it)| (key, shown(&it, TEXT_BYTES_MAX))).collect();
        let mut details = ErrorDetails::with_error_info(reason.word(), DOMAIN, metadata);
        for violation in as_many_as_fit(violations) {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if let Some((kind, subject, description)) = precondition {
            let subject = shown(&subject, TEXT_BYTES_MAX);
            details.add_precondition_failure_violation(
                kind,
                subject,
                shown(&description, TEXT_BYTES_MAX),
            );
        }
        if let Some((kind, name)) = resource {
            details.set_resource_info(kind, shown(&name, TEXT_BYTES_MAX), "", message.clone());
        }
        if let Some(delay) = retry_after {
            details.set_retry_info(Some(delay));
        }
        let mut status = Status::with_error_details(reason.code(), message, details);
        if let Some(delay) = retry_after {
            // For gRPC libraries that retry by themselves (gRFC A6). Never 0, which would mean at once.
            let milliseconds = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX).max(1);
            status.metadata_mut().insert(PUSHBACK, milliseconds.into());
        }
        status
    }
}

// gRPC carries an error in two headers, and clients take 8 KiB of them all: the message, percent-encoded (three bytes
// for one at worst), and in base64 (four for three) the details with the message once more.
const MESSAGE_BYTES_MAX: usize = 700;
const VIOLATIONS_MAX: usize = 20;
const VIOLATIONS_BYTES_MAX: usize = 2800;
const TEXT_BYTES_MAX: usize = 400;
const FIELD_BYTES_MAX: usize = 120;
/// Characters of a value that a text repeats in backquotes.
const QUOTED_CHARACTERS_MAX: usize = 80;

/// The text with quoted values cut, those left out that may be a URL with a password, and the whole cut at the end.
fn shown(text: &str, bytes_max: usize) -> String {
    let parts: Vec<String> = text
        .split('`')
        .enumerate()
        .map(|(number, part)| {
            let is_quoted = number % 2 == 1;
            match part.split_once('@') {
                Some((before, _)) if is_quoted && before.contains(':') => "…".to_owned(),
                Some(_) | None if is_quoted && part.chars().count() > QUOTED_CHARACTERS_MAX => {
                    part.chars().take(QUOTED_CHARACTERS_MAX).chain(['…']).collect()
                }
                Some(_) | None => part.to_owned(),
            }
        })
        .collect();
    let text = parts.join("`");
    if text.len() <= bytes_max {
        return text;
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}

/// The first violations, and one that counts the others.
fn as_many_as_fit(violations: Vec<FieldViolation>) -> Vec<FieldViolation> {
    let count = violations.len();
    let mut room = VIOLATIONS_BYTES_MAX;
    let mut told = Vec::new();
    for violation in violations.into_iter().take(VIOLATIONS_MAX) {
        let field = shown(&violation.field, FIELD_BYTES_MAX);
        let description = shown(&violation.description, TEXT_BYTES_MAX);
        let Some(left) = room.checked_sub(field.len() + description.len()) else { break };
        room = left;
        told.push(FieldViolation { field, description });
    }
    let more = count - told.len();
    if more > 0 {
        let description = format!("{more} more are wrong; correct these first");
        told.push(FieldViolation { field: String::new(), description });
    }
    told
}

/// Type of a resource in `ResourceInfo`.
fn resource(kind: Kind, id: &str) -> (&'static str, String) {
    match kind {
        Kind::Target => ("parallax/Target", format!("targets/{id}")),
        Kind::Account => ("parallax/Account", format!("accounts/{id}")),
        Kind::Agent => ("parallax/Agent", format!("agents/{id}")),
        Kind::Diagnosis => ("parallax/Diagnosis", format!("diagnoses/{id}")),
    }
}

fn same_account(by: &str) -> Refusal {
    let message = format!(
        "`accounts/{by}` is the same account of the directory; one account must not have two budgets"
    );
    Refusal::new(Reason::AccountKeyTaken, message)
        .unless(format!("accounts/{by}"), "delete it, or use it instead of a second one")
}

fn ledger_holds(id: &str, charged: u32, limit: u32) -> Refusal {
    let message = format!(
        "the ledger still holds {charged} counts of `accounts/{id}`, more than the new limit of {limit}"
    );
    Refusal::new(Reason::LedgerHolds, message)
        .unless(format!("accounts/{id}"), "wait until the quiet gap has passed")
}

/// How long a caller waits before it asks a store again that did not answer.
const STORE_RETRY: Duration = Duration::from_secs(2);

/// What the store's errors mean to a caller. Those that are ours are logged here, once, and not shown.
impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { kind, id, .. } => {
                let (kind, name) = resource(*kind, id);
                Self::not_found(kind, name)
            }
            StoreError::AlreadyExists { kind, id, .. } => {
                let (kind, name) = resource(*kind, id);
                Self::already_exists(kind, name)
            }
            StoreError::SameAccount { by, .. } => same_account(by),
            StoreError::Conflict { kind, id, .. } => {
                let (kind, name) = resource(*kind, id);
                Self::etag_mismatch(kind, name)
            }
            StoreError::Referenced { kind, id, by, .. } => {
                let (_, name) = resource(*kind, id);
                let message = format!("`{name}` is used by {by}; take it out there first");
                Self::new(Reason::AccountInUse, message).unless(name, format!("used by {by}"))
            }
            StoreError::RequestIdReused { request_id, .. } => {
                let message = format!(
                    "`request_id` `{request_id}` was used for another request; make a new one"
                );
                Self::new(Reason::RequestIdReused, message)
            }
            StoreError::PageToken { .. } => Self::field(
                "page_token",
                "is not one of this list; take it from the answer before, with the same filter",
            ),
            StoreError::LedgerHolds { id, charged, limit, .. } => {
                ledger_holds(id, *charged, *limit)
            }
            StoreError::Undecodable { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Damaged { .. }
            | StoreError::Exposed { .. }
            | StoreError::LedgerBroken { .. } => {
                error!(error = chain(&error), "what is stored cannot be used");
                let message = "what is stored cannot be used; see the controller's log";
                Self::new(Reason::Unreadable, message)
            }
            StoreError::Ended { .. }
            | StoreError::TooMany { .. }
            | StoreError::Busy { .. }
            | StoreError::Full { .. }
            | StoreError::InUse { .. }
            | StoreError::NetworkFileSystem { .. }
            | StoreError::SchemaTooNew { .. }
            | StoreError::Io { .. }
            | StoreError::Envelope { .. }
            | StoreError::Database { .. } => {
                error!(error = chain(&error), "the store did not do what it was asked");
                Self::new(
                    Reason::StoreUnavailable,
                    "the store does not answer; see the controller's log",
                )
                .retry_after(STORE_RETRY)
            }
        }
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.into_status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own_and_a_code_that_is_an_error() {
        let words: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|it| it.word()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            let word = reason.word();
            assert!(word.len() <= 63, "{word}");
            assert!(word.bytes().all(|it| it.is_ascii_uppercase() || it == b'_'), "{word}");
            assert_ne!(reason.code(), Code::Ok);
            assert_ne!(reason.code(), Code::Unknown);
        }
    }

    #[test]
    fn the_status_carries_reason_domain_and_every_field() {
        let status = Refusal::fields(vec![
            FieldViolation {
                field: "target.endpoints[0].url".to_owned(),
                description: "has to begin with https:// or http://".to_owned(),
            },
            FieldViolation { field: "target_id".to_owned(), description: "is missing".to_owned() },
        ])
        .into_status();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let info = details.error_info().expect("an ErrorInfo");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("FIELDS_INVALID", "parallax"));
        let fields: Vec<_> = details
            .bad_request()
            .expect("a BadRequest")
            .field_violations
            .iter()
            .map(|it| it.field.as_str())
            .collect();
        assert_eq!(fields, ["target.endpoints[0].url", "target_id"]);
    }

    #[track_caller]
    fn check_fits(refusal: Refusal) -> Status {
        let status = refusal.into_status();
        let response = status.clone().into_http::<String>();
        let bytes: usize =
            response.headers().iter().map(|(key, it)| key.as_str().len() + it.len()).sum();
        assert!(bytes < 8 * 1024, "{bytes}");
        status
    }

    #[test]
    fn every_error_fits_into_the_headers_of_a_response() {
        for filler in ["x", "統", "`", "` "] {
            let text = format!("`{}` is wrong", filler.repeat(500));
            let violations = (0..300)
                .map(|it| FieldViolation {
                    field: format!("endpoints[{it}].url"),
                    description: text.clone(),
                })
                .collect();
            let status = check_fits(Refusal::fields(violations));
            let details = status.get_error_details();
            let told = &details.bad_request().expect("a BadRequest").field_violations;
            assert!((2..=VIOLATIONS_MAX + 1).contains(&told.len()), "{}", told.len());
            let last = &told[told.len() - 1].description;
            assert_eq!(last, &format!("{} more are wrong; correct these first", 301 - told.len()));
            check_fits(Refusal::not_found("parallax/Target", &*text).unless(&*text, &*text));
        }
    }

    #[test]
    fn a_url_with_a_password_is_not_repeated() {
        let text = "`targets/u:Planted-1@h` is not `targets/{id}`";
        let status = Refusal::field("diagnosis.target", text).into_status();
        assert!(!format!("{status:?}").contains("Planted"));
        assert_eq!(status.message(), "`diagnosis.target`: `…` is not `targets/{id}`");
        assert!(!status.details().windows(7).any(|it| it == b"Planted"));
        assert_eq!(
            shown("`anna@corp.example` is there twice", 99),
            "`anna@corp.example` is there twice"
        );
    }

    #[test]
    fn a_precondition_names_its_subject() {
        let status = Refusal::new(Reason::NoVantage, "no agent is registered in zone `backend`")
            .unless("targets/shop", "register a vantage in zone `backend`")
            .retry_after(Duration::from_secs(5))
            .into_status();
        let details = status.get_error_details();
        let violation =
            &details.precondition_failure().expect("a PreconditionFailure").violations[0];
        assert_eq!(
            (violation.r#type.as_str(), violation.subject.as_str()),
            ("NO_VANTAGE", "targets/shop")
        );
        assert_eq!(
            details.retry_info().expect("a RetryInfo").retry_delay,
            Some(Duration::from_secs(5))
        );
    }
}
