//! `parallax world check`: plays worlds and grades what the product says of them.
//!
//! Exit codes of its own: 0 all right, 1 not all right, 2 a file that cannot be read.

use std::io::{self, IsTerminal as _};

use parallax_process::ExitCode;
use parallax_world::check::check;
use parallax_world::grade::{Grade, Graded};

use crate::cli::{WorldCheckArguments, WorldCommand, WorldOutput};
use crate::failure::Failure;
use crate::render::{Screen, compact, coverage_page, grades_page};
use crate::running::until_interrupted;

pub(super) fn run(command: WorldCommand, screen: &Screen) -> Result<ExitCode, Failure> {
    match command {
        WorldCommand::Check(arguments) => until_interrupted(check_worlds(&arguments, screen)),
    }
}

async fn check_worlds(
    arguments: &WorldCheckArguments,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let is_watched = io::stderr().is_terminal();
    let each = |graded: &Graded| {
        // A pipe gets the failures with the result; a person likes to see that something moves.
        if is_watched || graded.grade != Grade::Right {
            screen.narrate(&format!("{}: {}", graded.id, graded.grade.word()));
        }
    };
    let summary = check(&arguments.paths, each).await.map_err(|error| {
        Failure::usage("nothing was run, because a world cannot be read").because(&error)
    })?;
    match arguments.output {
        WorldOutput::Json => screen.result(&compact(&summary)?)?,
        WorldOutput::Faults => screen.result(&coverage_page(&summary, screen.paint()))?,
        WorldOutput::Table => screen.result(&grades_page(&summary, screen.paint()))?,
    }
    Ok(if summary.all_right() { ExitCode::Healthy } else { ExitCode::Fault })
}
