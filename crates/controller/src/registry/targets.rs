//! What may be done with targets.

use std::collections::BTreeSet;

use parallax_model::{AccountId, Target, TargetId};
use parallax_store::{Page, StoreError};
use parallax_wire::{check_target, pb, target_name};

use super::{Registry, Violations, page_request, read_id, request_key};
use crate::permissions::Principal;
use crate::reasons::Refusal;

/// Fields of a target that an update may name.
const FIELDS: [&str; 5] = ["display_name", "generation", "endpoints", "accounts", "events"];

impl Registry {
    pub(crate) async fn create_target(
        &self,
        principal: &Principal,
        request: pb::CreateTargetRequest,
    ) -> Result<pb::Target, Refusal> {
        let mut violations = Violations::default();
        let key =
            request_key(principal, "CreateTarget", &request.request_id, &request, &mut violations);
        let id = match TargetId::new(request.target_id.as_str()) {
            Ok(id) => Some(id),
            Err(error) => {
                violations.add("target_id", error.to_string());
                None
            }
        };
        let mut target = request.target.unwrap_or_default();
        // The mistake in the id was told under its own field.
        target.name = id.as_ref().map_or_else(|| "targets/unnamed".to_owned(), target_name);
        let checked = self.check(&target, &mut violations).await?;
        violations.into_result()?;
        let (Some(id), Some(checked)) = (id, checked) else {
            return Err(Refusal::field("target", "is required"));
        };
        let target = pb::Target::from(&checked);
        if request.validate_only {
            return match self.store.target(&id).await {
                Ok(_) => Err(Refusal::already_exists("parallax/Target", target.name)),
                Err(StoreError::NotFound { .. }) => Ok(target),
                Err(error) => Err(error.into()),
            };
        }
        Ok(self.store.create_target(&id, target, key.as_ref()).await?.into_inner())
    }

    pub(crate) async fn target(&self, name: &str) -> Result<pb::Target, Refusal> {
        let id = read_id(name, "name", "targets", TargetId::new)?;
        Ok(self.store.target(&id).await?)
    }

    pub(crate) async fn targets(
        &self,
        request: pb::ListTargetsRequest,
    ) -> Result<Page<pb::Target>, Refusal> {
        let page = page_request(request.page_size, request.page_token)?;
        Ok(self.store.list_targets(&page).await?)
    }

    pub(crate) async fn update_target(
        &self,
        principal: &Principal,
        request: pb::UpdateTargetRequest,
    ) -> Result<pb::Target, Refusal> {
        let mut violations = Violations::default();
        let key =
            request_key(principal, "UpdateTarget", &request.request_id, &request, &mut violations);
        let given = request.target.unwrap_or_default();
        let id = read_id(&given.name, "target.name", "targets", TargetId::new)?;
        let current = match self.store.target(&id).await {
            Ok(current) => Some(current),
            Err(StoreError::NotFound { .. }) if request.allow_missing => None,
            Err(error) => return Err(error.into()),
        };
        let paths = request.update_mask.map(|it| it.paths).unwrap_or_default();
        let etag = Some(given.etag.clone()).filter(|it| !it.is_empty());
        let merged = match &current {
            Some(current) => merge(current, &given, &paths, &mut violations),
            None => given,
        };
        let checked = self.check(&merged, &mut violations).await?;
        violations.into_result()?;
        let Some(checked) = checked else { return Err(Refusal::field("target", "is required")) };
        let target = pb::Target::from(&checked);
        if request.validate_only {
            return match (&etag, &current) {
                (Some(etag), Some(current)) if *etag != current.etag => {
                    Err(Refusal::etag_mismatch("parallax/Target", target.name))
                }
                (Some(_) | None, Some(_) | None) => Ok(target),
            };
        }
        // What was merged was merged with this version and no other.
        let based_on = etag.or_else(|| current.map(|it| it.etag));
        let updated = self
            .store
            .update_target(&id, target, based_on.as_deref(), request.allow_missing, key.as_ref())
            .await?;
        Ok(updated.into_inner())
    }

    pub(crate) async fn delete_target(
        &self,
        request: pb::DeleteTargetRequest,
    ) -> Result<(), Refusal> {
        let id = read_id(&request.name, "name", "targets", TargetId::new)?;
        let etag = Some(request.etag).filter(|it| !it.is_empty());
        if request.validate_only {
            let current = self.store.target(&id).await?;
            return match etag {
                Some(etag) if etag != current.etag => {
                    Err(Refusal::etag_mismatch("parallax/Target", current.name))
                }
                Some(_) | None => Ok(()),
            };
        }
        Ok(self.store.delete_target(&id, etag.as_deref()).await?)
    }

    /// The target, if it is right and its accounts exist; all its mistakes otherwise.
    async fn check(
        &self,
        target: &pb::Target,
        violations: &mut Violations,
    ) -> Result<Option<Target>, Refusal> {
        let checked = check_target(target).map_err(|inner| violations.within("target", inner)).ok();
        let mut missing = BTreeSet::new();
        for (at, used) in target.accounts.iter().enumerate() {
            let id = used.account.strip_prefix("accounts/").and_then(|it| AccountId::new(it).ok());
            // A malformed name was told already.
            let Some(id) = id else { continue };
            match self.store.account(&id).await {
                Ok(_) => {}
                Err(StoreError::NotFound { .. }) => {
                    missing.insert(at);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for at in missing {
            let account = &target.accounts[at].account;
            violations.add(
                format!("target.accounts[{at}].account"),
                format!("`{account}` does not exist; register it first"),
            );
        }
        Ok(checked)
    }
}

/// AIP-134: no mask means every field that is set, `*` means all.
fn merge(
    current: &pb::Target,
    given: &pb::Target,
    paths: &[String],
    violations: &mut Violations,
) -> pb::Target {
    let mut merged = current.clone();
    let all = paths.iter().any(|it| it == "*");
    if all && paths.len() > 1 {
        violations.add("update_mask", "`*` stands alone");
    }
    for (at, path) in paths.iter().enumerate() {
        if path != "*" && !FIELDS.contains(&path.as_str()) {
            let fields = FIELDS.join(", ");
            violations.add(
                format!("update_mask.paths[{at}]"),
                format!("`{path}` cannot be changed; use {fields}, or `*`"),
            );
        }
    }
    let takes = |field: &str, is_set: bool| {
        all || if paths.is_empty() { is_set } else { paths.iter().any(|it| it == field) }
    };
    if takes("display_name", !given.display_name.is_empty()) {
        merged.display_name.clone_from(&given.display_name);
    }
    if takes("generation", given.generation != 0) {
        merged.generation = given.generation;
    }
    if takes("endpoints", !given.endpoints.is_empty()) {
        merged.endpoints.clone_from(&given.endpoints);
    }
    if takes("accounts", !given.accounts.is_empty()) {
        merged.accounts.clone_from(&given.accounts);
    }
    if takes("events", !given.events.is_empty()) {
        merged.events.clone_from(&given.events);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(display_name: &str, generation: i32) -> pb::Target {
        pb::Target { display_name: display_name.to_owned(), generation, ..pb::Target::default() }
    }

    #[track_caller]
    fn merged(paths: &[&str]) -> (String, i32, usize) {
        let mut violations = Violations::default();
        let paths: Vec<String> = paths.iter().map(|it| (*it).to_owned()).collect();
        let merged = merge(&target("old", 3), &target("new", 0), &paths, &mut violations);
        (merged.display_name, merged.generation, violations.0.len())
    }

    #[test]
    fn the_mask_says_what_changes() {
        assert_eq!(merged(&[]), ("new".to_owned(), 3, 0), "what is set");
        assert_eq!(merged(&["*"]), ("new".to_owned(), 0, 0), "everything");
        assert_eq!(merged(&["generation"]), ("old".to_owned(), 0, 0), "what is named, set or not");
        assert_eq!(
            merged(&["name", "endpoints[0].url"]).2,
            2,
            "what cannot be changed is a mistake"
        );
        assert_eq!(merged(&["*", "generation"]).2, 1);
    }
}
