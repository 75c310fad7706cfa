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
        let metadata: HashMap<String, String> = metadata.into_iter().collect();
        let mut details = ErrorDetails::with_error_info(reason.word(), DOMAIN, metadata);
        for violation in violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if let Some((kind, subject, description)) = precondition {
            details.add_precondition_failure_violation(kind, subject, description);
        }
        if let Some((kind, name)) = resource {
            details.set_resource_info(kind, name, "", message.clone());
        }
        if let Some(delay) = retry_after {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(reason.code(), message, details)
    }
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
            StoreError::SameAccount { by, .. } => {
                let message = format!(
                    "`accounts/{by}` is the same account of the directory; one account must not have two budgets"
                );
                let subject = format!("accounts/{by}");
                Self::new(Reason::AccountKeyTaken, message)
                    .unless(subject, "delete it, or use it instead of a second one")
            }
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
                let message = format!(
                    "the ledger still holds {charged} counts of `accounts/{id}`, more than the new limit of {limit}"
                );
                Self::new(Reason::LedgerHolds, message)
                    .unless(format!("accounts/{id}"), "wait until the quiet gap has passed")
            }
            StoreError::Undecodable { .. }
            | StoreError::Corrupt { .. }
            | StoreError::LedgerBroken { .. } => {
                error!(error = chain(&error), "what is stored cannot be used");
                Self::new(
                    Reason::Unreadable,
                    "what is stored cannot be used; see the controller's log",
                )
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
