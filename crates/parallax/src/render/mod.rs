//! Everything that a person or a pipe reads: the only module that prints.
//!
//! The other files here turn values into text and are pure; [`Screen`] writes it. Results go to stdout, narration to
//! stderr. Absent on purpose: looking anything up, and exit codes.
//!
//! INVARIANT: text of a stranger passes `escape` before it reaches a terminal.
//! INVARIANT: colour is never the only sign, and there is none with `NO_COLOR` or without a terminal.

mod agent;
mod failure;
mod paint;

#[cfg(feature = "full")]
mod account;
#[cfg(feature = "full")]
mod check;
#[cfg(feature = "full")]
mod demo;
#[cfg(feature = "full")]
mod diagnosis;
mod escape;
#[cfg(feature = "full")]
mod evidence;
#[cfg(feature = "full")]
mod fleet;
#[cfg(feature = "full")]
mod json;
#[cfg(feature = "full")]
mod manual;
#[cfg(feature = "full")]
mod matrix;
#[cfg(feature = "full")]
mod moment;
#[cfg(feature = "full")]
mod plan;
#[cfg(feature = "full")]
mod progress;
mod table;
#[cfg(feature = "full")]
mod target;
#[cfg(feature = "full")]
mod words;
#[cfg(feature = "full")]
mod world;
#[cfg(feature = "full")]
mod wrap;

#[cfg(all(test, feature = "full"))]
mod tests;

use std::io::{self, IsTerminal as _, Write as _};

use crate::failure::Failure;
pub(crate) use agent::{joined_page, self_test_json, self_test_page};
pub(crate) use failure::failure_text;
pub(crate) use paint::Paint;

#[cfg(feature = "full")]
pub(crate) use self::{
    account::{account_list, account_page},
    check::check_page,
    demo::{demo_page, init_page},
    diagnosis::{Afterwards, diagnosis_list, diagnosis_page},
    fleet::{agent_list, agent_page, token_page},
    json::{compact, pretty},
    manual::{fault_list, fault_page},
    plan::plan_page,
    progress::Progress,
    target::{target_list, target_page},
    words::words,
    world::{coverage_page, grades_page},
};

/// stdout and stderr of this process, and what they can show.
#[derive(Debug)]
pub(crate) struct Screen {
    out: Paint,
    err: Paint,
    /// Lines already on stderr may be redrawn.
    #[cfg(feature = "full")]
    is_live: bool,
}

impl Screen {
    /// Looks at the terminal and the environment once.
    pub(crate) fn detect() -> Self {
        // no-color.org: present and not empty.
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        let paint = |is_terminal: bool| Paint::new(is_terminal && !wants_none && !is_dumb);
        Self {
            out: paint(io::stdout().is_terminal()),
            err: paint(io::stderr().is_terminal()),
            #[cfg(feature = "full")]
            is_live: io::stderr().is_terminal() && !is_dumb,
        }
    }

    /// How stdout is painted.
    pub(crate) fn paint(&self) -> Paint {
        self.out
    }

    /// Writes a result to stdout. A reader that went away is no failure.
    #[expect(clippy::unused_self, reason = "whoever prints holds the screen")]
    pub(crate) fn result(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| {
            if !text.ends_with('\n') {
                out.write_all(b"\n")?;
            }
            out.flush()
        });
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::unavailable("cannot write to stdout").because(&error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Tells on stderr what goes on. Nobody is left to tell if that fails.
    #[cfg(feature = "full")]
    #[expect(clippy::unused_self, reason = "whoever prints holds the screen")]
    pub(crate) fn narrate(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Tells on stderr why the command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        let _ = write!(io::stderr().lock(), "{}", failure_text(failure, self.err));
    }

    /// Shows progress: redraws its block on a terminal, else writes what is new, line by line.
    #[cfg(feature = "full")]
    pub(crate) fn progress(&self, progress: &mut Progress) {
        let text = if self.is_live { progress.redraw(self.err) } else { progress.news() };
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Takes away what was drawn of progress.
    #[cfg(feature = "full")]
    #[expect(clippy::unused_self, reason = "whoever prints holds the screen")]
    pub(crate) fn clear(&self, progress: &mut Progress) {
        let _ = io::stderr().lock().write_all(progress.erase().as_bytes());
    }
}
