//! `parallax plan`: what a diagnosis would ask and what it may cost; nothing is asked.

use parallax_process::ExitCode;
use parallax_wire::pb;

use super::{language_tag, show_one};
use crate::cli::PlanArguments;
use crate::client::{Client, call, refused, resource_name};
use crate::failure::Failure;
use crate::render::{Screen, plan_page, words};
use crate::running::until_interrupted;

pub(super) fn run(arguments: &PlanArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    until_interrupted(plan(arguments, screen))
}

async fn plan(arguments: &PlanArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let request = pb::CreateDiagnosisRequest {
        diagnosis: Some(pb::Diagnosis {
            target: resource_name("targets", &arguments.target)?,
            language: language_tag(arguments.output.language.lang).to_owned(),
            anonymous_only: arguments.anonymous_only,
            ..pb::Diagnosis::default()
        }),
        validate_only: true,
        ..pb::CreateDiagnosisRequest::default()
    };
    let answer = client.diagnoses().create_diagnosis(call(request)).await;
    let diagnosis = answer.map_err(refused)?.into_inner();
    let words = words(arguments.output.language.lang);
    let none = pb::Plan::default();
    let plan = diagnosis.plan.as_ref().unwrap_or(&none);
    show_one(screen, arguments.output.output, plan, |it| plan_page(it, words, screen.paint()))?;
    Ok(ExitCode::Healthy)
}
