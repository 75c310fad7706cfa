//! Seeded bugs: each breaks one rule of the protocol, at the edges of the simulation; the code itself stays as it is. A
//! search that does not find them would not find their like.
//!
//! Where the schema stands in the way of a bug it is taken away in that run's database, and the bug says so.

use std::collections::BTreeMap;

use parallax_auth::{Binding, Opener, Sealed, Secret, seal};
use parallax_model::VantageName;
use parallax_wire::pb::link as wire;

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bug {
    /// One nonce and one key pair for every begin that an agent's process makes.
    NoncePerStart,
    /// An agent opens any go for an attempt, whichever begin it answers.
    NoNonceCheck,
    /// A go is free; the cost is charged when a refusal is reported.
    ChargeAfterResult,
    /// An answer that does not come in time gives the cost back.
    RefundOnTimeout,
    /// A second begin of a started attempt is answered with a second go.
    SecondGo,
    /// A begin is answered with go, though its attempt is void.
    GoWithoutGuard,
    /// What was started is offered again when its agent comes back, and may begin again.
    Redispatch,
    /// A restored backup is used as if nothing had happened.
    RestoreWithoutFreeze,
    /// A freeze is forgotten when the controller starts again.
    FreezeForgotten,
    /// The HTTP client sends the request once more by itself.
    HttpRetry,
    /// Two callers look at the budget before either inserts. The index for single flight and the sums' checks are taken away.
    CheckThenInsert,
    /// What agents say was not sent is given back without a limit.
    UncappedNotSent,
    /// A breaker closes by itself.
    BreakerForgotten,
    /// The last result wins. The triggers that keep outcomes are taken away.
    LastResultWins,
    /// Lines of the audit lose what they say. The trigger that keeps them is taken away.
    AuditLost,
    /// What was reserved or started is never swept, and a result that does not come is not waited for.
    NoSweep,
}

impl Bug {
    pub(super) const ALL: [Self; 16] = [
        Self::NoncePerStart,
        Self::NoNonceCheck,
        Self::ChargeAfterResult,
        Self::RefundOnTimeout,
        Self::SecondGo,
        Self::GoWithoutGuard,
        Self::Redispatch,
        Self::RestoreWithoutFreeze,
        Self::FreezeForgotten,
        Self::HttpRetry,
        Self::CheckThenInsert,
        Self::UncappedNotSent,
        Self::BreakerForgotten,
        Self::LastResultWins,
        Self::AuditLost,
        Self::NoSweep,
    ];

    /// Its word on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::NoncePerStart => "nonce-per-start",
            Self::NoNonceCheck => "no-nonce-check",
            Self::ChargeAfterResult => "charge-after-result",
            Self::RefundOnTimeout => "refund-on-timeout",
            Self::SecondGo => "second-go",
            Self::GoWithoutGuard => "go-without-guard",
            Self::Redispatch => "redispatch",
            Self::RestoreWithoutFreeze => "restore-without-freeze",
            Self::FreezeForgotten => "freeze-forgotten",
            Self::HttpRetry => "http-retry",
            Self::CheckThenInsert => "check-then-insert",
            Self::UncappedNotSent => "uncapped-not-sent",
            Self::BreakerForgotten => "breaker-forgotten",
            Self::LastResultWins => "last-result-wins",
            Self::AuditLost => "audit-lost",
            Self::NoSweep => "no-sweep",
        }
    }

    /// A seed that has shown it. A short search begins there; when it no longer does, the search goes on as ever.
    pub(super) fn shown_by(self) -> u64 {
        match self {
            Self::ChargeAfterResult
            | Self::RefundOnTimeout
            | Self::HttpRetry
            | Self::CheckThenInsert
            | Self::LastResultWins
            | Self::AuditLost => 1,
            Self::NoSweep => 2,
            Self::GoWithoutGuard | Self::Redispatch => 5,
            Self::FreezeForgotten => 6,
            Self::RestoreWithoutFreeze => 10,
            Self::SecondGo => 14,
            Self::BreakerForgotten => 17,
            Self::NoncePerStart => 26,
            Self::NoNonceCheck => 37,
            Self::UncappedNotSent => 76,
        }
    }

    /// Done to the database when it is opened, once a run.
    pub(super) fn at_open(self) -> Option<&'static str> {
        match self {
            Self::CheckThenInsert => {
                Some("DROP INDEX one_open_per_account; PRAGMA ignore_check_constraints = ON")
            }
            Self::LastResultWins => {
                Some("DROP TRIGGER attempt_moves_forward; DROP TRIGGER attempt_outcome_stays")
            }
            Self::AuditLost => Some("DROP TRIGGER audit_is_append_only"),
            Self::NoncePerStart
            | Self::NoNonceCheck
            | Self::ChargeAfterResult
            | Self::RefundOnTimeout
            | Self::SecondGo
            | Self::GoWithoutGuard
            | Self::Redispatch
            | Self::RestoreWithoutFreeze
            | Self::FreezeForgotten
            | Self::HttpRetry
            | Self::UncappedNotSent
            | Self::NoSweep
            | Self::BreakerForgotten => None,
        }
    }

    /// Done to the database after a controller has started again.
    pub(super) fn at_restart(self, was_put_back: bool) -> Option<&'static str> {
        const UNFREEZE: &str =
            "UPDATE account_guard SET frozen_until_ms = NULL, freeze_reason = NULL";
        let unfreezes =
            self == Self::FreezeForgotten || self == Self::RestoreWithoutFreeze && was_put_back;
        unfreezes.then_some(UNFREEZE)
    }

    /// Done to the database after every event.
    pub(super) fn after_event(self) -> Option<&'static str> {
        match self {
            Self::BreakerForgotten => Some(
                "UPDATE breaker SET closed_ms = opened_ms, closed_by = 'bug' WHERE closed_ms IS NULL AND scope = ''",
            ),
            Self::LastResultWins => Some(
                "UPDATE attempt SET state = 'succeeded', outcome = 'accepted' WHERE outcome = 'refused' AND cost > 1",
            ),
            Self::AuditLost => Some("UPDATE audit SET detail = '' WHERE action = 'logon.start'"),
            Self::NoncePerStart
            | Self::NoNonceCheck
            | Self::ChargeAfterResult
            | Self::RefundOnTimeout
            | Self::SecondGo
            | Self::GoWithoutGuard
            | Self::Redispatch
            | Self::RestoreWithoutFreeze
            | Self::FreezeForgotten
            | Self::HttpRetry
            | Self::UncappedNotSent
            | Self::NoSweep
            | Self::CheckThenInsert => None,
        }
    }
}

/// The second of two callers that both found room: inserts beside what is reserved already.
pub(super) const INSERT_UNCHECKED: &str = "
    INSERT INTO attempt (attempt_id, diagnosis, account, account_key, secret_version, quiet_period, principal, agent,
        target, endpoint, server, cas, scheme, cost, state, reserved_ms)
    SELECT lower(hex(randomblob(16))), diagnosis, account, account_key, secret_version, quiet_period, principal, agent,
        target, endpoint, server, cas, scheme, cost, 'reserved', reserved_ms
      FROM attempt WHERE state = 'reserved' ORDER BY rowid DESC LIMIT 1";

/// An agent that does not keep its nonces apart: stands between the agent and the network, and seals anew what it opens.
#[derive(Default)]
pub(super) struct Forger {
    /// The one nonce of this process, if that is the bug.
    fixed: Option<[u8; 16]>,
    /// By attempt: the begin that waits.
    waiting: BTreeMap<String, wire::Begin>,
    /// By attempt: keys whose go has not come.
    openers: BTreeMap<String, Vec<(Vec<u8>, Opener)>>,
    /// By attempt: the last public key that was shown.
    keys: BTreeMap<String, Vec<u8>>,
    /// By encapsulated key: what was opened before.
    opened: BTreeMap<Vec<u8>, (Vec<u8>, Secret)>,
}

impl Forger {
    pub(super) fn new(fixed: Option<[u8; 16]>) -> Self {
        Self { fixed, ..Self::default() }
    }

    /// The begin as this agent makes it.
    pub(super) fn begin(&mut self, begin: wire::Begin) -> wire::Begin {
        let attempt = begin.attempt.clone();
        self.waiting.insert(attempt.clone(), begin.clone());
        let nonce = self.fixed.map_or_else(|| begin.nonce.clone(), |it| it.to_vec());
        let known = self.keys.get(&attempt).filter(|_| self.fixed.is_some()).cloned();
        let public_key = match (known, Opener::generate()) {
            (Some(key), _) => key,
            (None, Ok(opener)) => {
                let key = opener.public_key().to_vec();
                self.openers.entry(attempt.clone()).or_default().push((nonce.clone(), opener));
                self.keys.insert(attempt, key.clone());
                key
            }
            (None, Err(_)) => begin.public_key.clone(),
        };
        wire::Begin { nonce, public_key, ..begin }
    }

    /// The go as this agent takes it; `None`: it opens nothing.
    pub(super) fn go(&mut self, go: wire::Go, vantage: &VantageName) -> Option<wire::Go> {
        let aad = parallax_wire::go_aad(vantage);
        let sequence = go.ledger_sequence.cast_unsigned();
        if !self.opened.contains_key(&go.encapsulated_key) {
            let openers = self.openers.get_mut(&go.attempt)?;
            let index = openers.iter().position(|(nonce, _)| *nonce == go.nonce)?;
            let (_, opener) = openers.remove(index);
            let binding = Binding { attempt: &go.attempt, nonce: &go.nonce, sequence };
            let sealed = Sealed {
                encapsulated_key: go.encapsulated_key.clone(),
                ciphertext: go.ciphertext.clone(),
            };
            let secret = opener.open(&binding, aad, &sealed).ok()?;
            self.opened.insert(go.encapsulated_key.clone(), (go.nonce.clone(), secret));
        }
        let (_, secret) = self.opened.get(&go.encapsulated_key)?;
        let begin = self.waiting.remove(&go.attempt)?;
        sealed_go(&begin, go.ledger_sequence, secret, vantage)
    }
}

/// A go for a begin, whoever asked for it.
pub(super) fn sealed_go(
    begin: &wire::Begin,
    ledger_sequence: i64,
    secret: &Secret,
    vantage: &VantageName,
) -> Option<wire::Go> {
    let sequence = ledger_sequence.cast_unsigned();
    let binding = Binding { attempt: &begin.attempt, nonce: &begin.nonce, sequence };
    let aad = parallax_wire::go_aad(vantage);
    let sealed = seal(&begin.public_key, &binding, aad, secret).ok()?;
    Some(wire::Go {
        attempt: begin.attempt.clone(),
        nonce: begin.nonce.clone(),
        ledger_sequence,
        encapsulated_key: sealed.encapsulated_key,
        ciphertext: sealed.ciphertext,
    })
}
