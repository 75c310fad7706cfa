//! Facts on one line: a path, a request, a piece of evidence. The words are those of the wire, in every language.

use parallax_wire::pb::look::{Credential, Method, Place};
use parallax_wire::pb::{self, NameForm};

use super::escape;
use super::words::Words;

/// `ext -> published`.
pub(super) fn path(path: Option<&pb::Path>) -> String {
    path.map(|it| format!("{} -> {}", escape::line(&it.vantage), escape::line(&it.endpoint)))
        .unwrap_or_default()
}

/// `ext -> published, cas -> cas1`.
pub(super) fn paths(paths: &[pb::Path]) -> String {
    paths.iter().map(|it| path(Some(it))).collect::<Vec<_>>().join(", ")
}

/// `OPTIONS`, `GET /owa/`, `OPTIONS + Basic accounts/anna (UPN)`.
pub(super) fn look(look: &pb::Look) -> String {
    let method = match look.method() {
        Method::Get => "GET",
        Method::Options | Method::Unspecified => "OPTIONS",
    };
    // OPTIONS of the endpoint's own path is what everything is about; it goes without saying.
    let place = match look.place() {
        Place::ActiveSync | Place::Unspecified => "",
        Place::ActiveSyncProxy => " /Microsoft-Server-ActiveSync/Proxy",
        Place::HealthCheck => " /Microsoft-Server-ActiveSync/healthcheck.htm",
        Place::Owa => " /owa/",
        Place::Autodiscover => " /autodiscover/autodiscover.xml",
        Place::AutodiscoverJson => " /autodiscover/autodiscover.json",
        Place::Ews => " /EWS/Exchange.asmx",
        Place::Exchange => " /Exchange/",
    };
    let credential = match &look.credential {
        None | Some(Credential::Anonymous(_)) => String::new(),
        Some(Credential::NtlmType1(_)) => " + NTLM Type-1".to_owned(),
        Some(Credential::ImpossibleUser(_)) => " + Basic (impossible user)".to_owned(),
        Some(Credential::Account(it)) => {
            format!(" + Basic {} ({})", escape::line(&it.account), form(it.form()))
        }
    };
    format!("{method}{place}{credential}")
}

/// A form of a user name.
pub(super) fn form(form: NameForm) -> &'static str {
    match form {
        NameForm::Upn => "UPN",
        NameForm::Domain => "DOMAIN\\user",
        NameForm::Smtp => "mail",
        NameForm::Bare => "user",
        NameForm::Unspecified => "?",
    }
}

/// `be -> be03 10.1.0.3  OPTIONS + Basic accounts/anna (UPN): 200 MS-Server-ActiveSync 6.5  [round 2]`.
pub(super) fn evidence(evidence: &pb::Evidence, words: &Words) -> String {
    let mut place: Vec<String> = Vec::new();
    if evidence.path.is_some() {
        place.push(path(evidence.path.as_ref()));
    }
    if !evidence.address.is_empty() {
        place.push(escape::line(&evidence.address));
    }
    if let Some(asked) = &evidence.look {
        place.push(look(asked));
    }
    let origin = if evidence.round == 0 {
        words.declared.to_owned()
    } else {
        format!("{} {}", words.round, evidence.round)
    };
    // The label says already that it was declared.
    let value = match evidence.value.strip_prefix("declared: ") {
        Some(declared) if evidence.round == 0 => escape::line(declared),
        Some(_) | None => escape::line(&evidence.value),
    };
    if place.is_empty() {
        format!("{value}  [{origin}]")
    } else {
        format!("{}: {value}  [{origin}]", place.join("  "))
    }
}
