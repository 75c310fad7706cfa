//! Header fields for evidence that was written in the notation.

use parallax_model::{Evidence, Look, Outcome, Report};

/// Adds fields to every answer that a vantage got to such a look.
pub(super) fn with_fields(
    evidence: &mut Evidence,
    vantage: &str,
    is_such: impl Fn(&Look) -> bool,
    fields: &[(&str, &str)],
) {
    let reports = evidence.rounds.iter_mut().flat_map(|it| &mut it.reports);
    for report in reports.filter(|it| it.path.vantage.to_string() == vantage) {
        let Report::Seen(sight) = &mut report.report else { continue };
        let exchanges = sight.observations.iter_mut().flat_map(|it| &mut it.exchanges);
        for exchange in exchanges.filter(|it| is_such(&it.look)) {
            let Outcome::Done(answer) = &mut exchange.outcome else { continue };
            let added =
                fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            answer.headers.0.extend(added);
            answer.challenges = answer.headers.challenges();
        }
    }
}
