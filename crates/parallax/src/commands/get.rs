//! `parallax get`: shows a diagnosis as it stands.

use parallax_process::ExitCode;

use super::{language_tag, show_one};
use crate::cli::GetArguments;
use crate::client::{Client, resource_name};
use crate::failure::Failure;
use crate::render::{Afterwards, Screen, diagnosis_page, words};
use crate::running::until_interrupted;

pub(super) fn run(arguments: &GetArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    until_interrupted(get(arguments, screen))
}

async fn get(arguments: &GetArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let name = resource_name("diagnoses", &arguments.diagnosis)?;
    let language = arguments.output.language.lang;
    let diagnosis = client.get_diagnosis(&name, language_tag(language)).await?;
    show_one(screen, arguments.output.output, &diagnosis, |it| {
        diagnosis_page(it, Afterwards::Kept, words(language), screen.paint())
    })?;
    Ok(ExitCode::Healthy)
}
