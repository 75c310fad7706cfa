//! What the worlds show of every fault: in how many it is the answer, in how many it must not be, and how firmly it was reached.
//!
//! Absent on purpose: the catalogue. A fault that no world names is not in here.

use std::collections::BTreeMap;

use parallax_wire::pb;

use super::{CONFIRMED, HEALTHY, Said, UNDETERMINED};
use crate::format::Expect;

/// What the worlds show of one fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Worlds in which it is there: the best verdict, or what has to stand among the findings.
    pub worlds: usize,
    /// Of these, where it was found and confirmed, found and likely, and left open.
    pub confirmed: usize,
    pub likely: usize,
    pub open: usize,
    /// Worlds that look like it and in which it must not be the answer.
    pub look_alikes: usize,
    /// Green worlds that name it as beyond what is visible.
    pub not_visible: usize,
}

/// By fault id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverages(pub BTreeMap<String, Coverage>);

impl Coverages {
    /// Counts what one world expects and what its answer says; no answer: only what it expects.
    pub(super) fn add(&mut self, expect: &Expect, answer: Option<&pb::Diagnosis>) {
        let said = answer.map(Said::of);
        let is_fault = |it: &&String| !matches!(it.as_str(), HEALTHY | UNDETERMINED);
        for fault in std::iter::once(&expect.fault).chain(&expect.also).filter(is_fault) {
            let one = self.of(fault);
            one.worlds += 1;
            let Some(said) = &said else { continue };
            if said.confirmed.contains(fault.as_str()) {
                one.confirmed += 1;
            } else if said.found.contains(fault.as_str()) {
                one.likely += 1;
            } else if answer.is_some_and(|it| it.open.iter().any(|it| it.fault == *fault)) {
                one.open += 1;
            }
        }
        for fault in &expect.never {
            self.of(fault).look_alikes += 1;
        }
        for fault in &expect.not_visible {
            let is_named =
                answer.is_some_and(|it| it.not_visible.iter().any(|it| it.fault == *fault));
            self.of(fault).not_visible += usize::from(is_named);
        }
    }

    fn of(&mut self, fault: &str) -> &mut Coverage {
        self.0.entry(fault.to_owned()).or_default()
    }
}

impl Coverage {
    /// The firmest standing in which it was reached where it is there.
    pub fn reached(&self) -> &'static str {
        match self {
            Self { confirmed: 1.., .. } => CONFIRMED,
            Self { likely: 1.., .. } => "likely",
            Self { open: 1.., .. } => "open",
            Self { not_visible: 1.., .. } => "not visible",
            _ => "",
        }
    }
}
