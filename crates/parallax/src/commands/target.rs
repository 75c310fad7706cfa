//! `parallax target`: registers, lists, shows and deletes the services to be diagnosed.
//!
//! INVARIANT: all files are read and found right before the first one is sent.

use std::path::PathBuf;

use parallax_process::ExitCode;
use parallax_wire::pb;
use pbjson_types::FieldMask;

use super::{show_list, show_one};
use crate::cli::{
    ConnectionArguments, OutputArgument, TargetApplyArguments, TargetCommand, TargetNameArguments,
};
use crate::client::{Client, PAGE_SIZE, call, every_page, refused, resource_name};
use crate::failure::Failure;
use crate::files;
use crate::render::{Screen, target_list, target_page, words};
use crate::running::until_interrupted;

pub(super) fn run(command: TargetCommand, screen: &Screen) -> Result<ExitCode, Failure> {
    match command {
        TargetCommand::Apply(arguments) => {
            let targets = read(&arguments.files)?;
            until_interrupted(apply(targets, &arguments, screen))
        }
        TargetCommand::List { connection, output } => {
            until_interrupted(list(&connection, output, screen))
        }
        TargetCommand::Get(arguments) => until_interrupted(get(&arguments, screen)),
        TargetCommand::Delete(arguments) => until_interrupted(delete(&arguments, screen)),
    }
}

/// Every file, or the mistakes of every file.
fn read(paths: &[PathBuf]) -> Result<Vec<pb::Target>, Failure> {
    if paths.iter().filter(|it| files::is_stdin(it)).count() > 1 {
        return Err(Failure::usage("stdin (`-`) can be read once only"));
    }
    let mut targets = Vec::new();
    let mut failed: Option<Failure> = None;
    for path in paths {
        let failure = match files::read_target(path) {
            Ok(target) => {
                targets.push(target);
                continue;
            }
            Err(failure) => failure,
        };
        if let Some(first) = &mut failed {
            first.text = format!("{}\n{}", first.text, failure.text);
            first.fields.extend(failure.fields.iter().cloned());
            first.causes.extend(failure.causes.iter().cloned());
        } else {
            failed = Some(failure);
        }
    }
    failed.map_or(Ok(targets), Err)
}

async fn apply(
    targets: Vec<pb::Target>,
    arguments: &TargetApplyArguments,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let words = words(arguments.output.language.lang);
    let mut applied = Vec::new();
    for target in targets {
        let request = pb::UpdateTargetRequest {
            target: Some(target),
            // The file says all there is.
            update_mask: Some(FieldMask { paths: vec!["*".to_owned()] }),
            validate_only: arguments.validate_only,
            request_id: uuid::Uuid::new_v4().to_string(),
            allow_missing: true,
        };
        let answer = client.targets().update_target(call(request)).await;
        let target = answer.map_err(refused)?.into_inner();
        let done = if arguments.validate_only { words.checked } else { words.applied };
        screen.narrate(&format!("{}: {done}", target.name));
        applied.push(target);
    }
    show_list(screen, arguments.output.output, &applied, |it| {
        target_list(it, words, screen.paint())
    })?;
    Ok(ExitCode::Healthy)
}

async fn list(
    connection: &ConnectionArguments,
    output: OutputArgument,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect(connection).await?;
    let targets = every_page(usize::MAX, async |page_token| {
        let request = pb::ListTargetsRequest { page_size: PAGE_SIZE, page_token };
        let page =
            client.targets().list_targets(call(request)).await.map_err(refused)?.into_inner();
        Ok((page.targets, page.next_page_token))
    })
    .await?;
    let words = words(output.language.lang);
    show_list(screen, output.output, &targets, |it| target_list(it, words, screen.paint()))?;
    Ok(ExitCode::Healthy)
}

async fn get(arguments: &TargetNameArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let request = pb::GetTargetRequest { name: resource_name("targets", &arguments.target)? };
    let target = client.targets().get_target(call(request)).await.map_err(refused)?.into_inner();
    let words = words(arguments.output.language.lang);
    show_one(screen, arguments.output.output, &target, |it| {
        target_page(it, words, screen.paint())
    })?;
    Ok(ExitCode::Healthy)
}

async fn delete(arguments: &TargetNameArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let name = resource_name("targets", &arguments.target)?;
    let request = pb::DeleteTargetRequest { name: name.clone(), ..Default::default() };
    client.targets().delete_target(call(request)).await.map_err(refused)?;
    screen.narrate(&format!("{name}: {}", words(arguments.output.language.lang).deleted));
    Ok(ExitCode::Healthy)
}
