//! Targets, accounts and agents: what may be registered, changed and deleted, and what is said when it may not.
//!
//! `rpc` decodes and encodes, `store` keeps; the rules of the API (field masks, etags, all mistakes at once) live here.
//! Absent on purpose: diagnoses.
//!
//! INVARIANT: a request that is refused, or that only asked for validation, changed nothing.

mod accounts;
mod fleet;
mod targets;

use std::sync::Arc;

pub(crate) use accounts::decode_account;
pub(crate) use fleet::FleetRegistry;
use parallax_store::{PageRequest, RequestKey, Store};
use parallax_wire::FieldViolation;
use prost::Message;

use crate::permissions::Principal;
use crate::reasons::Refusal;

#[derive(Clone, Debug)]
pub(crate) struct Registry {
    store: Arc<Store>,
}

impl Registry {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

/// Mistakes of one request.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<FieldViolation>);

impl Violations {
    pub(crate) fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation { field: field.into(), description: description.into() });
    }

    /// Takes over what a check of an inner message found.
    pub(crate) fn within(&mut self, outer: &str, inner: Vec<FieldViolation>) {
        for FieldViolation { field, description } in inner {
            self.add(format!("{outer}.{field}"), description);
        }
    }

    /// Whether a mistake of this field was told.
    pub(crate) fn names(&self, field: &str) -> bool {
        self.0.iter().any(|it| it.field == field)
    }

    pub(crate) fn into_result(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::fields(self.0)) }
    }
}

/// The id in a resource name; the mistake says what would be right.
pub(crate) fn read_id<T>(
    name: &str,
    field: &str,
    collection: &str,
    make: impl FnOnce(String) -> Result<T, parallax_model::InvalidName>,
) -> Result<T, Refusal> {
    let id = name.strip_prefix(collection).and_then(|it| it.strip_prefix('/'));
    let id =
        id.ok_or_else(|| Refusal::field(field, format!("`{name}` is not `{collection}/{{id}}`")))?;
    make(id.to_owned()).map_err(|error| Refusal::field(field, error.to_string()))
}

/// The key under which the same request gives the same answer; no key without a `request_id`.
pub(crate) fn request_key(
    principal: &Principal,
    method: &'static str,
    request_id: &str,
    request: &impl Message,
    violations: &mut Violations,
) -> Option<RequestKey> {
    if request_id.is_empty() {
        return None;
    }
    if uuid::Uuid::try_parse(request_id).is_err() || request_id.len() != UUID_LENGTH {
        violations.add(
            "request_id",
            "has to be a UUID, as 6ba7b810-9dad-41d1-80b4-00c04fd430c8, or empty",
        );
        return None;
    }
    Some(RequestKey {
        principal: principal.name.clone(),
        method,
        request_id: request_id.to_owned(),
        request: request.encode_to_vec(),
    })
}

/// The hyphenated form, the only one taken.
const UUID_LENGTH: usize = 36;

/// Page size and token as the store takes them.
pub(crate) fn page_request(page_size: i32, page_token: String) -> Result<PageRequest, Refusal> {
    let size = u32::try_from(page_size)
        .map_err(|_| Refusal::field("page_size", format!("is {page_size}; give 0 to 1000")))?;
    Ok(PageRequest { size, token: page_token })
}
