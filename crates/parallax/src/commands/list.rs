//! `parallax list`: diagnoses, newest first.

use parallax_process::ExitCode;
use parallax_wire::pb;

use super::show_list;
use crate::cli::ListArguments;
use crate::client::{Client, PAGE_SIZE, call, every_page, refused, resource_name};
use crate::failure::Failure;
use crate::render::{Screen, diagnosis_list, words};
use crate::running::until_interrupted;

pub(super) fn run(arguments: &ListArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    until_interrupted(list(arguments, screen))
}

async fn list(arguments: &ListArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let filter = arguments
        .target
        .as_ref()
        .map(|it| resource_name("targets", it))
        .transpose()?
        .map(|name| format!("target = \"{name}\""))
        .unwrap_or_default();
    let limit = usize::from(arguments.limit);
    let diagnoses = every_page(limit, async |page_token| {
        let request = pb::ListDiagnosesRequest {
            page_size: PAGE_SIZE.min(i32::from(arguments.limit)),
            page_token,
            filter: filter.clone(),
        };
        let page = client.diagnoses().list_diagnoses(call(request)).await;
        let page = page.map_err(refused)?.into_inner();
        Ok((page.diagnoses, page.next_page_token))
    })
    .await?;
    let words = words(arguments.output.language.lang);
    show_list(screen, arguments.output.output, &diagnoses, |it| {
        diagnosis_list(it, words, screen.paint())
    })?;
    Ok(ExitCode::Healthy)
}
