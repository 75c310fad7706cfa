//! Is an answer right? Section 7 of the format, and the summary of many worlds.
//!
//! Each world counts once, as the first that fits of: confirmed wrong, over budget, right, incomplete, undetermined, wrong.
//! Absent on purpose: opinions of our own; the expectation of the file decides, and the counters of the directories.
//!
//! INVARIANT: a confirmed verdict or finding that the file does not list is the worst, also where another finding is right.
//! INVARIANT: a world that could not be run counts as wrong, with the reason.

mod coverage;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use parallax_wire::pb;
use serde::Serialize;

pub use self::coverage::{Coverage, Coverages};
use crate::format::{Expect, LeastStanding};

const HEALTHY: &str = "healthy";
const UNDETERMINED: &str = "undetermined";
const CONFIRMED: &str = "confirmed";

/// How good an answer is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Something is confirmed that is not there.
    ConfirmedWrong,
    /// An account was brought nearer to its lockout than is allowed.
    OverBudget,
    Wrong,
    /// Undetermined, where that is not honest.
    Undetermined,
    /// Right but for a further finding or a standing that is too low.
    Incomplete,
    Right,
}

impl Grade {
    /// The word of the summary.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConfirmedWrong => "confirmed_wrong",
            Self::OverBudget => "over_budget",
            Self::Wrong => "wrong",
            Self::Undetermined => "undetermined",
            Self::Incomplete => "incomplete",
            Self::Right => "right",
        }
    }
}

/// The grade of one world, with what was expected and what came, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Graded {
    /// The world's id.
    pub id: String,
    pub grade: Grade,
    pub expected: String,
    pub got: String,
}

/// The grades of many worlds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub worlds: usize,
    pub right: usize,
    pub incomplete: usize,
    pub undetermined: usize,
    pub wrong: usize,
    pub confirmed_wrong: usize,
    pub over_budget: usize,
    /// Every world that is not right, in the order of the files.
    pub failures: Vec<Graded>,
    /// What the worlds show of every fault.
    #[serde(skip)]
    pub coverages: Coverages,
}

impl Summary {
    /// Counts one more world.
    pub fn add(&mut self, graded: Graded) {
        self.worlds += 1;
        let count = match graded.grade {
            Grade::ConfirmedWrong => &mut self.confirmed_wrong,
            Grade::OverBudget => &mut self.over_budget,
            Grade::Wrong => &mut self.wrong,
            Grade::Undetermined => &mut self.undetermined,
            Grade::Incomplete => &mut self.incomplete,
            Grade::Right => &mut self.right,
        };
        *count += 1;
        if graded.grade != Grade::Right {
            self.failures.push(graded);
        }
    }

    /// Counts what a world shows of the faults that it names.
    pub fn cover(&mut self, expect: &Expect, answer: Option<&pb::Diagnosis>) {
        self.coverages.add(expect, answer);
    }

    /// Whether every world is right, and there is one.
    pub fn all_right(&self) -> bool {
        self.worlds > 0 && self.right == self.worlds
    }
}

/// Grades an answer. `risen` is by how much the counter of the account hit most rose, as its directory counts.
pub fn grade(id: &str, expect: &Expect, diagnosis: &pb::Diagnosis, risen: u32) -> Graded {
    Graded {
        id: id.to_owned(),
        grade: grade_of(expect, diagnosis, risen),
        expected: expected(expect),
        got: got(diagnosis, risen),
    }
}

/// A world that could not be run to its end, for this reason. `risen` as for [`grade`].
pub fn grade_unrun(id: &str, expect: &Expect, reason: &str, risen: u32) -> Graded {
    let grade = if risen > expect.max_refused_logons { Grade::OverBudget } else { Grade::Wrong };
    Graded {
        id: id.to_owned(),
        grade,
        expected: expected(expect),
        got: format!("no diagnosis: {reason}; counter risen by {risen}"),
    }
}

fn grade_of(expect: &Expect, diagnosis: &pb::Diagnosis, risen: u32) -> Grade {
    let said = Said::of(diagnosis);
    let listed: BTreeSet<&str> = honest(expect)
        .chain(expect.also.iter().map(String::as_str))
        .chain(expect.tolerated.iter().map(String::as_str))
        .collect();
    if said.confirmed.iter().any(|it| !listed.contains(it)) {
        return Grade::ConfirmedWrong;
    }
    if risen > expect.max_refused_logons {
        return Grade::OverBudget;
    }
    let is_never = |it: &str| expect.never.iter().any(|never| never == it);
    let is_honest = honest(expect).any(|it| it == said.verdict);
    let is_clean = !is_never(said.verdict) && !said.confirmed.iter().any(|it| is_never(it));
    if is_honest && is_clean {
        let is_whole = expect.also.iter().all(|it| said.found.contains(it.as_str()));
        return if is_whole && said.stands_firm(expect.standing_at_least) {
            Grade::Right
        } else {
            Grade::Incomplete
        };
    }
    if said.verdict == UNDETERMINED { Grade::Undetermined } else { Grade::Wrong }
}

/// Verdicts that are right.
fn honest(expect: &Expect) -> impl Iterator<Item = &str> {
    std::iter::once(expect.fault.as_str()).chain(expect.acceptable.iter().map(String::as_str))
}

/// What a diagnosis says, as far as it is graded.
struct Said<'d> {
    /// Empty: nothing was judged.
    verdict: &'d str,
    standing: &'d str,
    /// The verdict and every finding, latent ones included.
    found: BTreeSet<&'d str>,
    /// Of these, the confirmed ones.
    confirmed: BTreeSet<&'d str>,
}

impl<'d> Said<'d> {
    fn of(diagnosis: &'d pb::Diagnosis) -> Self {
        let (verdict, standing) = diagnosis
            .verdict
            .as_ref()
            .map_or(("", ""), |it| (it.fault.as_str(), it.standing.as_str()));
        let is_fault = !matches!(verdict, "" | HEALTHY | UNDETERMINED);
        let all = diagnosis
            .findings
            .iter()
            .map(|it| (it.fault.as_str(), it.standing.as_str()))
            .chain(is_fault.then_some((verdict, standing)));
        let (mut found, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
        for (fault, standing) in all {
            found.insert(fault);
            if standing == CONFIRMED {
                confirmed.insert(fault);
            }
        }
        Self { verdict, standing, found, confirmed }
    }

    /// The least standing concerns faults alone.
    fn stands_firm(&self, least: LeastStanding) -> bool {
        if matches!(self.verdict, HEALTHY | UNDETERMINED) {
            return true;
        }
        match least {
            LeastStanding::Undetermined => true,
            LeastStanding::Likely => matches!(self.standing, "likely" | CONFIRMED),
            LeastStanding::Confirmed => self.standing == CONFIRMED,
        }
    }
}

fn expected(expect: &Expect) -> String {
    let mut text = expect.fault.clone();
    let is_standing_asked = expect.standing_at_least != LeastStanding::Undetermined
        && honest(expect).any(|it| !matches!(it, HEALTHY | UNDETERMINED));
    if is_standing_asked {
        text = format!("{text} (at least {})", expect.standing_at_least.word());
    }
    for (word, faults) in
        [("or", &expect.acceptable), ("also", &expect.also), ("never", &expect.never)]
    {
        if !faults.is_empty() {
            text = format!("{text}; {word} {}", faults.join(", "));
        }
    }
    format!("{text}; counter risen by at most {}", expect.max_refused_logons)
}

fn got(diagnosis: &pb::Diagnosis, risen: u32) -> String {
    let said = Said::of(diagnosis);
    let mut text = match (said.verdict, said.standing) {
        ("", _) => "no verdict".to_owned(),
        (verdict, "") => verdict.to_owned(),
        (verdict, standing) => format!("{verdict} ({standing})"),
    };
    let findings: Vec<String> = diagnosis
        .findings
        .iter()
        .filter(|it| it.fault != said.verdict)
        .map(|it| {
            let latent = if it.latent { ", latent" } else { "" };
            format!("{} ({}{latent})", it.fault, it.standing)
        })
        .collect();
    let open: Vec<&str> = diagnosis.open.iter().map(|it| it.fault.as_str()).collect();
    for (word, faults) in [("findings", findings.join(", ")), ("open", open.join(", "))] {
        if !faults.is_empty() {
            text = format!("{text}; {word} {faults}");
        }
    }
    if !diagnosis.unexplained.is_empty() {
        text = format!("{text}; {} paths unexplained", diagnosis.unexplained.len());
    }
    if diagnosis.state() != pb::diagnosis::State::Succeeded {
        text = format!("{text}; {}", diagnosis.state().as_str_name());
        if !diagnosis.state_reason.is_empty() {
            text = format!("{text} ({})", diagnosis.state_reason);
        }
    }
    format!("{text}; counter risen by {risen}")
}
