//! Begins that wait for their go: the agent's half of "at most one credential for each permission".
//!
//! INVARIANT: a begin is answered at most once. Its entry is deleted first; only then does the secret go to the probe,
//! which sends it once.
//! INVARIANT: nonce and key pair are made for one begin and live in memory alone: a crash forgets them, and a go that was
//! under way then opens nothing.
//! INVARIANT: a go that comes late, for another nonce, or from a ledger that has gone back, hands out nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use parallax_auth::{Binding, Opener, SealError, Sealed, Secret};
use parallax_model::VantageName;
use parallax_wire::pb::link as wire;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// 128 random bits.
pub(crate) const NONCE_BYTES: usize = 16;

/// The answer to a probe that is ready to send: the secret, or why not.
pub(crate) type Permission = Result<Secret, String>;

struct Waiting {
    nonce: [u8; NONCE_BYTES],
    opener: Opener,
    until: Instant,
    reply: oneshot::Sender<Permission>,
}

/// Why a go hands out no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSecret {
    #[error("no begin waits for this go: it is a duplicate, or too late, or from before a restart")]
    NoBegin,
    #[error("the go answers another begin")]
    OtherNonce,
    #[error("the go came too late")]
    Late,
    #[error("the controller's ledger has gone back from {seen} to {got}")]
    LedgerWentBack { seen: i64, got: i64 },
    #[error("the go does not open: {0}")]
    Sealed(SealError),
    #[error("the probe no longer waits")]
    NobodyWaits,
}

/// Every begin that waits.
pub(crate) struct Begins {
    waiting: BTreeMap<String, Waiting>,
    highest_sequence: i64,
}

impl Begins {
    pub(crate) fn new() -> Self {
        Self { waiting: BTreeMap::new(), highest_sequence: 0 }
    }

    /// The highest sequence number of the controller's ledger that was ever seen here.
    pub(crate) fn highest_sequence(&self) -> i64 {
        self.highest_sequence
    }

    /// Whether a probe waits for its go.
    pub(crate) fn any_waits(&self) -> bool {
        self.waiting.values().any(|it| !it.reply.is_closed())
    }

    /// Makes the begin for an attempt. A second one for the same attempt replaces the first, whose probe is told no.
    pub(crate) fn begin(
        &mut self,
        task: &str,
        attempt: &str,
        wait: Duration,
        reply: oneshot::Sender<Permission>,
    ) -> Result<wire::Begin, SealError> {
        let opener = Opener::generate()?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let begin = wire::Begin {
            attempt: attempt.to_owned(),
            nonce: nonce.to_vec(),
            public_key: opener.public_key().to_vec(),
            task: task.to_owned(),
        };
        let waiting = Waiting { nonce, opener, until: Instant::now() + wait, reply };
        self.waiting.insert(attempt.to_owned(), waiting);
        Ok(begin)
    }

    /// Takes a go: deletes the begin it answers, then hands the secret to the probe that waits.
    pub(crate) fn go(&mut self, go: wire::Go, vantage: &VantageName) -> Result<(), NoSecret> {
        let waiting = self.waiting.get(&go.attempt).ok_or(NoSecret::NoBegin)?;
        if waiting.nonce.as_slice() != go.nonce.as_slice() {
            return Err(NoSecret::OtherNonce);
        }
        let Some(waiting) = self.waiting.remove(&go.attempt) else { return Err(NoSecret::NoBegin) };
        let opened = self.open(&waiting.nonce, waiting.until, waiting.opener, go, vantage);
        let outcome = opened.as_ref().map(|_| ()).map_err(|refusal| *refusal);
        let sent = waiting.reply.send(opened.map_err(|refusal| refusal.to_string()));
        if sent.is_err() { outcome.and(Err(NoSecret::NobodyWaits)) } else { outcome }
    }

    fn open(
        &mut self,
        nonce: &[u8],
        until: Instant,
        opener: Opener,
        go: wire::Go,
        vantage: &VantageName,
    ) -> Result<Secret, NoSecret> {
        if Instant::now() > until {
            return Err(NoSecret::Late);
        }
        let went_back =
            NoSecret::LedgerWentBack { seen: self.highest_sequence, got: go.ledger_sequence };
        let sequence = u64::try_from(go.ledger_sequence).map_err(|_| went_back)?;
        if go.ledger_sequence < self.highest_sequence {
            return Err(went_back);
        }
        let binding = Binding { attempt: &go.attempt, nonce, sequence };
        let sealed = Sealed { encapsulated_key: go.encapsulated_key, ciphertext: go.ciphertext };
        let secret = opener
            .open(&binding, parallax_wire::go_aad(vantage), &sealed)
            .map_err(NoSecret::Sealed)?;
        // Only what opened is known to come from who sealed it.
        self.highest_sequence = go.ledger_sequence;
        Ok(secret)
    }

    /// Takes a deny.
    pub(crate) fn deny(&mut self, deny: &wire::Deny) {
        let is_ours = |it: &Waiting| it.nonce.as_slice() == deny.nonce.as_slice();
        if self.waiting.get(&deny.attempt).is_some_and(is_ours)
            && let Some(waiting) = self.waiting.remove(&deny.attempt)
        {
            // A probe that no longer waits has sent nothing either.
            let _ = waiting.reply.send(Err(format!("the controller denied it: {}", deny.reason)));
        }
    }

    /// Forgets the begin of an attempt that is over or no longer wanted.
    pub(crate) fn forget(&mut self, attempt: &str, why: &str) {
        if let Some(waiting) = self.waiting.remove(attempt) {
            let _ = waiting.reply.send(Err(why.to_owned()));
        }
    }

    /// Forgets every begin: its go cannot come any more, or must not be believed if it does.
    pub(crate) fn forget_all(&mut self, why: &str) {
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            let _ = waiting.reply.send(Err(why.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use parallax_auth::seal;

    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    fn vantage() -> VantageName {
        VantageName::new("hq").expect("a name")
    }

    /// The controller's half.
    fn go(begin: &wire::Begin, sequence: i64) -> wire::Go {
        let binding = Binding {
            attempt: &begin.attempt,
            nonce: &begin.nonce,
            sequence: sequence.cast_unsigned(),
        };
        let secret = Secret::new("Planted-12345".to_owned()).expect("a secret");
        let vantage = vantage();
        let aad = parallax_wire::go_aad(&vantage);
        let sealed = seal(&begin.public_key, &binding, aad, &secret).expect("sealed");
        wire::Go {
            attempt: begin.attempt.clone(),
            nonce: begin.nonce.clone(),
            ledger_sequence: sequence,
            encapsulated_key: sealed.encapsulated_key,
            ciphertext: sealed.ciphertext,
        }
    }

    fn begun(begins: &mut Begins) -> (wire::Begin, oneshot::Receiver<Permission>) {
        let (reply, answer) = oneshot::channel();
        (begins.begin("t1", "a1", WAIT, reply).expect("a begin"), answer)
    }

    fn secret_of(mut answer: oneshot::Receiver<Permission>) -> Option<String> {
        answer.try_recv().ok()?.ok().map(|it| it.expose().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn one_go_one_secret() {
        let mut begins = Begins::new();
        let (begin, answer) = begun(&mut begins);
        let go = go(&begin, 7);
        assert_eq!(begins.go(go.clone(), &vantage()), Ok(()));
        assert_eq!(secret_of(answer).as_deref(), Some("Planted-12345"));
        assert_eq!(begins.go(go, &vantage()), Err(NoSecret::NoBegin));
        assert_eq!(begins.highest_sequence(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_go_hands_out_nothing() {
        let mut begins = Begins::new();
        let (begin, answer) = begun(&mut begins);
        tokio::time::advance(WAIT + Duration::from_millis(1)).await;
        assert_eq!(begins.go(go(&begin, 7), &vantage()), Err(NoSecret::Late));
        assert_eq!(secret_of(answer), None);
        assert_eq!(begins.go(go(&begin, 7), &vantage()), Err(NoSecret::NoBegin));
    }

    #[tokio::test(start_paused = true)]
    async fn a_go_for_an_older_begin_of_the_same_attempt() {
        let mut begins = Begins::new();
        let (first, first_answer) = begun(&mut begins);
        let (second, answer) = begun(&mut begins);
        assert_ne!(first.nonce, second.nonce);
        assert_ne!(first.public_key, second.public_key);
        assert_eq!(begins.go(go(&first, 7), &vantage()), Err(NoSecret::OtherNonce));
        assert_eq!(begins.go(go(&second, 7), &vantage()), Ok(()));
        assert_eq!(secret_of(first_answer), None);
        assert!(secret_of(answer).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_ledger_that_went_back_is_not_believed() {
        let mut begins = Begins::new();
        let (begin, _answer) = begun(&mut begins);
        assert_eq!(begins.go(go(&begin, 7), &vantage()), Ok(()));
        let (begin, answer) = begun(&mut begins);
        let refusal = NoSecret::LedgerWentBack { seen: 7, got: 6 };
        assert_eq!(begins.go(go(&begin, 6), &vantage()), Err(refusal));
        assert_eq!(secret_of(answer), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_go_does_not_open_and_is_not_tried_again() {
        for change in [
            |go: &mut wire::Go| go.ledger_sequence += 1,
            |go: &mut wire::Go| go.ciphertext[0] ^= 1,
            |go: &mut wire::Go| go.encapsulated_key.clear(),
        ] {
            let mut begins = Begins::new();
            let (begin, answer) = begun(&mut begins);
            let good = go(&begin, 7);
            let mut changed = good.clone();
            change(&mut changed);
            assert!(matches!(begins.go(changed, &vantage()), Err(NoSecret::Sealed(_))));
            assert_eq!(secret_of(answer), None);
            assert_eq!(begins.highest_sequence(), 0);
            assert_eq!(begins.go(good, &vantage()), Err(NoSecret::NoBegin));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn deny_and_the_end_of_the_session() {
        let mut begins = Begins::new();
        let (begin, mut answer) = begun(&mut begins);
        let mut deny = wire::Deny { attempt: "a1".into(), nonce: vec![0; 16], reason: "no".into() };
        begins.deny(&deny);
        assert!(answer.try_recv().is_err(), "the deny was for another begin");
        deny.nonce.clone_from(&begin.nonce);
        begins.deny(&deny);
        assert!(answer.try_recv().is_ok_and(|it| it.is_err()));
        let (begin, mut answer) = begun(&mut begins);
        begins.forget_all("the session ended");
        assert!(answer.try_recv().is_ok_and(|it| it.is_err()));
        assert_eq!(begins.go(go(&begin, 7), &vantage()), Err(NoSecret::NoBegin));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits() {
        let mut begins = Begins::new();
        let (begin, answer) = begun(&mut begins);
        drop(answer);
        assert_eq!(begins.go(go(&begin, 7), &vantage()), Err(NoSecret::NobodyWaits));
    }
}
