//! `parallax cancel`: ends a diagnosis; its agents stop, a logon under way is settled.

use parallax_process::ExitCode;
use parallax_wire::pb;
use parallax_wire::pb::diagnosis::State;

use super::language_tag;
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
    let name = resource_name("diagnoses", &arguments.diagnosis)?;
    let words = words(arguments.language.lang);
    let before = client.get_diagnosis(&name, language_tag(arguments.language.lang)).await?.state();
    if is_over(before) {
        screen.narrate(&format!("{name}: {} ({})", words.was_over, words.state(before)));
        return Ok(ExitCode::Healthy);
    }
    let request = pb::CancelDiagnosisRequest { name: name.clone() };
    let answer = client.diagnoses().cancel_diagnosis(call(request)).await;
    // One that ended in between stays what it was.
    let state = answer.map_err(refused)?.into_inner().state();
    screen.narrate(&format!("{name}: {}", words.state(state)));
    Ok(ExitCode::Healthy)
}

fn is_over(state: State) -> bool {
    match state {
        State::Unspecified | State::Pending | State::Running => false,
        State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Expired
        | State::Interrupted => true,
    }
}
