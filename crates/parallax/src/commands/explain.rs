//! `parallax explain`: the manual page of a fault, from the catalogue inside this program; no controller is asked.

use parallax_faults::{Fault, Language, catalogue, text};
use parallax_process::ExitCode;
use parallax_wire::pb;

use super::{language_tag, show_list, show_one};
use crate::cli::{self, ExplainArguments};
use crate::failure::Failure;
use crate::render::{Screen, fault_list, fault_page, words};

pub(super) fn run(arguments: &ExplainArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let language = match arguments.output.language.lang {
        cli::Language::En => Language::English,
        cli::Language::Ja => Language::Japanese,
    };
    let words = words(arguments.output.language.lang);
    let Some(wanted) = &arguments.fault else {
        let faults: Vec<pb::Fault> =
            catalogue().map(|it| page(it.id.0, Some(it), language)).collect();
        show_list(screen, arguments.output.output, &faults, |it| {
            fault_list(it, words, screen.paint())
        })?;
        return Ok(ExitCode::Healthy);
    };
    let id = wanted.strip_prefix("faults/").unwrap_or(wanted);
    if text(id, language).is_none() {
        return Err(Failure::usage(format!("`{id}` is not in the catalogue")).hint(nearest(id)));
    }
    let fault = catalogue().find(|it| it.id.0 == id);
    show_one(screen, arguments.output.output, &page(id, fault, language), |it| {
        fault_page(it, words, screen.paint())
    })?;
    Ok(ExitCode::Healthy)
}

/// Verdicts that are no fault, and notes, have a page too, and nothing else.
fn page(id: &str, fault: Option<&Fault>, language: Language) -> pb::Fault {
    let text = text(id, language).map(|it| it.filled(&std::collections::BTreeMap::new()));
    pb::Fault {
        name: format!("faults/{id}"),
        layer: fault.map(|it| it.layer.word().to_owned()).unwrap_or_default(),
        owner: fault.map(|it| it.owner.word().to_owned()).unwrap_or_default(),
        era: fault.map(|it| it.era.word().to_owned()).unwrap_or_default(),
        basis: fault.map(|it| it.basis.word().to_owned()).unwrap_or_default(),
        severity: fault.map(|it| it.severity.word().to_owned()).unwrap_or_default(),
        reach: fault.map(|it| it.reach.word().to_owned()).unwrap_or_default(),
        text: text.map(|it| pb::FaultText {
            language: language_tag(match language {
                Language::English => cli::Language::En,
                Language::Japanese => cli::Language::Ja,
            })
            .to_owned(),
            title: it.title,
            meaning: it.meaning,
            evidence: it.evidence,
            not_this: it.not_this,
            steps: it.steps,
            verify: it.verify,
            undo: it.undo,
            ticket: it.ticket,
            references: it.references,
        }),
    }
}

/// Ids that share a word with what was typed, or where to find all.
fn nearest(wanted: &str) -> String {
    let parts: Vec<&str> = wanted.split(['_', '-']).filter(|it| it.len() > 2).collect();
    let near: Vec<&str> = catalogue()
        .map(|it| it.id.0)
        .filter(|id| parts.iter().any(|part| id.split('_').any(|it| it == *part)))
        .collect();
    if near.is_empty() {
        "`parallax explain` lists all.".to_owned()
    } else {
        format!("Do you mean {}? `parallax explain` lists all.", near.join(", "))
    }
}
