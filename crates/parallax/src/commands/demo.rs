//! `parallax demo`: the seed problem on a simulated network, with real agents over gRPC, on this machine alone.

use parallax_process::ExitCode;
use parallax_wire::pb;
use parallax_world::demo::{Demo, DemoError};
use tokio_util::sync::CancellationToken;

use super::language_tag;
use crate::cli::{DemoArguments, FailOn};
use crate::client::{Client, call, read_token, refused};
use crate::failure::Failure;
use crate::following::Follower;
use crate::outcome::exit_code;
use crate::render::{Afterwards, Screen, demo_page, words};
use crate::running::until_stopped;

pub(super) fn run(arguments: &DemoArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    until_stopped(|stop| demo(arguments, screen, stop))
}

async fn demo(
    arguments: &DemoArguments,
    screen: &Screen,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let words = words(arguments.output.language.lang);
    screen.narrate(words.demo_starting);
    // Dropping what has started so far ends it.
    let Some(demo) = stop.run_until_cancelled(Demo::start()).await else {
        return Ok(ExitCode::Interrupted);
    };
    let demo = demo.map_err(|error| failed(&error))?;
    let done = if arguments.once {
        stop.run_until_cancelled(Box::pin(once(&demo, arguments, screen)))
            .await
            .unwrap_or(Ok(ExitCode::Interrupted))
    } else {
        let page = demo_page(
            demo.api(),
            demo.agent_port(),
            demo.token_file(),
            demo.targets(),
            words,
            screen.paint(),
        );
        let shown = screen.result(&page);
        if shown.is_ok() {
            stop.cancelled().await;
        }
        shown.map(|()| ExitCode::Healthy)
    };
    let stopped = demo.stop().await;
    stopped.map_err(|error| {
        Failure::unavailable("the demo's data could not be removed").because(&error)
    })?;
    done
}

fn failed(error: &DemoError) -> Failure {
    Failure::unavailable("the demo cannot run").because(error)
}

async fn once(
    demo: &Demo,
    arguments: &DemoArguments,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let client = Client::connect_here(demo.api(), &read_token(demo.token_file())?).await?;
    let target = demo.targets().first().map(|it| it.id.clone()).unwrap_or_default();
    let request = pb::CreateDiagnosisRequest {
        diagnosis: Some(pb::Diagnosis {
            target: format!("targets/{target}"),
            language: language_tag(arguments.output.language.lang).to_owned(),
            ..pb::Diagnosis::default()
        }),
        ..pb::CreateDiagnosisRequest::default()
    };
    let created = client.diagnoses().create_diagnosis(call(request)).await;
    let name = created.map_err(refused)?.into_inner().name;
    screen.narrate(&name);
    let follower = Follower {
        client: &client,
        screen,
        output: arguments.output,
        afterwards: Afterwards::Gone,
    };
    let diagnosis = follower.follow(&name).await?;
    follower.show_result(&diagnosis)?;
    Ok(exit_code(&diagnosis, FailOn::Likely))
}
