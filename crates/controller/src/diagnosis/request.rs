//! A request for a diagnosis, checked: what is asked, in which language, for how long.
//!
//! Absent on purpose: whether it can run now; `mod` looks at fleet and budget.
//!
//! INVARIANT: all wrong fields are told at once.

use std::time::Duration;

use parallax_faults::Language;
use parallax_model::{DiagnosisId, TargetId};
use parallax_store::RequestKey;
use parallax_wire::{decode_duration, pb};
use prost::Message;

use crate::permissions::Principal;
use crate::reasons::Refusal;
use crate::registry::{Violations, request_key};

/// How long a diagnosis may take if nothing is said.
const TIME_DEFAULT: Duration = Duration::from_mins(5);
const TIME_MIN: Duration = Duration::from_secs(10);
const TIME_MAX: Duration = Duration::from_mins(15);

/// What is asked.
#[derive(Debug)]
pub(super) struct Ask {
    pub id: DiagnosisId,
    pub target: TargetId,
    pub language: Language,
    pub time: Duration,
    pub anonymous_only: bool,
    pub key: Option<RequestKey>,
}

impl Ask {
    pub(super) fn read(
        principal: &Principal,
        method: &'static str,
        request: &impl Message,
        diagnosis: Option<&pb::Diagnosis>,
        diagnosis_id: &str,
        request_id: &str,
    ) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let key = request_key(principal, method, request_id, request, &mut violations);
        let empty = pb::Diagnosis::default();
        let asked = diagnosis.unwrap_or(&empty);
        let target = read_target(&asked.target, &mut violations);
        let id = if diagnosis_id.is_empty() {
            DiagnosisId::new(uuid::Uuid::now_v7().to_string())
        } else {
            DiagnosisId::new(diagnosis_id)
        };
        let id = id.map_err(|error| violations.add("diagnosis_id", error.to_string())).ok();
        let language =
            Language::from_tag(if asked.language.is_empty() { "en" } else { &asked.language });
        if language.is_none() {
            let text = format!("`{}` is not a language of the texts; use en or ja", asked.language);
            violations.add("diagnosis.language", text);
        }
        let time = read_time(asked.time_limit, &mut violations);
        violations.into_result()?;
        match (id, target, language) {
            (Some(id), Some(target), Some(language)) => {
                Ok(Self { id, target, language, time, anonymous_only: asked.anonymous_only, key })
            }
            _ => Err(Refusal::field("diagnosis", "is required")),
        }
    }
}

fn read_target(name: &str, violations: &mut Violations) -> Option<TargetId> {
    let field = "diagnosis.target";
    if name.is_empty() {
        violations.add(field, "is required, as `targets/{id}`");
        return None;
    }
    let Some(id) = name.strip_prefix("targets/") else {
        violations.add(field, format!("`{name}` is not `targets/{{id}}`"));
        return None;
    };
    TargetId::new(id).map_err(|error| violations.add(field, error.to_string())).ok()
}

fn read_time(limit: Option<pbjson_types::Duration>, violations: &mut Violations) -> Duration {
    if limit.is_none() {
        return TIME_DEFAULT;
    }
    match decode_duration(limit, "") {
        Ok(time) if (TIME_MIN..=TIME_MAX).contains(&time) => time,
        Ok(_) | Err(_) => {
            violations.add("diagnosis.time_limit", "is out of range; give 10s to 900s");
            TIME_DEFAULT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(diagnosis: pb::Diagnosis, id: &str, request_id: &str) -> Vec<String> {
        let request = pb::CreateDiagnosisRequest::default();
        let principal = Principal::token_holder();
        match Ask::read(&principal, "CreateDiagnosis", &request, Some(&diagnosis), id, request_id) {
            Ok(_) => Vec::new(),
            Err(refusal) => refusal.violations().iter().map(|it| it.field.clone()).collect(),
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let wrong = pb::Diagnosis {
            target: "shop".to_owned(),
            language: "fr".to_owned(),
            time_limit: Some(pbjson_types::Duration { seconds: 5, nanos: 0 }),
            ..pb::Diagnosis::default()
        };
        assert_eq!(
            fields(wrong, "Not An Id", "7"),
            [
                "request_id",
                "diagnosis.target",
                "diagnosis_id",
                "diagnosis.language",
                "diagnosis.time_limit"
            ]
        );
        let right = pb::Diagnosis { target: "targets/shop".to_owned(), ..pb::Diagnosis::default() };
        assert!(fields(right, "", "").is_empty());
    }
}
