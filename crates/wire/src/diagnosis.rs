//! The engine's answer as the fields of `parallax.v1.Diagnosis`.
//!
//! Absent on purpose: sentences for people (`title`, `text`, `owner` stay empty; the controller fills them from the
//! catalogue) and reading it back: a fault's id comes from the catalogue only.

use parallax_model::{
    AccountId, Cell, Diagnosis, EvidenceRef, ExcludedVantage, FaultId, Finding, FirstDifference,
    Kind, Look, MatrixRow, Need, OpenFault, PathCondition, PathId, Recognised, RuledOut, Standing,
    Unexplained, VantageName, Verdict, Zone,
};

use crate::pb::{self, cell, need};
use crate::scalar::{account_name, encode_count, encode_duration};

/// The word for a zone, the same in the API, in files and on the command line.
pub fn zone_word(zone: Zone) -> &'static str {
    match zone {
        Zone::External => "external",
        Zone::Dmz => "dmz",
        Zone::Internal => "internal",
        Zone::Backend => "backend",
    }
}

/// The zone of a word; nothing for any other word.
pub fn read_zone(word: &str) -> Option<Zone> {
    [Zone::External, Zone::Dmz, Zone::Internal, Zone::Backend]
        .into_iter()
        .find(|zone| zone_word(*zone) == word)
}

pub fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Likely => "likely",
        Standing::Confirmed => "confirmed",
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Egress => "egress",
        Kind::Publisher => "publisher",
        Kind::Server => "server",
    }
}

fn condition_word(condition: PathCondition) -> &'static str {
    match condition {
        PathCondition::Works => "works",
        PathCondition::Fails => "fails",
        PathCondition::OutOfReach => "out_of_reach",
        PathCondition::Unknown => "unknown",
    }
}

/// Writes the engine's answer into a diagnosis; every other field stays as it is. A vantage that `zone_of` does not
/// know has an empty zone in the matrix.
pub fn fill_judgement(
    into: &mut pb::Diagnosis,
    judged: &Diagnosis,
    zone_of: impl Fn(&VantageName) -> Option<Zone>,
) {
    into.verdict = Some(judged.verdict.into());
    into.findings = judged.findings.iter().map(Into::into).collect();
    into.ruled_out = judged.ruled_out.iter().map(Into::into).collect();
    into.open = judged.open.iter().map(Into::into).collect();
    into.unexplained = judged.unexplained.iter().map(Into::into).collect();
    into.first_difference = judged.first_difference.as_ref().map(Into::into);
    into.matrix = judged
        .matrix
        .iter()
        .map(|row| pb::MatrixRow {
            zone: zone_of(&row.path.vantage).map(zone_word).unwrap_or_default().to_owned(),
            ..row.into()
        })
        .collect();
    into.notes = judged.notes.iter().map(encode_note).collect();
    into.gaps = judged.gaps.iter().map(Into::into).collect();
    into.excluded = judged.excluded.iter().map(Into::into).collect();
    into.recognised = judged.recognised.iter().map(Into::into).collect();
    let not_visible =
        |fault: &FaultId| pb::NotVisible { fault: fault.to_string(), title: String::new() };
    into.not_visible = judged.not_visible.iter().map(not_visible).collect();
}

impl From<&ExcludedVantage> for pb::ExcludedVantage {
    fn from(excluded: &ExcludedVantage) -> Self {
        Self { vantage: excluded.vantage.to_string(), by: encode_evidence(&excluded.by) }
    }
}

impl From<&Recognised> for pb::Recognised {
    fn from(recognised: &Recognised) -> Self {
        Self {
            path: Some((&recognised.path).into()),
            kind: kind_word(recognised.kind).to_owned(),
            what: recognised.what.clone(),
            by: encode_evidence(&recognised.by),
        }
    }
}

impl From<Verdict> for pb::Verdict {
    fn from(verdict: Verdict) -> Self {
        let (fault, standing) = match verdict {
            Verdict::Fault { fault, standing } => (fault.0, standing_word(standing)),
            Verdict::Healthy => ("healthy", ""),
            Verdict::Undetermined => ("undetermined", ""),
        };
        Self { fault: fault.to_owned(), standing: standing.to_owned(), ..Self::default() }
    }
}

fn encode_evidence(evidence: &[EvidenceRef]) -> Vec<pb::Evidence> {
    evidence.iter().map(Into::into).collect()
}

impl From<&EvidenceRef> for pb::Evidence {
    fn from(evidence: &EvidenceRef) -> Self {
        Self {
            round: encode_count(evidence.round),
            path: evidence.path.as_ref().map(Into::into),
            address: evidence.address.map(|it| it.to_string()).unwrap_or_default(),
            look: evidence.look.as_ref().map(Into::into),
            value: evidence.value.clone(),
        }
    }
}

impl From<&Finding> for pb::Finding {
    fn from(finding: &Finding) -> Self {
        Self {
            fault: finding.fault.to_string(),
            standing: standing_word(finding.standing).to_owned(),
            latent: finding.latent,
            explains: finding.explains.iter().map(Into::into).collect(),
            evidence: encode_evidence(&finding.evidence),
            needs: finding.needs.iter().map(Into::into).collect(),
            places: finding
                .places
                .iter()
                .map(|(place, text)| (place.word().to_owned(), text.clone()))
                .collect(),
            ..Self::default()
        }
    }
}

impl From<&RuledOut> for pb::RuledOutFault {
    fn from(fault: &RuledOut) -> Self {
        Self { fault: fault.fault.to_string(), by: encode_evidence(&fault.by), ..Self::default() }
    }
}

impl From<&OpenFault> for pb::OpenFault {
    fn from(fault: &OpenFault) -> Self {
        Self {
            fault: fault.fault.to_string(),
            evidence: encode_evidence(&fault.evidence),
            needs: fault.needs.iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

impl From<&Unexplained> for pb::UnexplainedPath {
    fn from(unexplained: &Unexplained) -> Self {
        Self {
            path: Some((&unexplained.path).into()),
            evidence: encode_evidence(&unexplained.evidence),
        }
    }
}

fn encode_note((fault, evidence): &(FaultId, Vec<EvidenceRef>)) -> pb::Note {
    pb::Note {
        fault: fault.to_string(),
        evidence: encode_evidence(evidence),
        ..pb::Note::default()
    }
}

impl From<&Need> for pb::Need {
    fn from(need: &Need) -> Self {
        let look_need = |path: &PathId, look: &Look| need::LookNeed {
            path: Some(path.into()),
            look: Some(look.into()),
        };
        let wire = match need {
            Need::Look { path, look } => need::Need::Look(look_need(path, look)),
            Need::Dial { path, address, look } => need::Need::Dial(need::DialNeed {
                path: Some(path.into()),
                address: address.to_string(),
                look: Some(look.into()),
            }),
            Need::Logon { path, look } => need::Need::Logon(look_need(path, look)),
            Need::AskAgain { path, look, after } => need::Need::AskAgain(need::LaterNeed {
                path: Some(path.into()),
                look: Some(look.into()),
                after: Some(encode_duration(*after)),
            }),
            Need::Vantage { zone } => need::Need::VantageZone(zone_word(*zone).to_owned()),
            Need::Witness => need::Need::Witness(need::Missing {}),
            Need::Subject => need::Need::Subject(need::Missing {}),
            Need::Declared { what } => need::Need::Declared((*what).to_owned()),
            Need::OnTheServer { what } => need::Need::OnTheServer((*what).to_owned()),
        };
        Self { text: String::new(), need: Some(wire) }
    }
}

impl From<&FirstDifference> for pb::FirstDifference {
    fn from(difference: &FirstDifference) -> Self {
        let account = |it: &Option<AccountId>| it.as_ref().map(account_name).unwrap_or_default();
        Self {
            left: Some((&difference.left).into()),
            left_account: account(&difference.left_account),
            right: Some((&difference.right).into()),
            right_account: account(&difference.right_account),
            look: difference.look.as_ref().map(Into::into),
            fields: difference
                .fields
                .iter()
                .map(|it| pb::DifferentField {
                    field: it.field.clone(),
                    left: it.left.clone(),
                    right: it.right.clone(),
                })
                .collect(),
            equal: encode_count(difference.equal),
        }
    }
}

/// Without the zone.
impl From<&MatrixRow> for pb::MatrixRow {
    fn from(row: &MatrixRow) -> Self {
        let [dns, tcp, tls, anonymous, logon, active_sync] = &row.cells;
        Self {
            path: Some((&row.path).into()),
            zone: String::new(),
            address: row.address.map(|it| it.to_string()).unwrap_or_default(),
            condition: condition_word(row.condition).to_owned(),
            dns: Some(dns.into()),
            tcp: Some(tcp.into()),
            tls: Some(tls.into()),
            anonymous: Some(anonymous.into()),
            logon: Some(logon.into()),
            active_sync: Some(active_sync.into()),
        }
    }
}

impl From<&Cell> for pb::Cell {
    fn from(cell: &Cell) -> Self {
        let (mark, text) = match cell {
            Cell::Good(text) => (cell::Mark::Good, text.as_str()),
            Cell::Bad(text) => (cell::Mark::Bad, text.as_str()),
            Cell::Plain(text) => (cell::Mark::Plain, text.as_str()),
            Cell::Held(reason) => (cell::Mark::Held, reason.as_str()),
            Cell::NotReached => (cell::Mark::NotReached, ""),
            Cell::NotAsked => (cell::Mark::NotAsked, ""),
            Cell::Silent => (cell::Mark::Silent, ""),
        };
        Self { mark: mark.into(), text: text.to_owned() }
    }
}
