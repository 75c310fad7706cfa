//! `parallax fleet`: makes tokens for agents, lists agents, drains, bans and removes them.
//!
//! INVARIANT: a token is shown once, on stdout, and goes nowhere else.

use parallax_process::ExitCode;
use parallax_wire::{encode_duration, pb};
use url::{Host, Url};

use super::{show_list, show_one};
use crate::cli::{
    ConnectionArguments, FleetAgentArguments, FleetCommand, FleetTokenArguments, OutputArgument,
    ZoneChoice,
};
use crate::client::{Client, PAGE_SIZE, call, every_page, refused, resource_name};
use crate::failure::{Failure, WrongField};
use crate::render::{Screen, agent_list, agent_page, token_page, words};
use crate::running::until_interrupted;

/// Where a controller listens for agents if its settings say nothing.
const AGENT_PORT: u16 = 7444;

/// What is done with one agent.
#[derive(Clone, Debug)]
enum Change {
    Drain,
    Resume,
    Ban { reason: String },
}

pub(super) fn run(command: FleetCommand, screen: &Screen) -> Result<ExitCode, Failure> {
    match command {
        FleetCommand::Token(arguments) => {
            let address = agent_address(&arguments)?;
            until_interrupted(token(&arguments, &address, screen))
        }
        FleetCommand::List { connection, output } => {
            until_interrupted(list(&connection, output, screen))
        }
        FleetCommand::Drain(agent) => until_interrupted(change(Change::Drain, &agent, screen)),
        FleetCommand::Resume(agent) => until_interrupted(change(Change::Resume, &agent, screen)),
        FleetCommand::Ban { reason, agent } => {
            until_interrupted(change(Change::Ban { reason }, &agent, screen))
        }
        FleetCommand::Remove(agent) => until_interrupted(remove(&agent, screen)),
    }
}

/// `host:port` for the agent's command line. It is part of a line to be run, so it is nothing but that.
fn agent_address(arguments: &FleetTokenArguments) -> Result<String, Failure> {
    let wrong = |text: &str| {
        Failure::usage("where the agent reaches the controller is not clear")
            .fields(vec![WrongField { field: "--agent-address".to_owned(), text: text.to_owned() }])
    };
    if let Some(given) = &arguments.agent_address {
        let parts = given.rsplit_once(':').filter(|(host, port)| {
            let is_address = host.starts_with('[') && host.ends_with(']');
            let is_host = is_address || !host.contains(':');
            is_host && Host::parse(host).is_ok() && port.parse::<u16>().is_ok_and(|it| it > 0)
        });
        return match parts {
            // It becomes part of a line for a shell.
            Some(_)
                if given.chars().all(|it| it.is_ascii_alphanumeric() || ".-_:[]".contains(it)) =>
            {
                Ok(given.clone())
            }
            Some(_) | None => Err(wrong("has to be host:port, as parallax.example.org:7444")),
        };
    }
    let server = Url::parse(&arguments.connection.server);
    let host = server.ok().and_then(|it| it.host().map(|it| it.to_string()));
    let host = host.ok_or_else(|| wrong("give it, for --server names no host"))?;
    Ok(format!("{host}:{AGENT_PORT}"))
}

fn zone(zone: ZoneChoice) -> &'static str {
    match zone {
        ZoneChoice::External => "external",
        ZoneChoice::Dmz => "dmz",
        ZoneChoice::Internal => "internal",
        ZoneChoice::Backend => "backend",
    }
}

async fn token(
    arguments: &FleetTokenArguments,
    address: &str,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let request = pb::CreateJoinTokenRequest {
        join_token: Some(pb::JoinToken {
            agent: arguments.agent.clone(),
            zone: zone(arguments.zone).to_owned(),
            site: arguments.site.clone(),
            replace: arguments.replace,
            ttl: Some(encode_duration(arguments.ttl)),
            ..pb::JoinToken::default()
        }),
        validate_only: arguments.validate_only,
    };
    let answer = client.fleet().create_join_token(call(request)).await;
    let answer = answer.map_err(|it| hinted(refused(it), &arguments.agent))?.into_inner();
    let words = words(arguments.output.language.lang);
    show_one(screen, arguments.output.output, &answer, |it| {
        token_page(it, address, words, screen.paint())
    })?;
    Ok(ExitCode::Healthy)
}

/// The way out in the words of this command line, where the API can only name its own.
fn hinted(failure: Failure, agent: &str) -> Failure {
    let agent = agent.trim_start_matches("agents/");
    let hint = match failure.reason.as_deref() {
        Some("RESOURCE_ALREADY_EXISTS") => {
            "Say --replace if another machine is to take its place.".to_owned()
        }
        Some("AGENT_BANNED") => format!("Remove it first: parallax fleet remove {agent}"),
        Some(_) | None => return failure,
    };
    failure.hint(hint)
}

async fn list(
    connection: &ConnectionArguments,
    output: OutputArgument,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(connection).await?;
    let agents = every_page(usize::MAX, async |page_token| {
        let request = pb::ListAgentsRequest { page_size: PAGE_SIZE, page_token };
        let page = client.fleet().list_agents(call(request)).await.map_err(refused)?.into_inner();
        Ok((page.agents, page.next_page_token))
    })
    .await?;
    let words = words(output.language.lang);
    show_list(screen, output.output, &agents, |it| agent_list(it, words, screen.paint()))?;
    Ok(ExitCode::Healthy)
}

async fn change(
    change: Change,
    arguments: &FleetAgentArguments,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let name = resource_name("agents", &arguments.agent)?;
    let client = Client::connect(&arguments.connection).await?;
    let mut fleet = client.fleet();
    let answer = match change {
        Change::Drain => fleet.drain_agent(call(pb::DrainAgentRequest { name })).await,
        Change::Resume => fleet.resume_agent(call(pb::ResumeAgentRequest { name })).await,
        Change::Ban { reason } => fleet.ban_agent(call(pb::BanAgentRequest { name, reason })).await,
    };
    let agent = answer.map_err(|it| hinted(refused(it), &arguments.agent))?.into_inner();
    let words = words(arguments.output.language.lang);
    show_one(screen, arguments.output.output, &agent, |it| agent_page(it, words, screen.paint()))?;
    Ok(ExitCode::Healthy)
}

async fn remove(arguments: &FleetAgentArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let name = resource_name("agents", &arguments.agent)?;
    let client = Client::connect(&arguments.connection).await?;
    let request = pb::DeleteAgentRequest { name: name.clone() };
    client.fleet().delete_agent(call(request)).await.map_err(refused)?;
    screen.narrate(&format!("{name}: {}", words(arguments.output.language.lang).deleted));
    Ok(ExitCode::Healthy)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn address(words: &[&str]) -> Result<String, Failure> {
        let line = ["parallax", "fleet", "token", "ext", "--zone", "external"];
        let cli = Cli::try_parse_from(line.iter().chain(words)).expect("parsed");
        let Command::Fleet { command: FleetCommand::Token(arguments) } = cli.command else {
            panic!("another command");
        };
        agent_address(&arguments)
    }

    #[test]
    fn a_refusal_is_hinted_at_in_the_words_of_the_command_line() {
        for (reason, wanted) in [
            ("RESOURCE_ALREADY_EXISTS", Some("--replace")),
            ("AGENT_BANNED", Some("parallax fleet remove ext")),
            ("FIELDS_INVALID", None),
        ] {
            let mut failure = Failure::usage("refused");
            failure.reason = Some(reason.to_owned());
            let hint = hinted(failure, "agents/ext").hint.clone();
            assert_eq!(hint.is_some(), wanted.is_some(), "{reason}");
            assert!(hint.unwrap_or_default().contains(wanted.unwrap_or_default()), "{reason}");
        }
    }

    #[test]
    fn the_agents_address_is_that_of_the_server_unless_it_is_given() {
        for (words, expected) in [
            (&["--server", "https://plx.example.org:7443"][..], "plx.example.org:7444"),
            (&["--server", "https://[2001:db8::1]:7443"], "[2001:db8::1]:7444"),
            (&["--agent-address", "a.example:9000"], "a.example:9000"),
            (&["--agent-address", "[2001:db8::1]:9000"], "[2001:db8::1]:9000"),
        ] {
            assert_eq!(address(words).expect("an address"), expected);
        }
        for wrong in
            ["a.example", "a.example:0", "a.example:http", "$(x):1", "a b:1", "::1:7444", ":1"]
        {
            assert!(address(&["--agent-address", wrong]).is_err(), "{wrong}");
        }
    }
}
