//! From claims to a verdict: standings, the smallest set that explains every failing path, and what is left.
//!
//! INVARIANT: the same evidence gives the same diagnosis, whatever the order of its paths.
//! INVARIANT: an inferred fault is never confirmed; nothing is healthy while something relevant is open.

use std::collections::{BTreeMap, BTreeSet};

use parallax_model::{
    Diagnosis, Evidence, EvidenceRef, FaultId, Finding, Look, Need, OpenFault, PathCondition,
    PathId, Place, Purpose, Role, RuledOut, Standing, TextPlace, Unexplained, VantageName, Verdict,
    Zone,
};

use crate::causes;
use crate::claim::Claim;
use crate::claims;
use crate::condition::{self, Marks};
use crate::fault::{Basis, Case, Explains, Fault, Layer, Reach, Severity};
use crate::logon;
use crate::responder;
use crate::seen::{Seen, Spot, logon_of};
use crate::{difference, matrix, recognise};

const TRUST_MISSING: &str =
    "trust of the endpoint: its certificate is not accepted, so no secret goes there";

/// The most references kept of one finding; more say nothing new.
pub(crate) const EVIDENCE_MAX: usize = 24;

/// What no `OPTIONS` request can see and some server of this target may have.
fn not_visible(seen: &Seen<'_>) -> Vec<FaultId> {
    let endpoints = seen.evidence.target.endpoints.iter().filter(|it| it.role != Role::Control);
    let generations: BTreeSet<_> =
        endpoints.map(|endpoint| responder::generation(seen, endpoint)).collect();
    causes::all()
        .filter(|fault| fault.reach == Reach::Beyond)
        .filter(|fault| generations.iter().any(|it| fault.era.may_concern(*it)))
        .map(|fault| fault.id)
        .collect()
}

/// Judges everything known. Pure: no clock, no order dependence, no panic on any evidence.
pub fn diagnose(evidence: &Evidence) -> Diagnosis {
    let seen = Seen::new(evidence);
    let marks = condition::marks(&seen);
    let not_vouched_for = claims::not_vouched_for(&seen);
    let judged: Vec<Judged> =
        causes::all().map(|fault| judge(fault, &seen, &marks, &not_vouched_for)).collect();
    let mut findings = findings(&seen, &judged, &marks);
    order(&mut findings, &judged, &marks);
    let open = open_faults(&judged, &marks, &findings);
    let gaps = gaps(&seen, &findings, &open);
    let verdict = verdict(&seen, &findings, &open, &marks);
    Diagnosis {
        verdict,
        ruled_out: judged.iter().filter_map(Judged::ruled_out).collect(),
        unexplained: unexplained(&judged, &findings, &marks),
        first_difference: if verdict == Verdict::Healthy { None } else { difference::first(&seen) },
        matrix: matrix::rows(&seen, &marks),
        notes: causes::notes(&seen),
        excluded: seen.excluded(),
        recognised: recognise::recognised(&seen),
        not_visible: not_visible(&seen),
        open,
        gaps,
        findings,
    }
}

/// A fault with everything its cases came to.
struct Judged {
    id: FaultId,
    layer: Layer,
    severity: Severity,
    standing: Option<Standing>,
    /// Cases of the best standing.
    cases: Vec<(Case, Vec<EvidenceRef>)>,
    firmer_needs: Vec<Need>,
    covers: BTreeSet<usize>,
    /// What open cases have and need, and which marks they could explain.
    open: Option<(Vec<EvidenceRef>, Vec<Need>, BTreeSet<usize>)>,
    against: Vec<EvidenceRef>,
    applies: bool,
}

fn judge(
    fault: &Fault,
    seen: &Seen<'_>,
    marks: &Marks,
    not_vouched_for: &BTreeSet<&VantageName>,
) -> Judged {
    let mut judged = Judged {
        id: fault.id,
        layer: fault.layer,
        severity: fault.severity,
        standing: None,
        cases: Vec::new(),
        firmer_needs: Vec::new(),
        covers: BTreeSet::new(),
        open: None,
        against: Vec::new(),
        applies: false,
    };
    let (mut covers, mut could) = (Covers::default(), Covers::default());
    for case in (fault.cases)(seen) {
        judged.applies = true;
        match stand(fault.basis, &case) {
            Stand::There(standing, references, needs) => {
                let standing = standing.min(most_known(&case, not_vouched_for));
                if judged.standing.is_none_or(|best| standing > best) {
                    judged.standing = Some(standing);
                    judged.cases.clear();
                    judged.firmer_needs.clear();
                }
                // Where the same fault is only likely, it still accounts for what is seen there.
                covers.add(&case, marks);
                if judged.standing == Some(standing) {
                    extend_new(&mut judged.firmer_needs, needs);
                    judged.cases.push((case, references));
                }
            }
            Stand::Open(references, needs) => {
                let (all, wanted, _) = judged.open.get_or_insert_default();
                extend_new(all, references);
                extend_new(wanted, needs);
                could.add(&case, marks);
            }
            Stand::Out(references) => extend_new(&mut judged.against, references),
        }
    }
    judged.covers = covers.marks;
    if let Some((_, _, marks)) = &mut judged.open {
        *marks = could.marks;
    }
    judged
}

/// What only vantages say whose control was not heard of is never certain.
fn most_known(case: &Case, not_vouched_for: &BTreeSet<&VantageName>) -> Standing {
    let mut paths = case.explains.paths.iter().peekable();
    let is_doubted = !not_vouched_for.is_empty()
        && paths.peek().is_some()
        && paths.all(|it| not_vouched_for.contains(&it.vantage));
    if is_doubted { Standing::Likely } else { Standing::Confirmed }
}

enum Stand {
    /// With what would make it firmer.
    There(Standing, Vec<EvidenceRef>, Vec<Need>),
    Open(Vec<EvidenceRef>, Vec<Need>),
    Out(Vec<EvidenceRef>),
}

fn stand(basis: Basis, case: &Case) -> Stand {
    let references = match &case.must {
        Claim::Fails(against) => return Stand::Out(against.clone()),
        Claim::Unknown { .. } if matches!(case.firmer, Claim::Fails(_)) => Vec::new(),
        Claim::Unknown { seen, needs } => {
            let mut needs = needs.clone();
            if let Claim::Unknown { needs: more, .. } = &case.firmer {
                extend_new(&mut needs, more.clone());
            }
            return Stand::Open(seen.clone(), needs);
        }
        Claim::Holds(references) => references.clone(),
    };
    let at_most = if basis == Basis::Inferred { Standing::Likely } else { case.at_most };
    match &case.firmer {
        Claim::Fails(against) => Stand::Out(against.clone()),
        Claim::Unknown { needs, .. } => Stand::There(Standing::Likely, references, needs.clone()),
        Claim::Holds(more) => {
            let mut references = references;
            extend_new(&mut references, more.clone());
            Stand::There(at_most, references, Vec::new())
        }
    }
}

/// Collects the marks that cases explain.
#[derive(Default)]
struct Covers {
    marks: BTreeSet<usize>,
    /// Added last: with many paths that meet the same end, each path's case explains the same marks.
    last: Option<Explains>,
}

impl Covers {
    fn add(&mut self, case: &Case, marks: &Marks) {
        let explains = &case.explains;
        if self.last.as_ref().is_some_and(|it| it.is_same(explains)) {
            return;
        }
        let mut note = |place: usize| {
            if explains.covers(&marks.all[place]) {
                self.marks.insert(place);
            }
        };
        if explains.paths.is_empty() {
            (0..marks.all.len()).for_each(&mut note);
        }
        for path in explains.paths.iter() {
            marks.places(path).iter().copied().for_each(&mut note);
            for alike in marks.alike(path) {
                marks.places(alike).iter().copied().for_each(&mut note);
            }
        }
        self.last = Some(explains.clone());
    }
}

fn extend_new<T: PartialEq>(list: &mut Vec<T>, more: Vec<T>) {
    for it in more {
        if list.len() < EVIDENCE_MAX && !list.contains(&it) {
            list.push(it);
        }
    }
}

impl Judged {
    fn is_warning(&self) -> bool {
        self.severity == Severity::Warning
    }

    /// Where a client meets it: the role of the endpoint, then the layer.
    fn rank(&self) -> (Role, Layer) {
        let role = self.cases.iter().map(|(case, _)| case.role).min().unwrap_or(Role::Control);
        (role, self.layer)
    }

    fn ruled_out(&self) -> Option<RuledOut> {
        let is_out = self.applies
            && self.standing.is_none()
            && self.open.is_none()
            && !self.against.is_empty();
        is_out.then(|| RuledOut { fault: self.id, by: self.against.clone() })
    }
}

fn findings(seen: &Seen<'_>, judged: &[Judged], marks: &Marks) -> Vec<Finding> {
    judged
        .iter()
        .filter_map(|it| {
            let standing = it.standing?;
            let mut evidence = Vec::new();
            for (_, references) in &it.cases {
                extend_new(&mut evidence, references.clone());
            }
            let mut explains: Vec<PathId> =
                it.covers.iter().map(|index| marks.all[*index].path.clone()).collect();
            explains.sort();
            explains.dedup();
            Some(Finding {
                fault: it.id,
                standing,
                latent: false,
                explains,
                evidence,
                needs: it.firmer_needs.clone(),
                places: places(seen, it),
            })
        })
        .collect()
}

fn places(seen: &Seen<'_>, judged: &Judged) -> BTreeMap<TextPlace, String> {
    let mut places = judged.cases.first().map(|(case, _)| case.places.clone()).unwrap_or_default();
    if let Some(external) =
        seen.evidence.target.endpoints.iter().find(|it| it.role == Role::External)
    {
        places.entry(TextPlace::Published).or_insert_with(|| external.host.clone());
    }
    places
}

/// Puts the blocking finding first and marks the others latent.
fn order(findings: &mut [Finding], judged: &[Judged], marks: &Marks) {
    let of = |finding: &Finding| judged.iter().find(|it| it.id == finding.fault);
    let chosen = smallest_explanation(judged, marks);
    findings.sort_by_key(|finding| {
        let judged = of(finding);
        (
            judged.map(|it| it.severity),
            !chosen.contains(&finding.fault),
            std::cmp::Reverse(finding.standing),
            judged.map(Judged::rank),
            finding.fault,
        )
    });
    for (place, finding) in findings.iter_mut().enumerate() {
        // Where something fails and this does not explain it, it is true, and beside the point.
        let is_beside = finding.explains.is_empty() && !marks.all.is_empty();
        finding.latent = place > 0 || is_beside || of(finding).is_some_and(Judged::is_warning);
    }
}

/// The smallest set of confirmed faults that explains as many marks as confirmed faults can; likely ones where no
/// confirmed one explains anything. Of equal sets the one that a client meets first.
fn smallest_explanation(judged: &[Judged], marks: &Marks) -> BTreeSet<FaultId> {
    let with = |standing| {
        let mut found: Vec<&Judged> =
            judged.iter().filter(|it| it.standing == Some(standing) && !it.is_warning()).collect();
        found.sort_by_key(|it| (it.rank(), it.id));
        found
    };
    for standing in [Standing::Confirmed, Standing::Likely] {
        let candidates = with(standing);
        if !candidates.is_empty()
            && (marks.all.is_empty() || candidates.iter().any(|it| !it.covers.is_empty()))
        {
            return smallest_cover(&candidates);
        }
    }
    let rest = with(Standing::Confirmed);
    rest.first().map(|it| it.id).into_iter().collect()
}

/// The catalogue has few enough faults at one standing for trying every subset of those that explain something.
fn smallest_cover(candidates: &[&Judged]) -> BTreeSet<FaultId> {
    const TRIED_MAX: usize = 12;
    let useful: Vec<&&Judged> =
        candidates.iter().filter(|it| !it.covers.is_empty()).take(TRIED_MAX).collect();
    if useful.is_empty() {
        return candidates.first().map(|it| it.id).into_iter().collect();
    }
    let needed = signatures(&useful);
    let members = |bits: u32| {
        useful
            .iter()
            .enumerate()
            .filter(move |(index, _)| bits & (1 << index) != 0)
            .map(|(_, it)| **it)
    };
    let best = (1u32..(1 << useful.len()))
        .filter(|bits| needed.iter().all(|it| it & bits != 0))
        .min_by_key(|bits| {
            (bits.count_ones(), members(*bits).map(|it| (it.rank(), it.id)).collect::<Vec<_>>())
        });
    best.map(|bits| members(bits).map(|it| it.id).collect()).unwrap_or_default()
}

/// Which of the faults cover a mark, for every mark that some cover: one bit a fault, each combination once.
fn signatures(faults: &[&&Judged]) -> BTreeSet<u32> {
    let mut by_mark: BTreeMap<usize, u32> = BTreeMap::new();
    for (index, fault) in faults.iter().enumerate() {
        for mark in &fault.covers {
            *by_mark.entry(*mark).or_default() |= 1 << index;
        }
    }
    by_mark.into_values().collect()
}

/// Faults that are open and matter: they could explain a failing path that no finding explains, or something already
/// speaks for them and a logon would tell, or only a likely finding explains the path and somebody has to look elsewhere.
fn open_faults(judged: &[Judged], marks: &Marks, findings: &[Finding]) -> Vec<OpenFault> {
    let explained_by_any = explained(judged, findings);
    let is_left = |index: &usize| !explained_by_any.contains(index);
    let firm: Vec<Finding> =
        findings.iter().filter(|it| it.standing == Standing::Confirmed).cloned().collect();
    let explained_firmly = explained(judged, &firm);
    let mut open: Vec<(bool, &Judged, OpenFault)> = judged
        .iter()
        .filter(|it| it.standing.is_none())
        .filter_map(|it| {
            let (evidence, needs, could) = it.open.as_ref()?;
            let explains_something = could.iter().any(is_left) && !marks.all.is_empty();
            let is_promising = !evidence.is_empty() && needs.iter().any(|need| need.logons() > 0);
            // What is only likely leaves its rivals open, where somebody has to look on a server to tell them apart.
            let is_rival = !evidence.is_empty()
                && is_for_people(needs)
                && could.iter().any(|index| !explained_firmly.contains(index));
            let fault =
                OpenFault { fault: it.id, evidence: evidence.clone(), needs: needs.clone() };
            let is_open = explains_something || is_promising || is_rival;
            is_open.then_some((explains_something, it, fault))
        })
        .collect();
    open.sort_by_key(|(explains, judged, fault)| {
        (!explains, std::cmp::Reverse(fault.evidence.len()), judged.layer, fault.fault)
    });
    open.into_iter().map(|(_, _, fault)| fault).collect()
}

/// Nothing that we could ask would help.
fn is_for_people(needs: &[Need]) -> bool {
    !needs.is_empty()
        && needs.iter().all(|it| matches!(it, Need::OnTheServer { .. } | Need::Declared { .. }))
}

fn explained(judged: &[Judged], findings: &[Finding]) -> BTreeSet<usize> {
    judged
        .iter()
        .filter(|it| findings.iter().any(|finding| finding.fault == it.id))
        .flat_map(|it| it.covers.iter().copied())
        .collect()
}

fn unexplained(judged: &[Judged], findings: &[Finding], marks: &Marks) -> Vec<Unexplained> {
    let explained = explained(judged, findings);
    let mut left: BTreeMap<PathId, Vec<EvidenceRef>> = BTreeMap::new();
    for (index, mark) in marks.all.iter().enumerate() {
        if !explained.contains(&index) {
            left.entry(mark.path.clone()).or_default().push(mark.reference.clone());
        }
    }
    left.into_iter().map(|(path, evidence)| Unexplained { path, evidence }).collect()
}

fn verdict(seen: &Seen<'_>, findings: &[Finding], open: &[OpenFault], marks: &Marks) -> Verdict {
    if let Some(first) = findings.first().filter(|it| !it.latent) {
        return Verdict::Fault { fault: first.fault, standing: first.standing };
    }
    let is_green = marks.all.is_empty() && open.is_empty() && is_proven_healthy(seen, marks);
    if is_green { Verdict::Healthy } else { Verdict::Undetermined }
}

/// No path fails, none is hidden from us, and a subject account was accepted on each published endpoint from the
/// outermost vantage.
fn is_proven_healthy(seen: &Seen<'_>, marks: &Marks) -> bool {
    let is_hidden = |spot: &Spot<'_>| {
        spot.endpoint.role != Role::Control
            && spot.is_seen()
            && condition::condition(seen, spot, marks) == PathCondition::Unknown
    };
    let mut published =
        seen.evidence.target.endpoints.iter().filter(|it| it.role == Role::External).peekable();
    published.peek().is_some()
        && !seen.every().into_iter().any(is_hidden)
        && published.all(|endpoint| {
            seen.with_role(Role::External)
                .filter(|spot| {
                    spot.endpoint.name == endpoint.name
                        && Some(spot.vantage.zone) == seen.outermost_zone(endpoint)
                })
                .any(|spot| is_subject_accepted(seen, spot))
        })
}

fn is_subject_accepted(seen: &Seen<'_>, spot: &Spot<'_>) -> bool {
    seen.accounts(Purpose::Subject).any(|account| {
        spot.logons(&account.id).iter().any(|met| {
            logon_of(met.exchange).is_some_and(|(_, _, place)| place == Place::ActiveSync)
                && met.answer().is_some_and(logon::is_active_sync)
        })
    })
}

/// What is missing for calling it healthy, and who would have to look where an open fault needs it.
fn gaps(seen: &Seen<'_>, findings: &[Finding], open: &[OpenFault]) -> Vec<Need> {
    // What explains no failure is no reason to leave health unasked.
    let is_clear = findings.iter().all(|it| it.latent || it.explains.is_empty());
    let mut gaps: Vec<Need> = if is_clear { health_gaps(seen) } else { Vec::new() };
    for need in open
        .iter()
        .flat_map(|it| &it.needs)
        .filter(|it| matches!(it, Need::Vantage { .. } | Need::Witness))
    {
        extend_new(&mut gaps, vec![need.clone()]);
    }
    if is_clear && is_trust_missing(seen) {
        extend_new(&mut gaps, vec![Need::Declared { what: TRUST_MISSING }]);
    }
    gaps
}

/// There is a password, and no front that answers may be given it, because of its certificate.
fn is_trust_missing(seen: &Seen<'_>) -> bool {
    let mut answering = seen
        .fronts()
        .filter(|spot| spot.endpoint.is_https && claims::is_answering(spot))
        .peekable();
    seen.evidence.accounts.iter().any(|it| it.has_password)
        && answering.peek().is_some()
        && !answering.any(claims::may_carry_a_secret)
}

/// What keeps an all-green picture from being called healthy.
fn health_gaps(seen: &Seen<'_>) -> Vec<Need> {
    let mut gaps: Vec<Need> = Vec::new();
    for endpoint in seen.evidence.target.endpoints.iter().filter(|it| it.role == Role::External) {
        let outermost = seen.outermost_zone(endpoint);
        if outermost.is_none_or(|it| it > Zone::Dmz) {
            extend_new(&mut gaps, vec![Need::Vantage { zone: Zone::External }]);
        }
        let spots: Vec<&Spot<'_>> = seen
            .with_role(Role::External)
            .filter(|spot| {
                spot.endpoint.name == endpoint.name && Some(spot.vantage.zone) == outermost
            })
            .collect();
        if spots.iter().any(|spot| is_subject_accepted(seen, spot)) {
            continue;
        }
        let Some(answering) = spots.iter().find(|spot| claims::is_answering(spot)) else {
            if let Some(zone) = outermost.filter(|_| !spots.iter().any(|it| it.is_seen())) {
                extend_new(&mut gaps, vec![Need::Vantage { zone }]);
            }
            continue;
        };
        let subject = seen.accounts(Purpose::Subject).find(|it| it.has_password);
        let need = match subject.and_then(|account| Some((account, account.first_name()?))) {
            Some((account, name)) => {
                let look = Look::logon(account.id.clone(), name.form, Place::ActiveSync);
                Need::Logon { path: answering.path.clone(), look }
            }
            None => Need::Subject,
        };
        extend_new(&mut gaps, vec![need]);
    }
    gaps
}
