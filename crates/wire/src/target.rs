//! A target: what an operator declares, both ways. Reading tells every mistake at once.

use std::collections::BTreeSet;

use parallax_model::{
    AccountId, Endpoint, EndpointName, Event, EventKind, Purpose, Target, TargetAccount, TargetId,
};

use crate::endpoint::{encode_generation, read_endpoint, read_generation};
use crate::error::{DecodeError, FieldViolation, Violations};
use crate::pb::{self, event, target_account};
use crate::scalar::{account_name, decode_time, encode_time, read_resource};

const DISPLAY_NAME_CHARACTERS_MAX: usize = 200;
const ENDPOINTS_MAX: usize = 64;
const ACCOUNTS_MAX: usize = 16;
const EVENTS_MAX: usize = 200;
const EVENT_TEXT_CHARACTERS_MAX: usize = 1000;

/// `targets/{id}`.
pub fn target_name(id: &TargetId) -> String {
    format!("targets/{id}")
}

/// Without times and etag, which the store knows.
impl From<&Target> for pb::Target {
    fn from(target: &Target) -> Self {
        Self {
            name: target_name(&target.id),
            display_name: target.display_name.clone(),
            generation: encode_generation(target.generation),
            endpoints: target.endpoints.iter().map(Into::into).collect(),
            accounts: target.accounts.iter().map(Into::into).collect(),
            events: target.events.iter().map(Into::into).collect(),
            create_time: None,
            update_time: None,
            etag: String::new(),
        }
    }
}

impl TryFrom<&pb::Target> for Target {
    type Error = DecodeError;

    fn try_from(message: &pb::Target) -> Result<Self, DecodeError> {
        check_target(message).map_err(|violations| Violations(violations).first())
    }
}

/// Reads a target as a person wrote it. On failure: every mistake, in the order of the fields.
///
/// Whether its accounts exist is for the store to say.
pub fn check_target(message: &pb::Target) -> Result<Target, Vec<FieldViolation>> {
    let mut violations = Violations::default();
    let target = read_target(message, &mut violations);
    match target {
        Some(target) if violations.0.is_empty() => Ok(target),
        Some(_) | None => Err(violations.0),
    }
}

fn read_target(message: &pb::Target, violations: &mut Violations) -> Option<Target> {
    let id =
        violations.keep("name", read_resource(&message.name, "targets", |id| TargetId::new(id)));
    limit_text("display_name", &message.display_name, DISPLAY_NAME_CHARACTERS_MAX, violations);
    let generation = read_generation(message.generation, "generation", violations);
    let endpoints = read_endpoints(&message.endpoints, violations);
    let accounts = read_accounts(&message.accounts, violations);
    let events = read_events(&message.events, violations);
    Some(Target {
        id: id?,
        display_name: message.display_name.clone(),
        generation,
        endpoints,
        accounts,
        events,
    })
}

fn limit_text(field: &str, text: &str, max: usize, violations: &mut Violations) {
    let length = text.chars().count();
    if length > max {
        violations.add(field, format!("has {length} characters; at most {max} are allowed"));
    }
    if text.chars().any(|it| it.is_control() && it != '\n' && it != '\t') {
        violations.add(field, "holds a control character");
    }
}

fn read_endpoints(messages: &[pb::Endpoint], violations: &mut Violations) -> Vec<Endpoint> {
    if messages.is_empty() {
        violations.add("endpoints", "is required: at least one endpoint");
    }
    if messages.len() > ENDPOINTS_MAX {
        violations.add(
            "endpoints",
            format!("has {} entries; at most {ENDPOINTS_MAX} are allowed", messages.len()),
        );
        return Vec::new();
    }
    let mut names: BTreeSet<EndpointName> = BTreeSet::new();
    let mut found = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        if let Some(endpoint) = read_endpoint(message, &format!("endpoints[{at}]."), violations) {
            if !names.insert(endpoint.name.clone()) {
                violations.add(
                    format!("endpoints[{at}].name"),
                    format!("`{}` is there twice; names are unique within a target", endpoint.name),
                );
            }
            found.push(endpoint);
        }
    }
    found
}

impl From<&TargetAccount> for pb::TargetAccount {
    fn from(account: &TargetAccount) -> Self {
        let purpose = match account.purpose {
            Purpose::Subject => target_account::Purpose::Subject,
            Purpose::Witness => target_account::Purpose::Witness,
        };
        Self { account: account_name(&account.account), purpose: purpose.into() }
    }
}

fn read_accounts(
    messages: &[pb::TargetAccount],
    violations: &mut Violations,
) -> Vec<TargetAccount> {
    if messages.len() > ACCOUNTS_MAX {
        violations.add(
            "accounts",
            format!("has {} entries; at most {ACCOUNTS_MAX} are allowed", messages.len()),
        );
        return Vec::new();
    }
    let mut found: Vec<TargetAccount> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let field = format!("accounts[{at}].account");
        let account = read_resource(&message.account, "accounts", |id| AccountId::new(id));
        let account = violations.keep(&*field, account);
        let purpose = match target_account::Purpose::try_from(message.purpose) {
            Ok(target_account::Purpose::Subject) => Some(Purpose::Subject),
            Ok(target_account::Purpose::Witness) => Some(Purpose::Witness),
            Ok(target_account::Purpose::Unspecified) | Err(_) => {
                violations.add(
                    format!("accounts[{at}].purpose"),
                    "is required: PURPOSE_SUBJECT or PURPOSE_WITNESS",
                );
                None
            }
        };
        let (Some(account), Some(purpose)) = (account, purpose) else { continue };
        if found.iter().any(|it| it.account == account) {
            violations.add(field, format!("`accounts/{account}` is there twice"));
        }
        found.push(TargetAccount { account, purpose });
    }
    found
}

impl From<EventKind> for event::Kind {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::AdminChange => Self::AdminChange,
            EventKind::PasswordChange => Self::PasswordChange,
            EventKind::Restart => Self::Restart,
            EventKind::Update => Self::Update,
            EventKind::Cutover => Self::Cutover,
            EventKind::UserReport => Self::UserReport,
            EventKind::ServerLog => Self::ServerLog,
        }
    }
}

impl From<&Event> for pb::Event {
    fn from(event: &Event) -> Self {
        Self {
            event_time: Some(encode_time(event.at)),
            kind: event::Kind::from(event.kind).into(),
            text: event.text.clone(),
        }
    }
}

fn read_events(messages: &[pb::Event], violations: &mut Violations) -> Vec<Event> {
    if messages.len() > EVENTS_MAX {
        violations.add(
            "events",
            format!("has {} entries; at most {EVENTS_MAX} are allowed", messages.len()),
        );
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let field = format!("events[{number}].event_time");
        let at = violations
            .keep(field, decode_time(message.event_time, "").map_err(|error| error.problem));
        let kind = read_kind(message.kind, &format!("events[{number}].kind"), violations);
        let field = format!("events[{number}].text");
        limit_text(&field, &message.text, EVENT_TEXT_CHARACTERS_MAX, violations);
        if let (Some(at), Some(kind)) = (at, kind) {
            found.push(Event { at, kind, text: message.text.clone() });
        }
    }
    found
}

fn read_kind(number: i32, field: &str, violations: &mut Violations) -> Option<EventKind> {
    match event::Kind::try_from(number) {
        Ok(event::Kind::AdminChange) => Some(EventKind::AdminChange),
        Ok(event::Kind::PasswordChange) => Some(EventKind::PasswordChange),
        Ok(event::Kind::Restart) => Some(EventKind::Restart),
        Ok(event::Kind::Update) => Some(EventKind::Update),
        Ok(event::Kind::Cutover) => Some(EventKind::Cutover),
        Ok(event::Kind::UserReport) => Some(EventKind::UserReport),
        Ok(event::Kind::ServerLog) => Some(EventKind::ServerLog),
        Ok(event::Kind::Unspecified) | Err(_) => {
            violations.add(field, "is required: one of KIND_ADMIN_CHANGE, KIND_PASSWORD_CHANGE, KIND_RESTART, KIND_UPDATE, KIND_CUTOVER, KIND_USER_REPORT, KIND_SERVER_LOG");
            None
        }
    }
}
