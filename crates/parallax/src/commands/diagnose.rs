//! `parallax diagnose`: starts a diagnosis, follows it, shows the result, and ends with its code.
//!
//! A target's name goes to a controller; a URL is looked at from this machine (`embedded`).
//!
//! INVARIANT: the first line on stderr is the resource name, so that whoever was interrupted can come back.

use parallax_process::ExitCode;
use parallax_wire::pb;
use tokio_util::sync::CancellationToken;

use super::language_tag;
use crate::cli::{DiagnoseArguments, ThresholdChoice};
use crate::client::{Client, call, refused, resource_name};
use crate::embedded;
use crate::failure::{Failure, WrongField};
use crate::following::Follower;
use crate::outcome::exit_code;
use crate::render::{Afterwards, Screen, words};
use crate::running::until_stopped;

pub(super) fn run(arguments: &DiagnoseArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    if arguments.target.contains("://") {
        return embedded::run(arguments, screen);
    }
    check_name(&arguments.target)?;
    refuse_url_options(arguments)?;
    until_stopped(|stop| diagnose(arguments, screen, stop))
}

/// A name of a target has neither `@` nor a dot; a host has, and somebody forgot the scheme.
fn check_name(target: &str) -> Result<(), Failure> {
    let name = resource_name("targets", target)?;
    if !name.contains('.') {
        return Ok(());
    }
    let failure = Failure::usage(format!("`{target}` is not a name of a registered target"));
    Err(failure.hint(format!(
        "For a look at it from here, without a controller: parallax diagnose https://{target}"
    )))
}

/// What describes a target and its account has no place beside one that is registered.
fn refuse_url_options(arguments: &DiagnoseArguments) -> Result<(), Failure> {
    let url = &arguments.url;
    let secret = &url.secret;
    let given = [
        ("--zone", url.zone.is_some()),
        ("--account", url.account.is_some()),
        ("--trust", url.trust.is_some()),
        ("--release", url.release.is_some()),
        ("--lockout-threshold", url.lockout.lockout_threshold != ThresholdChoice::Unknown),
        ("--lockout-window", url.lockout.lockout_window.is_some()),
        ("--secret-stdin", secret.secret_stdin),
        ("--secret-file", secret.secret_file.is_some()),
        ("--secret-env", secret.secret_env.is_some()),
    ];
    let fields: Vec<WrongField> = given
        .into_iter()
        .filter(|(_, is_given)| *is_given)
        .map(|(option, _)| WrongField {
            field: option.to_owned(),
            text: "goes with a URL only; a registered target has its own accounts and endpoints"
                .to_owned(),
        })
        .collect();
    if fields.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!("`{}` is a registered target", arguments.target)).fields(fields))
}

async fn diagnose(
    arguments: &DiagnoseArguments,
    screen: &Screen,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let starting = Box::pin(async {
        let client = Client::connect(&arguments.connection).await?;
        let target = resource_name("targets", &arguments.target)?;
        let diagnosis = start(&client, arguments, target).await?;
        Ok::<_, Failure>((client, diagnosis))
    });
    let Some(started) = stop.run_until_cancelled(starting).await else {
        return Ok(ExitCode::Interrupted);
    };
    let (client, diagnosis) = started?;
    screen.narrate(&diagnosis.name);
    if arguments.no_wait {
        screen.result(&diagnosis.name)?;
        return Ok(ExitCode::Healthy);
    }
    follow(arguments, &client, screen, &diagnosis.name, stop).await
}

/// Starts the diagnosis of a registered target.
pub(crate) async fn start(
    client: &Client,
    arguments: &DiagnoseArguments,
    target: String,
) -> Result<pb::Diagnosis, Failure> {
    let request = pb::CreateDiagnosisRequest {
        diagnosis: Some(pb::Diagnosis {
            target,
            language: language_tag(arguments.output.language.lang).to_owned(),
            time_limit: arguments.time_limit.map(parallax_wire::encode_duration),
            anonymous_only: arguments.anonymous_only,
            ..pb::Diagnosis::default()
        }),
        request_id: uuid::Uuid::new_v4().to_string(),
        ..pb::CreateDiagnosisRequest::default()
    };
    let answer = client.diagnoses().create_diagnosis(call(request)).await;
    Ok(answer.map_err(refused)?.into_inner())
}

async fn follow(
    arguments: &DiagnoseArguments,
    client: &Client,
    screen: &Screen,
    name: &str,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let follower =
        Follower { client, screen, output: arguments.output, afterwards: Afterwards::Kept };
    let Some(ended) = stop.run_until_cancelled(follower.follow(name)).await else {
        let words = words(arguments.output.language.lang);
        screen.narrate(&format!(
            "{}\n  parallax watch {name}\n  parallax cancel {name}",
            words.still_running
        ));
        return Ok(ExitCode::Interrupted);
    };
    let diagnosis = ended?;
    follower.show_result(&diagnosis)?;
    Ok(exit_code(&diagnosis, arguments.fail_on))
}
