//! Puts the texts for people into a diagnosis: titles, owners, needs as sentences, and the manual page.
//!
//! Works on the stored message, so that the same diagnosis can be read in another language later. Absent on purpose:
//! any judgement; facts stay in the technical words of the wire.
//!
//! INVARIANT: rendering twice, in whatever languages, gives what rendering once in the last one gives.

mod needs;

use std::collections::BTreeMap;

use parallax_faults::{Fault, Language, Text, catalogue, text};
use parallax_model::TextPlace;
use parallax_wire::pb;

/// Fills every text of a diagnosis, in this language.
pub(crate) fn render(diagnosis: &mut pb::Diagnosis, language: Language) {
    language.tag().clone_into(&mut diagnosis.language);
    for finding in &mut diagnosis.findings {
        finding.title = title(&finding.fault, language, &places(&finding.places));
        finding.owner = owner(&finding.fault);
        finding.severity = severity(&finding.fault);
        render_needs(&mut finding.needs, language);
    }
    let none = BTreeMap::new();
    for fault in &mut diagnosis.ruled_out {
        fault.title = title(&fault.fault, language, &none);
    }
    for fault in &mut diagnosis.open {
        fault.title = title(&fault.fault, language, &none);
        render_needs(&mut fault.needs, language);
    }
    for note in &mut diagnosis.notes {
        note.title = title(&note.fault, language, &none);
    }
    for fault in &mut diagnosis.not_visible {
        fault.title = title(&fault.fault, language, &none);
    }
    render_needs(&mut diagnosis.gaps, language);
    if let Some(plan) = &mut diagnosis.plan {
        render_needs(&mut plan.gaps, language);
    }
    if let Some(verdict) = &mut diagnosis.verdict {
        let found = diagnosis.findings.iter().find(|it| it.fault == verdict.fault);
        let places = found.map(|it| places(&it.places)).unwrap_or_default();
        render_verdict(verdict, language, &places);
        diagnosis.text = page(&verdict.fault, language, &places);
    }
}

/// Fills a verdict that stands by itself, as while rounds go on.
pub(crate) fn render_verdict(
    verdict: &mut pb::Verdict,
    language: Language,
    places: &BTreeMap<TextPlace, String>,
) {
    verdict.title = title(&verdict.fault, language, places);
    verdict.owner = owner(&verdict.fault);
}

/// One entry of the catalogue with its unfilled page.
pub(crate) fn fault(fault: &Fault, language: Language) -> pb::Fault {
    pb::Fault {
        name: format!("faults/{}", fault.id),
        layer: fault.layer.word().to_owned(),
        owner: fault.owner.word().to_owned(),
        era: fault.era.word().to_owned(),
        basis: fault.basis.word().to_owned(),
        text: text(fault.id.0, language).map(encode),
        severity: fault.severity.word().to_owned(),
        reach: fault.reach.word().to_owned(),
    }
}

fn render_needs(needs: &mut [pb::Need], language: Language) {
    for need in needs {
        need.text = needs::sentence(need, language);
    }
}

fn title(fault: &str, language: Language, places: &BTreeMap<TextPlace, String>) -> String {
    text(fault, language).map(|it| it.filled(places).title).unwrap_or_default()
}

/// Empty for `healthy`, `undetermined` and what is no fault.
fn owner(fault: &str) -> String {
    entry(fault).map(|it| it.owner.word().to_owned()).unwrap_or_default()
}

fn severity(fault: &str) -> String {
    entry(fault).map(|it| it.severity.word().to_owned()).unwrap_or_default()
}

fn entry(fault: &str) -> Option<&'static Fault> {
    catalogue().find(|it| it.id.0 == fault)
}

fn page(
    fault: &str,
    language: Language,
    places: &BTreeMap<TextPlace, String>,
) -> Option<pb::FaultText> {
    text(fault, language).map(|it| encode(it.filled(places)))
}

fn places(places: &BTreeMap<String, String>) -> BTreeMap<TextPlace, String> {
    TextPlace::ALL
        .into_iter()
        .filter_map(|place| Some((place, places.get(place.word())?.clone())))
        .collect()
}

fn encode(text: Text) -> pb::FaultText {
    pb::FaultText {
        language: text.language.tag().to_owned(),
        title: text.title,
        meaning: text.meaning,
        evidence: text.evidence,
        not_this: text.not_this,
        steps: text.steps,
        verify: text.verify,
        undo: text.undo,
        ticket: text.ticket,
        references: text.references,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> pb::Diagnosis {
        pb::Diagnosis {
            verdict: Some(pb::Verdict {
                fault: "e2003_be_iwa_missing".to_owned(),
                standing: "confirmed".to_owned(),
                ..pb::Verdict::default()
            }),
            findings: vec![pb::Finding {
                fault: "e2003_be_iwa_missing".to_owned(),
                places: BTreeMap::from([("seen".to_owned(), "401 Basic".to_owned())]),
                ..pb::Finding::default()
            }],
            gaps: vec![(&parallax_model::Need::Witness).into()],
            ..pb::Diagnosis::default()
        }
    }

    #[test]
    fn a_diagnosis_speaks_the_language_it_was_rendered_in_last() {
        let mut once = diagnosis();
        render(&mut once, Language::Japanese);
        let mut twice = diagnosis();
        render(&mut twice, Language::English);
        let english = twice.verdict.clone().expect("a verdict").title;
        render(&mut twice, Language::Japanese);
        assert_eq!(once, twice);
        let verdict = twice.verdict.expect("a verdict");
        assert_eq!(verdict.owner, "exchange");
        assert!(!verdict.title.is_empty() && verdict.title != english);
        let text = twice.text.expect("a page");
        assert_eq!(text.language, "ja");
        assert!(text.evidence.contains("401 Basic"), "{}", text.evidence);
        assert!(!twice.gaps[0].text.is_empty());
        assert_eq!(twice.findings[0].severity, "failure");
    }

    #[test]
    fn healthy_and_undetermined_have_a_page_and_no_owner() {
        for fault in ["healthy", "undetermined"] {
            let mut diagnosis = pb::Diagnosis {
                verdict: Some(pb::Verdict { fault: fault.to_owned(), ..pb::Verdict::default() }),
                ..pb::Diagnosis::default()
            };
            render(&mut diagnosis, Language::English);
            let verdict = diagnosis.verdict.expect("a verdict");
            assert!(!verdict.title.is_empty() && verdict.owner.is_empty(), "{fault}");
            assert!(diagnosis.text.is_some(), "{fault}");
        }
    }
}
