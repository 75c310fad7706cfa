//! `parallax watch`: follows a diagnosis that runs, or shows one that has ended, with its exit code.

use parallax_process::ExitCode;

use crate::cli::WatchArguments;
use crate::client::{Client, resource_name};
use crate::failure::Failure;
use crate::following::Follower;
use crate::outcome::exit_code;
use crate::render::{Afterwards, Screen};
use crate::running::until_interrupted;

pub(super) fn run(arguments: &WatchArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    until_interrupted(watch(arguments, screen))
}

async fn watch(arguments: &WatchArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let client = Client::connect(&arguments.connection).await?;
    let name = resource_name("diagnoses", &arguments.diagnosis)?;
    screen.narrate(&name);
    let follower = Follower {
        client: &client,
        screen,
        output: arguments.output,
        afterwards: Afterwards::Kept,
    };
    let diagnosis = follower.follow(&name).await?;
    follower.show_result(&diagnosis)?;
    Ok(exit_code(&diagnosis, arguments.fail_on))
}
