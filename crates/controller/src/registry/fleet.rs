//! Agents as the API shows and changes them, and the tokens by which they join.
//!
//! The store remembers, the fleet acts; what is said to both is said in one order. Absent on purpose: certificates, which
//! agents get for themselves on their own port.
//!
//! INVARIANT: an agent is cut before its ban is told to the caller, and stays cut if the caller goes away meanwhile.
//! INVARIANT: a token is in the answer that made it and nowhere else.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_auth::JoinToken;
use parallax_model::VantageName;
use parallax_store::{AgentRecord, NewJoinToken, Page, Store, StoreError};
use parallax_wire::{WantedJoinToken, check_join_token, encode_time, pb, zone_word};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::{Violations, page_request, read_id};
use crate::agents::{Fleet, FleetView};
use crate::permissions::Principal;
use crate::reasons::{Reason, Refusal};

const KIND: &str = "parallax/Agent";
/// Longest reason of a ban, in characters.
const REASON_MAX: usize = 500;
/// Rows of a page when nothing is said.
const PAGE_SIZE: i32 = 100;
/// How long a replaced session is worth a warning.
const FLIP_SHOWN: Duration = Duration::from_hours(24);
/// How long an agent that froze the ledger is named.
const AHEAD_SHOWN: Duration = Duration::from_hours(7 * 24);

#[derive(Clone, Debug)]
pub(crate) struct FleetRegistry {
    store: Arc<Store>,
    fleet: Fleet,
    authority_pin: [u8; 32],
    /// Owns changes, which are gone through with even if the caller hangs up.
    tracker: TaskTracker,
    /// Held while a change is written and carried out, so that both come in one order.
    changing: Arc<Mutex<()>>,
}

impl FleetRegistry {
    pub(crate) fn new(
        store: Arc<Store>,
        fleet: Fleet,
        authority_pin: [u8; 32],
        tracker: TaskTracker,
    ) -> Self {
        Self { store, fleet, authority_pin, tracker, changing: Arc::default() }
    }

    pub(crate) async fn create_token(
        &self,
        principal: &Principal,
        request: pb::CreateJoinTokenRequest,
    ) -> Result<pb::JoinToken, Refusal> {
        let mut violations = Violations::default();
        let checked = check_join_token(&request.join_token.unwrap_or_default());
        let checked = checked.map_err(|inner| violations.within("join_token", inner)).ok();
        violations.into_result()?;
        let Some(wanted) = checked else {
            return Err(Refusal::field("join_token", "is required"));
        };
        self.check_free(&wanted).await?;
        let answer = pb::JoinToken::from(&wanted);
        if request.validate_only {
            return Ok(answer);
        }
        let WantedJoinToken { vantage, may_replace, ttl } = wanted;
        let agent = vantage.name.clone();
        let mut token =
            JoinToken { secret: [0; 20].into(), authority_pin: self.authority_pin, agent };
        rand::rng().fill_bytes(token.secret.as_mut_slice());
        let token_sha256 = Sha256::digest(token.secret.as_slice()).into();
        let principal = principal.name.clone();
        let new = NewJoinToken { token_sha256, vantage, may_replace, principal, ttl };
        let ends = match self.store.create_join_token(&new).await {
            Ok(ends) => ends,
            Err(StoreError::TooMany { limit, .. }) => {
                let text = format!("{limit} join tokens are open; let some of them end first");
                return Err(Refusal::new(Reason::TooManyJoinTokens, text));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(pb::JoinToken { token: token.to_text(), expire_time: Some(encode_time(ends)), ..answer })
    }

    /// Refuses a token that nobody could use as things stand.
    async fn check_free(&self, wanted: &WantedJoinToken) -> Result<(), Refusal> {
        let record = match self.store.agent(&wanted.vantage.name).await {
            Ok(record) => record,
            Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        check_not_banned(&record)?;
        if wanted.may_replace {
            return Ok(());
        }
        let name = name_of(&record);
        let message = format!(
            "`{name}` exists already; set `replace` if another machine is to take its place"
        );
        Err(Refusal::new(Reason::AlreadyExists, message).about(KIND, name))
    }

    pub(crate) async fn agent(&self, name: &str) -> Result<pb::Agent, Refusal> {
        let id = read_id(name, "name", "agents", VantageName::new)?;
        Ok(self.encode(&self.store.agent(&id).await?))
    }

    pub(crate) async fn agents(
        &self,
        request: pb::ListAgentsRequest,
    ) -> Result<Page<pb::Agent>, Refusal> {
        let size = if request.page_size == 0 { PAGE_SIZE } else { request.page_size };
        let page = page_request(size, request.page_token)?;
        let Page { items, next_token } = self.store.list_agents(&page).await?;
        let view = self.fleet.view();
        let now = SystemTime::now();
        let items = items.iter().map(|it| encode(it, &view, now)).collect();
        Ok(Page { items, next_token })
    }

    pub(crate) async fn drain(
        &self,
        principal: &Principal,
        name: &str,
        drained: bool,
    ) -> Result<pb::Agent, Refusal> {
        let id = read_id(name, "name", "agents", VantageName::new)?;
        let (this, principal) = (self.clone(), principal.name.clone());
        self.change(async move {
            check_not_banned(&this.store.agent(&id).await?)?;
            let record = this.store.drain_agent(&id, &principal, drained).await?;
            this.fleet.drain(&id, drained).await;
            Ok(this.encode(&record))
        })
        .await
    }

    pub(crate) async fn ban(
        &self,
        principal: &Principal,
        request: pb::BanAgentRequest,
    ) -> Result<pb::Agent, Refusal> {
        let id = read_id(&request.name, "name", "agents", VantageName::new)?;
        let reason = request.reason.trim().to_owned();
        let is_long = reason.chars().count() > REASON_MAX;
        if reason.is_empty() || is_long || reason.chars().any(char::is_control) {
            let text = format!(
                "is required: why, for those who come after, 1 to {REASON_MAX} characters without control characters"
            );
            return Err(Refusal::field("reason", text));
        }
        let (this, principal) = (self.clone(), principal.name.clone());
        self.change(async move {
            let told = format!("agent `{id}` is banned: {reason}");
            let banned = this.store.ban_agent(&id, &principal, &reason);
            let record = this.shut_out(&id, &told, banned).await?;
            Ok(this.encode(&record))
        })
        .await
    }

    pub(crate) async fn delete(&self, principal: &Principal, name: &str) -> Result<(), Refusal> {
        let id = read_id(name, "name", "agents", VantageName::new)?;
        let (this, principal) = (self.clone(), principal.name.clone());
        self.change(async move {
            let told = format!("agent `{id}` was removed; join anew with a token");
            let deleted = this.store.delete_agent(&id, &principal);
            this.shut_out(&id, &told, deleted).await?;
            this.fleet.drain(&id, false).await;
            Ok(())
        })
        .await
    }

    /// Cuts first, so that nothing goes out between the commit and the cut. If there is no commit, the agent comes back.
    async fn shut_out(
        &self,
        id: &VantageName,
        told: &str,
        commit: impl Future<Output = Result<AgentRecord, StoreError>>,
    ) -> Result<AgentRecord, Refusal> {
        self.store.agent(id).await?;
        self.fleet.cut(id, told).await;
        let record = commit.await?;
        // One that came back in between, while the store still said yes.
        self.fleet.cut(id, told).await;
        Ok(record)
    }

    /// Changes one after another, each to its end.
    async fn change<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let changing = Arc::clone(&self.changing);
        let changed = self.tracker.spawn(async move {
            let _turn = changing.lock().await;
            work.await
        });
        let stopping = || Refusal::new(Reason::Stopping, "the controller is stopping");
        changed.await.map_err(|_| stopping())?
    }

    fn encode(&self, record: &AgentRecord) -> pb::Agent {
        encode(record, &self.fleet.view(), SystemTime::now())
    }
}

fn name_of(record: &AgentRecord) -> String {
    format!("agents/{}", record.vantage.name)
}

fn check_not_banned(record: &AgentRecord) -> Result<(), Refusal> {
    let Some(ban) = &record.banned else { return Ok(()) };
    let name = name_of(record);
    let message = format!("`{name}` is banned: {}", ban.reason);
    Err(Refusal::new(Reason::AgentBanned, message)
        .unless(name, "delete it, then let the machine join with a new token"))
}

fn encode(record: &AgentRecord, view: &FleetView, now: SystemTime) -> pb::Agent {
    let (state, reason) = state(record, view);
    pb::Agent {
        name: name_of(record),
        zone: zone_word(record.vantage.zone).to_owned(),
        site: record.vantage.site.clone(),
        state: state.into(),
        state_reason: reason,
        version: record.version.clone(),
        policy_sha256: record.policy_sha256.clone(),
        join_time: Some(encode_time(record.registered)),
        last_seen_time: record.seen.map(encode_time),
        certificate_expire_time: record.certificate_expires.map(encode_time),
        warnings: warnings(record, view, now),
    }
}

fn state(record: &AgentRecord, view: &FleetView) -> (pb::agent::State, String) {
    use pb::agent::State;
    let name = &record.vantage.name;
    if let Some(ban) = &record.banned {
        return (State::Banned, ban.reason.clone());
    }
    if record.drained.is_some() {
        let session = if view.draining.contains(name) { "it has a session" } else { "it has none" };
        return (
            State::Draining,
            format!("it is given nothing new until it is resumed; {session}"),
        );
    }
    if view.connected.contains(name) {
        return (State::Connected, String::new());
    }
    let reason = match record.seen {
        None => "it has not been seen yet",
        Some(_) => "it has no session; its own log says why it cannot connect",
    };
    (State::Disconnected, reason.to_owned())
}

fn warnings(record: &AgentRecord, view: &FleetView, now: SystemTime) -> Vec<String> {
    let mut warnings = Vec::new();
    if record.copied.is_some() {
        warnings.push(
            "a certificate of it was shown whose successor was in use already: two machines hold its identity; \
             remove the agent and join anew"
                .to_owned(),
        );
    }
    let flipped = view.flipped.get(&record.vantage.name);
    if flipped.is_some_and(|at| now.duration_since(*at).unwrap_or_default() < FLIP_SHOWN) {
        warnings.push(
            "a session was replaced within a minute by another with the same certificate: two machines may share it"
                .to_owned(),
        );
    }
    let ahead = view.ahead.get(&record.vantage.name);
    if ahead.is_some_and(|at| now.duration_since(*at).unwrap_or_default() < AHEAD_SHOWN) {
        warnings.push(
            "it has seen a logon that the ledger does not know, and every account was frozen for it: either the database was put \
             back, or this agent does not tell the truth"
                .to_owned(),
        );
    }
    if record.certificate_expires.is_some_and(|it| it < now) {
        warnings.push(
            "its certificate ended; it recovers by itself within 90 days when it is back"
                .to_owned(),
        );
    }
    warnings
}
