//! What is said when a task panics: where, and the text of the program itself.
//!
//! INVARIANT: a text that was formatted at run time is withheld, for any value may be in it, a secret too. A literal is
//! part of the program and holds none.

use std::io::Write as _;
use std::panic::PanicHookInfo;

/// Replaces the panic hook of this process.
pub fn report_panics() {
    std::panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let at = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let text = literal(panic);
    if tracing::dispatcher::has_been_set() {
        tracing::error!(thread, at, text, "panic");
    } else {
        // Nobody is left to tell if stderr is closed, too.
        let _ = writeln!(std::io::stderr(), "panic at {at} in thread {thread}: {text}");
    }
}

fn literal(panic: &PanicHookInfo<'_>) -> &'static str {
    panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(formatted text withheld)")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_formatted_text_is_withheld() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&heard);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| hook.lock().unwrap().push(literal(panic))));
        let secret = String::from("Planted-1");
        let _ = std::panic::catch_unwind(|| panic!("the queue is gone"));
        let _ = std::panic::catch_unwind(|| panic!("cannot use {secret}"));
        let _ = std::panic::catch_unwind(|| secret.parse::<u8>().expect(&secret));
        std::panic::set_hook(before);
        let withheld = "(formatted text withheld)";
        assert_eq!(*heard.lock().unwrap(), ["the queue is gone", withheld, withheld]);
    }
}
