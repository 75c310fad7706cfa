//! Agents and join tokens, for people.

use std::fmt::Write as _;

use parallax_wire::pb;

use super::escape;
use super::moment::moment;
use super::paint::{Paint, Tone};
use super::table::{Cell, rows};
use super::target::word;
use super::words::Words;

/// One line an agent, and below what is to be known of some.
pub(crate) fn agent_list(agents: &[pb::Agent], words: &Words, paint: Paint) -> String {
    let heading = [
        words.name,
        words.zone,
        words.site,
        words.state,
        words.version,
        words.last_seen,
        words.certificate_until,
    ];
    let mut table = vec![heading.map(|it| Cell::toned(it, Tone::Strong)).to_vec()];
    table.extend(agents.iter().map(|it| {
        vec![
            Cell::new(escape::line(&it.name)),
            Cell::new(escape::line(&it.zone)),
            Cell::new(escape::line(&it.site)),
            state(it),
            Cell::new(escape::line(&it.version)),
            Cell::new(moment(it.last_seen_time.as_ref())),
            Cell::new(moment(it.certificate_expire_time.as_ref())),
        ]
    }));
    let mut text = rows(&table, 0, paint);
    for agent in agents {
        for warning in &agent.warnings {
            let label = paint.tone(Tone::Caution, &format!("{}:", words.warning));
            let name = escape::line(&agent.name);
            let _ = writeln!(text, "{label} {name}: {}", escape::line(warning));
        }
    }
    text
}

/// One agent.
pub(crate) fn agent_page(agent: &pb::Agent, words: &Words, paint: Paint) -> String {
    let facts = [
        (words.zone, Cell::new(escape::line(&agent.zone))),
        (words.site, Cell::new(escape::line(&agent.site))),
        (words.state, state(agent)),
        (words.reason, Cell::new(escape::line(&agent.state_reason))),
        (words.version, Cell::new(escape::line(&agent.version))),
        (words.last_seen, Cell::new(moment(agent.last_seen_time.as_ref()))),
        (words.certificate_until, Cell::new(moment(agent.certificate_expire_time.as_ref()))),
    ];
    let table: Vec<Vec<Cell>> = facts
        .into_iter()
        .filter(|(_, value)| !value.text.is_empty())
        .map(|(name, value)| vec![Cell::new(name), value])
        .collect();
    let mut text = format!("{}\n", paint.tone(Tone::Strong, &escape::line(&agent.name)));
    text.push_str(&rows(&table, 2, paint));
    for warning in &agent.warnings {
        let label = paint.tone(Tone::Caution, &format!("{}:", words.warning));
        let _ = writeln!(text, "  {label} {}", escape::line(warning));
    }
    text
}

/// What to run on the agent's machine. Of a token that was only checked there is nothing to run.
pub(crate) fn token_page(
    token: &pb::JoinToken,
    address: &str,
    words: &Words,
    paint: Paint,
) -> String {
    if token.token.is_empty() {
        return format!("{}: {}\n", escape::line(&token.agent), words.checked);
    }
    let ends = moment(token.expire_time.as_ref());
    let secret = escape::line(&token.token);
    format!(
        "{}\n\n  parallax agent join --controller {address} --token {secret}\n\n{} {ends}. {}\n",
        paint.tone(Tone::Strong, &words.join_run.replace("{}", &escape::line(&token.agent))),
        words.join_until,
        words.join_once,
    )
}

fn state(agent: &pb::Agent) -> Cell {
    use pb::agent::State;
    let text = word(agent.state().as_str_name(), "STATE_");
    let tone = match agent.state() {
        State::Connected => Tone::Good,
        State::Disconnected | State::Draining | State::Banned => Tone::Caution,
        State::Unspecified => Tone::Plain,
    };
    Cell::toned(text, tone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Language;
    use crate::render::words;

    fn token() -> pb::JoinToken {
        pb::JoinToken {
            agent: "ext".to_owned(),
            zone: "external".to_owned(),
            expire_time: Some(pbjson_types::Timestamp { seconds: 1_772_361_600, nanos: 0 }),
            token: "plx1_abc".to_owned(),
            ..pb::JoinToken::default()
        }
    }

    #[test]
    fn the_line_to_run_stands_alone() {
        let page = token_page(&token(), "h:7444", words(Language::En), Paint::new(false));
        let expected = "  parallax agent join --controller h:7444 --token plx1_abc";
        assert_eq!(page.lines().filter(|it| *it == expected).count(), 1, "{page}");
        assert!(page.contains("2026-03-01T10:40:00Z"), "{page}");
        let checked = pb::JoinToken { token: String::new(), ..token() };
        let page = token_page(&checked, "h:7444", words(Language::Ja), Paint::new(false));
        assert!(!page.contains("--token"), "{page}");
    }

    #[test]
    fn a_warning_is_told_with_its_agent() {
        let agent = pb::Agent {
            name: "agents/ext".to_owned(),
            zone: "external".to_owned(),
            state: pb::agent::State::Connected.into(),
            warnings: vec!["two machines\u{1b}[2J".to_owned()],
            ..pb::Agent::default()
        };
        let list = agent_list(std::slice::from_ref(&agent), words(Language::En), Paint::new(false));
        assert!(list.contains("connected") && list.contains("agents/ext: two machines"), "{list}");
        assert!(!list.contains('\u{1b}'), "escaped");
        assert!(agent_page(&agent, words(Language::Ja), Paint::new(false)).contains("agents/ext"));
    }
}
