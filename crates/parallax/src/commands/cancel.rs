//! `parallax cancel`: ends a diagnosis; its agents stop, a logon under way is settled.

use parallax_process::ExitCode;
use parallax_wire::pb;

use crate::cli::CancelArguments;
use crate::client::{Client, call, refused, resource_name};
use crate::failure::Failure;
use crate::render::{Screen, words};
use crate::running::until_interrupted;

pub(super) fn run(arguments: &CancelArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    until_interrupted(cancel(arguments, screen))
}

async fn cancel(arguments: &CancelArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let name = resource_name("diagnoses", &arguments.diagnosis);
    let request = pb::CancelDiagnosisRequest { name: name.clone() };
    let answer = client.diagnoses().cancel_diagnosis(call(request)).await;
    // One that had ended before stays what it was.
    let state = answer.map_err(refused)?.into_inner().state();
    screen.narrate(&format!("{name}: {}", words(arguments.language.lang).state(state)));
    Ok(ExitCode::Healthy)
}
