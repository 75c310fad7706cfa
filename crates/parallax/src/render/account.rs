//! Accounts, for people: who they are, when their directory locks them, what is left of the budget.
//!
//! INVARIANT: the message's secret is not looked at.

use std::fmt::Write as _;

use parallax_wire::pb;
use parallax_wire::pb::lockout_policy::Threshold;

use super::escape;
use super::evidence::form;
use super::moment::{moment, span};
use super::paint::{Paint, Tone};
use super::table::{Cell, rows};
use super::target::word;
use super::words::Words;

/// One line an account.
pub(crate) fn account_list(accounts: &[pb::Account], words: &Words, paint: Paint) -> String {
    let heading = [
        words.name,
        words.directory,
        words.user_names,
        words.mailbox,
        words.lockout,
        words.budget,
        words.breaker,
    ];
    let mut table = vec![heading.map(|it| Cell::toned(it, Tone::Strong)).to_vec()];
    table.extend(accounts.iter().map(|it| {
        let budget = it.budget.clone().unwrap_or_default();
        vec![
            Cell::new(escape::line(&it.name)),
            Cell::new(escape::line(&it.directory)),
            Cell::new(user_names(it)),
            Cell::new(word(it.mailbox().as_str_name(), "GENERATION_")),
            Cell::new(lockout(it.lockout.as_ref(), words)),
            Cell::new(left(&budget)),
            breaker(&budget, words),
        ]
    }));
    rows(&table, 0, paint)
}

/// One account.
pub(crate) fn account_page(account: &pb::Account, words: &Words, paint: Paint) -> String {
    let budget = account.budget.clone().unwrap_or_default();
    let mut facts = vec![
        (words.directory, Cell::new(escape::line(&account.directory))),
        (words.user_names, Cell::new(user_names(account))),
        ("UPN", Cell::new(escape::line(&account.user_principal_name))),
        (words.mailbox, Cell::new(word(account.mailbox().as_str_name(), "GENERATION_"))),
        (words.lockout, Cell::new(lockout(account.lockout.as_ref(), words))),
        (words.secret_version, Cell::new(account.secret_version.to_string())),
        (words.budget, Cell::new(left(&budget))),
        (words.breaker, breaker(&budget, words)),
    ];
    if budget.quiet_time.is_some() {
        facts.push((words.quiet_from, Cell::new(moment(budget.quiet_time.as_ref()))));
    }
    if budget.frozen_until_time.is_some() {
        let until = moment(budget.frozen_until_time.as_ref());
        let until = format!("{until} {}", escape::line(&budget.freeze_reason));
        facts.push((words.frozen_until, Cell::toned(until, Tone::Caution)));
    }
    let table: Vec<Vec<Cell>> = facts
        .into_iter()
        .filter(|(_, value)| !value.text.is_empty())
        .map(|(name, value)| vec![Cell::new(name), value])
        .collect();
    let mut text = format!("{}\n", paint.tone(Tone::Strong, &escape::line(&account.name)));
    text.push_str(&rows(&table, 2, paint));
    for warning in &account.warnings {
        let label = paint.tone(Tone::Caution, &format!("{}:", words.warning));
        let _ = writeln!(text, "  {label} {}", escape::line(warning));
    }
    text
}

fn user_names(account: &pb::Account) -> String {
    let names = account.user_names.iter();
    names
        .map(|it| format!("{} ({})", escape::line(&it.login), form(it.form())))
        .collect::<Vec<_>>()
        .join(", ")
}

fn left(budget: &pb::Budget) -> String {
    format!("{} / {}", (budget.limit - budget.charged - budget.reserved).max(0), budget.limit)
}

fn breaker(budget: &pb::Budget, words: &Words) -> Cell {
    if budget.breaker_open {
        let text = format!("{} {}", words.breaker_open, escape::line(&budget.breaker_reason));
        Cell::toned(text.trim_end(), Tone::Caution)
    } else {
        Cell::new(words.breaker_closed)
    }
}

fn lockout(policy: Option<&pb::LockoutPolicy>, words: &Words) -> String {
    let threshold = match policy.and_then(|it| it.threshold.as_ref()) {
        Some(Threshold::Count(count)) => count.to_string(),
        Some(Threshold::Never(_)) => words.never_locks.to_owned(),
        None => words.unknown.to_owned(),
    };
    match policy.and_then(|it| it.window.as_ref()) {
        Some(window) => format!("{threshold} ({} {})", words.window, span(window)),
        None => threshold,
    }
}
