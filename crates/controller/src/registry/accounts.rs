//! What may be done with accounts, and what is shown of their budgets.
//!
//! INVARIANT: a secret goes from the request into [`Secret`] and from there into the store; no answer holds one.

use parallax_auth::Secret;
use parallax_model::{Account, AccountId};
use parallax_store::{Budget, NewAccount, Page, PageRequest, StoreError};
use parallax_wire::{account_name, check_account, encode_time, pb};
use tracing::warn;

use super::{Registry, Violations, page_request, read_id, request_key};
use crate::permissions::Principal;
use crate::reasons::{Reason, Refusal, chain};

/// Longest reason of a release, in characters.
const REASON_MAX: usize = 500;
/// Rows read at once when looking for the targets of an account.
const TARGETS_AT_ONCE: u32 = 1000;

impl Registry {
    pub(crate) async fn create_account(
        &self,
        principal: &Principal,
        mut request: pb::CreateAccountRequest,
    ) -> Result<pb::Account, Refusal> {
        let mut violations = Violations::default();
        let key =
            request_key(principal, "CreateAccount", &request.request_id, &request, &mut violations);
        let id = AccountId::new(request.account_id.as_str())
            .map_err(|error| violations.add("account_id", error.to_string()))
            .ok();
        let mut message = request.account.take().unwrap_or_default();
        // The mistake in the id was told under its own field.
        message.name = id.as_ref().map_or_else(|| "accounts/unnamed".to_owned(), account_name);
        let checked =
            check_account(&message).map_err(|inner| violations.within("account", inner)).ok();
        let secret = match std::mem::take(&mut message.secret) {
            text if text.is_empty() => None,
            text => match Secret::new(text) {
                Ok(secret) => Some(secret),
                Err(error) => {
                    // Its form was told by the check already; this adds what only `auth` knows.
                    if !violations.names("account.secret") {
                        violations.add("account.secret", error.to_string());
                    }
                    None
                }
            },
        };
        violations.into_result()?;
        let (Some(id), Some(account)) = (id, checked) else {
            return Err(Refusal::field("account", "is required"));
        };
        let body =
            pb::Account { warnings: warnings(secret.as_ref()), ..pb::Account::from(&account) };
        if request.validate_only {
            return match self.store.account(&id).await {
                Ok(_) => Err(Refusal::already_exists("parallax/Account", body.name)),
                Err(StoreError::NotFound { .. }) => Ok(body),
                Err(error) => Err(error.into()),
            };
        }
        let new = NewAccount { account, body, secret, principal: principal.name.clone() };
        let created = self.store.create_account(new, key.as_ref()).await?.into_inner();
        Ok(self.with_budget(created).await)
    }

    pub(crate) async fn account(&self, name: &str) -> Result<pb::Account, Refusal> {
        let id = read_id(name, "name", "accounts", AccountId::new)?;
        Ok(self.with_budget(self.store.account(&id).await?).await)
    }

    pub(crate) async fn accounts(
        &self,
        request: pb::ListAccountsRequest,
    ) -> Result<Page<pb::Account>, Refusal> {
        let page = page_request(request.page_size, request.page_token)?;
        let Page { items, next_token } = self.store.list_accounts(&page).await?;
        let mut accounts = Vec::with_capacity(items.len());
        for account in items {
            accounts.push(self.with_budget(account).await);
        }
        Ok(Page { items: accounts, next_token })
    }

    pub(crate) async fn rotate_account(
        &self,
        principal: &Principal,
        mut request: pb::RotateAccountRequest,
    ) -> Result<pb::Account, Refusal> {
        let mut violations = Violations::default();
        let key =
            request_key(principal, "RotateAccount", &request.request_id, &request, &mut violations);
        let secret = Secret::new(std::mem::take(&mut request.secret))
            .map_err(|error| violations.add("secret", error.to_string()))
            .ok();
        let id = read_id(&request.name, "name", "accounts", AccountId::new)?;
        violations.into_result()?;
        let Some(secret) = secret else { return Err(Refusal::field("secret", "is required")) };
        let rotated =
            self.store.rotate_account(&id, &secret, &principal.name, key.as_ref()).await?;
        let account = pb::Account { warnings: warnings(Some(&secret)), ..rotated.into_inner() };
        Ok(self.with_budget(account).await)
    }

    pub(crate) async fn release_account(
        &self,
        principal: &Principal,
        request: pb::ReleaseAccountRequest,
    ) -> Result<pb::Account, Refusal> {
        let id = read_id(&request.name, "name", "accounts", AccountId::new)?;
        let reason = request.reason.trim();
        let is_long = reason.chars().count() > REASON_MAX;
        if reason.is_empty() || is_long || reason.chars().any(char::is_control) {
            let text = format!(
                "is required: what somebody looked at, 1 to {REASON_MAX} characters without control characters"
            );
            return Err(Refusal::field("reason", text));
        }
        self.store.release(&id, &principal.name, reason).await?;
        self.account(&request.name).await
    }

    /// Refused while targets use it; all of them are named.
    pub(crate) async fn delete_account(
        &self,
        principal: &Principal,
        name: &str,
    ) -> Result<(), Refusal> {
        let id = read_id(name, "name", "accounts", AccountId::new)?;
        let users = self.targets_using(name).await?;
        if !users.is_empty() {
            let users = users.join(", ");
            let message = format!("`{name}` is used by {users}; take it out there first");
            return Err(Refusal::new(Reason::AccountInUse, message)
                .unless(name, format!("used by {users}"))
                .with("targets", users));
        }
        Ok(self.store.delete_account(&id, &principal.name).await?)
    }

    async fn targets_using(&self, account: &str) -> Result<Vec<String>, Refusal> {
        let mut users = Vec::new();
        let mut page = PageRequest { size: TARGETS_AT_ONCE, token: String::new() };
        loop {
            let Page { items, next_token } = self.store.list_targets(&page).await?;
            let using =
                items.into_iter().filter(|it| it.accounts.iter().any(|it| it.account == account));
            users.extend(using.map(|it| it.name));
            if next_token.is_empty() {
                return Ok(users);
            }
            page.token = next_token;
        }
    }

    /// Adds what the ledger says. An account whose budget cannot be read is shown without.
    async fn with_budget(&self, mut account: pb::Account) -> pb::Account {
        let Ok(id) = read_id(&account.name, "name", "accounts", AccountId::new) else {
            return account;
        };
        match self.store.budget(&id).await {
            Ok(budget) => account.budget = Some(encode_budget(&budget)),
            Err(error) => warn!(error = chain(&error), account = %id, "cannot read a budget"),
        }
        account
    }
}

/// An account as the rest of the controller takes it.
pub(crate) fn decode_account(message: &pb::Account) -> Result<Account, Refusal> {
    Account::try_from(message).map_err(|error| {
        tracing::error!(
            error = chain(&error),
            account = message.name,
            "a stored account cannot be read"
        );
        Refusal::new(Reason::Unreadable, "what is stored cannot be used; see the controller's log")
    })
}

fn warnings(secret: Option<&Secret>) -> Vec<String> {
    match secret {
        Some(secret) if secret.is_short() => {
            vec![
                "the secret has fewer than 12 characters; a longer one is harder to guess"
                    .to_owned(),
            ]
        }
        Some(_) => Vec::new(),
        None => vec!["no secret is held; nothing is asked with this account".to_owned()],
    }
}

fn encode_budget(budget: &Budget) -> pb::Budget {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let breaker_reason = budget.breaker.as_ref().map(|it| {
        format!(
            "the secret was refused without proof that it is good, in diagnosis {}",
            it.diagnosis
        )
    });
    pb::Budget {
        limit: count(budget.limit),
        charged: count(budget.charged),
        reserved: count(budget.reserved),
        quiet_time: budget.quiet_at.map(encode_time),
        breaker_open: budget.breaker.is_some(),
        breaker_reason: breaker_reason.unwrap_or_default(),
        frozen_until_time: budget.frozen.as_ref().map(|it| encode_time(it.until)),
        freeze_reason: budget.frozen.as_ref().map(|it| it.reason.clone()).unwrap_or_default(),
    }
}
