//! What would decide a question, as one sentence in the reader's language.
//!
//! Technical words (paths, requests, places) stay as they are on the wire, in every language.

use parallax_faults::Language;
use parallax_wire::pb;
use parallax_wire::pb::look::{Credential, Place};
use parallax_wire::pb::need::Need;

/// One sentence for a need.
pub(super) fn sentence(need: &pb::Need, language: Language) -> String {
    let Some(need) = &need.need else { return String::new() };
    match language {
        Language::English => english(need),
        Language::Japanese => japanese(need),
    }
}

fn english(need: &Need) -> String {
    match need {
        Need::Look(it) => {
            format!("{} would tell ({}).", request(it.look.as_ref()), path(it.path.as_ref()))
        }
        Need::Dial(it) => format!(
            "{} at {} would tell, an address that another vantage was given ({}); the agent's policy has to list it under `addresses`.",
            request(it.look.as_ref()),
            it.address,
            path(it.path.as_ref())
        ),
        Need::Logon(it) => format!(
            "A logon would tell: {} ({}).",
            request(it.look.as_ref()),
            path(it.path.as_ref())
        ),
        Need::AskAgain(it) => format!(
            "The same again in {} would tell: {} ({}).",
            seconds(it.after.as_ref()),
            request(it.look.as_ref()),
            path(it.path.as_ref())
        ),
        Need::VantageZone(zone) => format!("An agent in zone `{zone}` would have to look."),
        Need::Witness(_) => {
            "A second account that is known to work would have to be registered (purpose witness)."
                .to_owned()
        }
        Need::Subject(_) => {
            "An account of a user concerned would have to be registered (purpose subject)."
                .to_owned()
        }
        Need::Declared(what) => format!("You would have to declare: {what}."),
        Need::OnTheServer(what) => format!("Somebody would have to look on the server: {what}."),
    }
}

fn japanese(need: &Need) -> String {
    match need {
        Need::Look(it) => format!(
            "{} を確認すると判別できます（{}）。",
            request(it.look.as_ref()),
            path(it.path.as_ref())
        ),
        Need::Dial(it) => format!(
            "別の観測地点で得られたアドレス {} に {} を送ると判別できます（{}）。",
            it.address,
            request(it.look.as_ref()),
            path(it.path.as_ref())
        ),
        Need::Logon(it) => format!(
            "ログオンを 1 回行うと判別できます：{}（{}）。",
            request(it.look.as_ref()),
            path(it.path.as_ref())
        ),
        Need::AskAgain(it) => format!(
            "{} 後に同じ要求をもう一度送ると判別できます：{}（{}）。",
            seconds(it.after.as_ref()),
            request(it.look.as_ref()),
            path(it.path.as_ref())
        ),
        Need::VantageZone(zone) => format!("ゾーン `{zone}` のエージェントからの確認が必要です。"),
        Need::Witness(_) => {
            "正常に使えるとわかっている 2 つ目のアカウント（purpose witness）の登録が必要です。"
                .to_owned()
        }
        Need::Subject(_) => {
            "問題が起きている利用者のアカウント（purpose subject）の登録が必要です。".to_owned()
        }
        Need::Declared(what) => format!("次の事項の申告が必要です：{what}"),
        Need::OnTheServer(what) => format!("サーバー上での確認が必要です：{what}"),
    }
}

fn path(path: Option<&pb::Path>) -> String {
    path.map(|it| format!("{} -> {}", it.vantage, it.endpoint)).unwrap_or_default()
}

fn seconds(after: Option<&pbjson_types::Duration>) -> String {
    format!("{} s", after.map_or(0, |it| it.seconds))
}

/// As `OPTIONS /Microsoft-Server-ActiveSync` with what goes along.
fn request(look: Option<&pb::Look>) -> String {
    let Some(look) = look else { return String::new() };
    let method = match look.method() {
        pb::look::Method::Get => "GET",
        pb::look::Method::Options | pb::look::Method::Unspecified => "OPTIONS",
    };
    let place = match look.place() {
        Place::ActiveSync | Place::Unspecified => "/Microsoft-Server-ActiveSync",
        Place::ActiveSyncProxy => "/Microsoft-Server-ActiveSync/Proxy",
        Place::HealthCheck => "/Microsoft-Server-ActiveSync/healthcheck.htm",
        Place::Owa => "/owa/",
        Place::Autodiscover => "/autodiscover/autodiscover.xml",
        Place::AutodiscoverJson => "/autodiscover/autodiscover.json",
        Place::Ews => "/EWS/Exchange.asmx",
        Place::Exchange => "/Exchange/",
    };
    match &look.credential {
        Some(Credential::Account(it)) => format!("{method} {place} + Basic {}", it.account),
        Some(Credential::NtlmType1(_)) => format!("{method} {place} + NTLM Type-1"),
        Some(Credential::ImpossibleUser(_)) => format!("{method} {place} + Basic"),
        Some(Credential::Anonymous(_)) | None => format!("{method} {place}"),
    }
}

#[cfg(test)]
mod tests {
    use parallax_wire::pb::need::LookNeed;

    use super::*;

    fn look_need() -> LookNeed {
        LookNeed {
            path: Some(pb::Path { vantage: "ext".to_owned(), endpoint: "published".to_owned() }),
            look: Some((&parallax_model::Look::OPTIONS).into()),
        }
    }

    #[test]
    fn every_need_is_a_sentence_in_both_languages() {
        let needs = [
            Need::Look(look_need()),
            Need::Dial(pb::need::DialNeed {
                path: look_need().path,
                address: "203.0.113.7".to_owned(),
                look: look_need().look,
            }),
            Need::Logon(look_need()),
            Need::AskAgain(pb::need::LaterNeed {
                path: look_need().path,
                look: look_need().look,
                after: Some(pbjson_types::Duration { seconds: 60, nanos: 0 }),
            }),
            Need::VantageZone("backend".to_owned()),
            Need::Witness(pb::need::Missing {}),
            Need::Subject(pb::need::Missing {}),
            Need::Declared("generation of the back end".to_owned()),
            Need::OnTheServer("Event 1036 on the CAS".to_owned()),
        ];
        for need in needs {
            let need = pb::Need { need: Some(need), text: String::new() };
            let (english, japanese) =
                (sentence(&need, Language::English), sentence(&need, Language::Japanese));
            assert!(english.ends_with('.'), "{english}");
            assert!(!japanese.is_empty() && japanese != english, "{japanese}");
        }
    }

    #[test]
    fn a_free_look_names_request_and_path() {
        let need = pb::Need { need: Some(Need::Look(look_need())), text: String::new() };
        assert_eq!(
            sentence(&need, Language::English),
            "OPTIONS /Microsoft-Server-ActiveSync would tell (ext -> published)."
        );
    }
}
