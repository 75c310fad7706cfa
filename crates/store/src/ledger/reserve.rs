//! Reserving: may this logon be offered to an agent at all? The answer is durable before it is given.

use super::commit::{Guard, LedgerWrite};
use super::{Attempt, AttemptId, RESERVED_MAX, ReserveRefused, ReserveRequest};
use crate::account::AccountRow;
use crate::clock::{millis, system_time};
use crate::error::During as _;
use crate::{Store, StoreError};

/// Logons that may reach a back end through one CAS in [`CAS_WINDOW_MS`] .
const CAS_LOGONS_MAX: u32 = 2;
const CAS_WINDOW_MS: i64 = 60_000;

impl Store {
    /// Reserves the cost of one logon, or says why not. On `Err` nothing is reserved, whatever the database did.
    pub async fn reserve(
        &self,
        request: &ReserveRequest,
    ) -> Result<Result<Attempt, ReserveRefused>, StoreError> {
        const OPERATION: &str = "reserve logon";
        self.core.space.check(OPERATION)?;
        self.core.watch(self.reserve_now(request, OPERATION).await)
    }

    async fn reserve_now(
        &self,
        request: &ReserveRequest,
        operation: &'static str,
    ) -> Result<Result<Attempt, ReserveRefused>, StoreError> {
        let mut ledger = self.core.ledger(operation).await?;
        let Some(account) = ledger.account(&request.account).await? else {
            return Ok(Err(ReserveRefused::UnknownAccount));
        };
        let mut guard = ledger.guard(&account.ledger_key).await?;
        if guard.is_quiet(ledger.write.now_ms) {
            ledger.begin_quiet_period(&guard).await?;
            guard = ledger.guard(&account.ledger_key).await?;
        }
        let outcome = match ledger.refusal(request, &account, &guard).await? {
            Some(refused) => Err(refused),
            None => Ok(ledger.insert_reserved(request, &account, &guard).await?),
        };
        // Also when refused: a freeze or a new quiet period stays.
        ledger.commit(&[&account.ledger_key]).await?;
        Ok(outcome)
    }
}

/// `targets/T/endpoints/E`, what an endpoint's breaker is for.
pub(super) fn endpoint_scope(target: &str, endpoint: &str) -> String {
    format!("targets/{target}/endpoints/{endpoint}")
}

impl LedgerWrite<'_> {
    /// Every rule in turn; what somebody can do something about comes first.
    async fn refusal(
        &mut self,
        request: &ReserveRequest,
        account: &AccountRow,
        guard: &Guard,
    ) -> Result<Option<ReserveRefused>, StoreError> {
        let now_ms = self.write.now_ms;
        if account.secret_version == 0 {
            return Ok(Some(ReserveRefused::NoSecret));
        }
        if guard.k == 0 {
            return Ok(Some(ReserveRefused::ThresholdTooLow));
        }
        if request.cost == 0 {
            return Ok(Some(ReserveRefused::NoCost));
        }
        if let Some(frozen) = guard.frozen(now_ms) {
            return Ok(Some(ReserveRefused::Frozen(frozen)));
        }
        if let Some(since_ms) = self.open_breaker_ms(account, "").await? {
            return Ok(Some(ReserveRefused::BreakerOpen { since: system_time(since_ms) }));
        }
        if request.scheduled {
            let scope = endpoint_scope(request.target.as_str(), request.endpoint.as_str());
            if let Some(since_ms) = self.open_breaker_ms(account, &scope).await? {
                let since = system_time(since_ms);
                return Ok(Some(ReserveRefused::EndpointBreakerOpen { since }));
            }
        }
        if let Some(refused) = self.ended_in_diagnosis(request, account).await? {
            return Ok(Some(refused));
        }
        if request.cost > guard.k {
            return Ok(Some(ReserveRefused::CostAboveLimit { cost: request.cost, limit: guard.k }));
        }
        if guard.open_cost > 0 {
            return Ok(Some(ReserveRefused::InFlight));
        }
        if request.cost > guard.left() {
            return Ok(Some(ReserveRefused::OverBudget {
                cost: request.cost,
                left: guard.left(),
                quiet_at: guard.quiet_at_ms().map(system_time),
            }));
        }
        match &request.cas {
            Some(cas) => self.cas_wait(&cas.to_lowercase()).await,
            None => Ok(None),
        }
    }

    /// Since when a breaker of the present secret stands open.
    pub(super) async fn open_breaker_ms(
        &mut self,
        account: &AccountRow,
        scope: &str,
    ) -> Result<Option<i64>, StoreError> {
        let operation = self.write.operation;
        let (since_ms,): (Option<i64>,) = sqlx::query_as(
            "SELECT min(opened_ms) FROM breaker
              WHERE account_key = ? AND secret_version = ? AND scope = ? AND closed_ms IS NULL",
        )
        .bind(&account.ledger_key)
        .bind(account.secret_version)
        .bind(scope)
        .fetch_one(self.write.connection())
        .await
        .during(operation)?;
        Ok(since_ms)
    }

    /// At most one refused logon per account and diagnosis; an unproven one ends them too.
    async fn ended_in_diagnosis(
        &mut self,
        request: &ReserveRequest,
        account: &AccountRow,
    ) -> Result<Option<ReserveRefused>, StoreError> {
        let operation = self.write.operation;
        let (refused, unproven): (bool, bool) = sqlx::query_as(
            "SELECT coalesce(max(outcome = 'refused'), 0), coalesce(max(outcome = 'unproven'), 0)
               FROM attempt WHERE diagnosis = ? AND account_key = ? AND state = 'charged'",
        )
        .bind(request.diagnosis.as_str())
        .bind(&account.ledger_key)
        .fetch_one(self.write.connection())
        .await
        .during(operation)?;
        Ok(match (refused, unproven) {
            (true, _) => Some(ReserveRefused::RefusedInDiagnosis),
            (false, true) => Some(ReserveRefused::UnprovenInDiagnosis),
            (false, false) => None,
        })
    }

    /// What is reserved counts as starting now, since it may.
    async fn cas_wait(&mut self, cas: &str) -> Result<Option<ReserveRefused>, StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        let starts: Vec<(i64,)> = sqlx::query_as(
            "SELECT coalesce(started_ms, ?) AS at_ms FROM attempt
              WHERE cas = ? AND reserved_ms > ? AND (state = 'reserved' OR started_ms > ?)
              ORDER BY at_ms DESC LIMIT ?",
        )
        .bind(now_ms)
        .bind(cas)
        .bind(now_ms - CAS_WINDOW_MS - millis(RESERVED_MAX))
        .bind(now_ms - CAS_WINDOW_MS)
        .bind(CAS_LOGONS_MAX)
        .fetch_all(self.write.connection())
        .await
        .during(operation)?;
        if starts.len() < CAS_LOGONS_MAX as usize {
            return Ok(None);
        }
        let oldest_ms = starts.last().map_or(now_ms, |(at_ms,)| *at_ms);
        let wait_ms = (oldest_ms + CAS_WINDOW_MS - now_ms).max(1);
        let seconds = u32::try_from((wait_ms + 999) / 1000).unwrap_or(u32::MAX);
        Ok(Some(ReserveRefused::Wait { seconds }))
    }

    async fn insert_reserved(
        &mut self,
        request: &ReserveRequest,
        account: &AccountRow,
        guard: &Guard,
    ) -> Result<Attempt, StoreError> {
        let (operation, now_ms) = (self.write.operation, self.write.now_ms);
        let id = AttemptId::new(uuid::Uuid::new_v4().simple().to_string());
        sqlx::query(
            "INSERT INTO attempt (attempt_id, diagnosis, account, account_key, secret_version, quiet_period,
                principal, agent, target, endpoint, server, cas, scheme, cost, state, reserved_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'reserved', ?)",
        )
        .bind(id.as_str())
        .bind(request.diagnosis.as_str())
        .bind(request.account.as_str())
        .bind(&account.ledger_key)
        .bind(account.secret_version)
        .bind(guard.quiet_period)
        .bind(&request.principal)
        .bind(request.agent.as_str())
        .bind(request.target.as_str())
        .bind(request.endpoint.as_str())
        .bind(request.server.to_lowercase())
        .bind(request.cas.as_ref().map(|cas| cas.to_lowercase()))
        .bind(&request.scheme)
        .bind(request.cost)
        .bind(now_ms)
        .execute(self.write.connection())
        .await
        .during(operation)?;
        Ok(Attempt {
            id,
            account: request.account.clone(),
            secret_version: u64::try_from(account.secret_version).unwrap_or(0),
            cost: request.cost,
            left: guard.left() - request.cost,
            start_by: system_time(now_ms + millis(RESERVED_MAX)),
        })
    }
}
