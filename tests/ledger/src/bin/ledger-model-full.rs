//! Everything the models are asked, with the large bounds: a table on stdout.
//!
//! `cargo run -p parallax-ledger-model --bin ledger-model-full` takes minutes and
//! gigabytes, so the tests run a part of it. Exit 1 where a row does not come to what the table of
//! variants promises.
//! Deliberately absent: arguments.

use std::process::ExitCode;

use parallax_ledger_model::findings::Findings;
use parallax_ledger_model::variants::Search;
use parallax_ledger_model::{quiet_gap, variants};

#[expect(clippy::print_stdout, reason = "this program is the table that it prints")]
fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let mut show = |name: &str, limit: &str, outcome: Result<Findings, String>| match outcome {
        Ok(it) => println!(
            "| {name} | {}{limit} | {:.1} | {} |",
            it.distinct_states,
            it.took.as_secs_f32(),
            it.violated_names().join(", "),
        ),
        Err(difference) => {
            println!("| WRONG: {difference} |");
            code = ExitCode::FAILURE;
        }
    };
    println!("| variant | distinct states | seconds | violated |\n|---|---|---|---|");
    for variant in variants::all() {
        let limit = match variant.search {
            Search::Complete => "",
            Search::UntilCaught => " until caught",
        };
        show(&variant.name, limit, variant.check());
    }
    for variant in quiet_gap::variants() {
        show(variant.name, "", variant.check());
    }
    code
}
