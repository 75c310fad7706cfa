//! Joining, renewal and recovery: how an agent comes by its certificates.
//!
//! Enroll and Recover are the only calls of the agent port without a client certificate, so they are the ones with a rate per
//! address and a bound on how many are worked on. Absent on purpose: what a token is worth; that the store decides, in one write.
//!
//! INVARIANT: of what an agent sends only the public key goes into its certificate; all else comes from our record.
//! INVARIANT: no token is in any log, error or answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use parallax_model::VantageName;
use parallax_store::{JoinRefused, Store, StoreError, TokenStanding};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::enrollment_service_server::EnrollmentService;
use parallax_wire::zone_word;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Response, Status};
use tracing::{info, warn};

use super::Fleet;
use super::request::{AgentKey, read_certificate, read_request};
use crate::authority::{Authority, AuthorityError};
use crate::limits::network_of;
use crate::listener::Peer;
use crate::reasons::chain;

/// Length of the secret part of a token, in bytes.
const TOKEN_LENGTH: usize = 20;
/// Between two attempts of one address.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(1);
/// Attempts that are worked on at once.
const PENDING_MAX: usize = 64;
/// Addresses whose last attempt is remembered; while so many tried within a second, nobody else may.
const ADDRESSES_MAX: usize = 4096;
/// Longest that an agent is kept waiting for the store. What was begun goes on: what the store has committed is carried out.
const STORE_LIMIT: Duration = Duration::from_secs(15);

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Enrollment {
    pub authority: Arc<Authority>,
    pub store: Arc<Store>,
    pub fleet: Fleet,
    /// Owns what must not stop half-way when an agent hangs up.
    pub tracker: TaskTracker,
    pub gate: Arc<Gate>,
}

/// Who may try now.
#[derive(Debug)]
pub(crate) struct Gate {
    pending: Arc<Semaphore>,
    attempts: Mutex<HashMap<IpAddr, Instant>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { pending: Arc::new(Semaphore::new(PENDING_MAX)), attempts: Mutex::default() }
    }
}

impl Gate {
    /// Admits one attempt, or says when to come back.
    fn admit(&self, address: IpAddr) -> Result<OwnedSemaphorePermit, Status> {
        let address = network_of(address);
        let now = Instant::now();
        let is_too_soon = {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            if attempts.len() >= ADDRESSES_MAX {
                attempts.retain(|_, at| now.duration_since(*at) < ATTEMPT_INTERVAL);
            }
            let before = attempts.get(&address);
            let is_too_soon = before.is_some_and(|at| now.duration_since(*at) < ATTEMPT_INTERVAL)
                || attempts.len() >= ADDRESSES_MAX;
            if !is_too_soon {
                attempts.insert(address, now);
            }
            is_too_soon
        };
        if is_too_soon {
            return Err(Status::resource_exhausted(
                "one attempt to join per second and address; try again in a second",
            ));
        }
        Arc::clone(&self.pending).try_acquire_owned().map_err(|_| {
            Status::unavailable("too many agents join at this moment; try again in a few seconds")
        })
    }
}

#[tonic::async_trait]
impl EnrollmentService for Enrollment {
    async fn enroll(
        &self,
        request: Request<wire::EnrollRequest>,
    ) -> Result<Response<wire::EnrollResponse>, Status> {
        let address = address_of(&request)?;
        let permit = self.gate.admit(address)?;
        let work = self.clone().join(request.into_inner(), address);
        let answer = self.finish(Some(permit), work).await?;
        Ok(Response::new(answer))
    }

    async fn recover(
        &self,
        request: Request<wire::RecoverRequest>,
    ) -> Result<Response<wire::RecoverResponse>, Status> {
        let address = address_of(&request)?;
        let permit = self.gate.admit(address)?;
        let work = self.clone().restore(request.into_inner(), address);
        let answer = self.finish(Some(permit), work).await?;
        Ok(Response::new(answer))
    }
}

impl Enrollment {
    /// Goes through with it even if the agent hangs up in the middle, or has waited long enough. The permit is given back when
    /// the work is done.
    async fn finish<A: Send + 'static>(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        work: impl Future<Output = Result<A, Status>> + Send + 'static,
    ) -> Result<A, Status> {
        let working = self.tracker.spawn(async move {
            let _permit = permit;
            work.await
        });
        match tokio::time::timeout(STORE_LIMIT, working).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Status::unavailable("the store does not answer in time")),
        }
    }

    async fn join(
        self,
        request: wire::EnrollRequest,
        address: IpAddr,
    ) -> Result<wire::EnrollResponse, Status> {
        let key = read_request(&request.signing_request)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if request.token.len() != TOKEN_LENGTH {
            return Err(Status::invalid_argument(format!(
                "`token`: has to be the {TOKEN_LENGTH} bytes of a token's secret part"
            )));
        }
        let token: [u8; 32] = Sha256::digest(&request.token).into();
        let refused = |refused: JoinRefused| {
            warn!(%address, reason = %refused, "an agent was not let join");
            into_status(&refused)
        };
        let standing = self.store.join_token(&token, &key.sha256).await.map_err(unavailable)?;
        let (vantage, certificate) = match standing.map_err(refused)? {
            TokenStanding::Answered(vantage, certificate) => {
                // Perhaps the first time nothing came after the commit.
                self.take_place(&vantage.name, &certificate).await;
                (vantage, certificate)
            }
            TokenStanding::Open(vantage) => {
                let new = self.authority.sign_agent(&vantage.name, &key.info).map_err(unsigned)?;
                let joined = self.store.join(&token, &new).await.map_err(unavailable)?;
                let joined = joined.map_err(refused)?;
                if joined.replaced.is_some() {
                    self.take_place(&vantage.name, &joined.certificate).await;
                    self.fleet.drain(&vantage.name, false).await;
                }
                info!(vantage = %vantage.name, %address, "an agent joined");
                (joined.vantage, joined.certificate)
            }
        };
        Ok(wire::EnrollResponse {
            certificate: Some(self.answer(certificate)),
            vantage: vantage.name.to_string(),
            zone: zone_word(vantage.zone).to_owned(),
        })
    }

    /// Cuts whoever had this name before; what the machine has that joined with this certificate stays.
    async fn take_place(&self, vantage: &VantageName, certificate: &[u8]) {
        let mut ours = vec![Sha256::digest(certificate).into()];
        // It may have been renewed meanwhile. If nobody knows, it comes back by itself.
        if let Ok(record) = self.store.agent(vantage).await {
            ours.extend(record.certificates());
        }
        let reason = "another machine joined under this agent's name";
        self.fleet.cut_others(vantage, ours, reason).await;
    }

    /// A new certificate for an agent that proved who it is with the one it shows.
    pub(super) async fn renew(
        &self,
        request: wire::RenewRequest,
        shown_sha256: [u8; 32],
        vantage: VantageName,
    ) -> Result<wire::RenewResponse, Status> {
        let this = self.clone();
        self.finish(None, async move {
            let key = read_request(&request.signing_request)
                .map_err(|error| Status::invalid_argument(error.to_string()))?;
            let new = this.authority.sign_agent(&vantage, &key.info).map_err(unsigned)?;
            let renewed = this.store.renew_agent(&shown_sha256, &new).await.map_err(unavailable)?;
            renewed.map_err(|refused| into_status(&refused))?;
            info!(%vantage, "an agent's certificate was renewed");
            Ok(wire::RenewResponse { certificate: Some(this.answer(new.der)) })
        })
        .await
    }

    async fn restore(
        self,
        request: wire::RecoverRequest,
        address: IpAddr,
    ) -> Result<wire::RecoverResponse, Status> {
        let AgentKey { info, sha256 } = read_request(&request.signing_request)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let ended = read_certificate(&request.expired_certificate, &self.authority)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let refused = |refused: JoinRefused| {
            warn!(%address, reason = %refused, "a certificate was not recovered");
            into_status(&refused)
        };
        if ended.public_key_sha256 != sha256 {
            return Err(refused(JoinRefused::OtherKey));
        }
        let end = UNIX_EPOCH + Duration::from_secs(u64::try_from(ended.ended).unwrap_or(0));
        let vantage = self.store.recoverable(&ended.sha256, end).await.map_err(unavailable)?;
        let vantage = vantage.map_err(refused)?;
        let new = self.authority.sign_agent(&vantage.name, &info).map_err(unsigned)?;
        let kept = self.store.recover_agent(&ended.sha256, end, &new).await.map_err(unavailable)?;
        kept.map_err(refused)?;
        info!(vantage = %vantage.name, %address, "an agent's certificate was recovered");
        Ok(wire::RecoverResponse { certificate: Some(self.answer(new.der)) })
    }

    fn answer(&self, certificate: Vec<u8>) -> wire::Certificate {
        let authority = self.authority.certificate().to_vec();
        wire::Certificate { chain: vec![certificate], authority }
    }
}

fn address_of<T>(request: &Request<T>) -> Result<IpAddr, Status> {
    let peer = request.extensions().get::<Peer>();
    peer.map(|it| it.address.ip()).ok_or_else(|| Status::internal("the connection has no address"))
}

/// What a refusal is on the wire. Agents read the code, people the text.
pub(super) fn into_status(refused: &JoinRefused) -> Status {
    let code = match refused {
        JoinRefused::TokenUnknown => Code::Unauthenticated,
        JoinRefused::TokenUsed { .. }
        | JoinRefused::TokenExpired { .. }
        | JoinRefused::NotEnded { .. }
        | JoinRefused::EndedLongAgo => Code::FailedPrecondition,
        JoinRefused::NameTaken { .. } => Code::AlreadyExists,
        JoinRefused::Banned { .. } | JoinRefused::NotNewest | JoinRefused::Copied { .. } => {
            Code::PermissionDenied
        }
        JoinRefused::OtherKey => Code::InvalidArgument,
    };
    Status::new(code, refused.to_string())
}

fn unavailable(error: StoreError) -> Status {
    warn!(error = chain(&error), "the store does not answer an agent");
    Status::unavailable("the store does not answer")
}

fn unsigned(error: AuthorityError) -> Status {
    warn!(error = chain(&error), "cannot sign the certificate of an agent");
    Status::internal("no certificate can be made; see the controller's log")
}

#[cfg(test)]
mod tests {
    use parallax_model::{Vantage, Zone};
    use parallax_store::NewJoinToken;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
    use tempfile::TempDir;
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::agents::{FleetTask, FleetView};
    use crate::authority::vantage_of;

    const SECRET: [u8; 20] = [5; 20];
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    struct Bench {
        enrollment: Enrollment,
        stop: tokio_util::sync::CancellationToken,
        _folder: TempDir,
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    async fn bench() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(folder.path(), Duration::ZERO).await.expect("a store"));
        let (fleet, task) =
            FleetTask::new(watch::Sender::new(FleetView::default()), mpsc::channel(1).0);
        let (tracker, stop) = (TaskTracker::new(), tokio_util::sync::CancellationToken::new());
        tracker.spawn(task.run(stop.clone()));
        let authority = Arc::new(Authority::generate().expect("an authority"));
        let gate = Arc::new(Gate::default());
        let enrollment = Enrollment { authority, store, fleet, tracker, gate };
        Bench { enrollment, stop, _folder: folder }
    }

    impl Bench {
        async fn token(&self, secret: [u8; 20], name: &str) {
            let name = VantageName::new(name).expect("a name");
            let vantage = Vantage { name, zone: Zone::Dmz, site: String::new() };
            let token = NewJoinToken {
                token_sha256: Sha256::digest(secret).into(),
                vantage,
                may_replace: false,
                principal: "anna".to_owned(),
                ttl: Duration::from_mins(10),
            };
            self.enrollment.store.create_join_token(&token).await.expect("made");
        }

        async fn join(&self, secret: [u8; 20], key: &KeyPair) -> Result<Vec<u8>, Status> {
            let token = secret.to_vec();
            let request = wire::EnrollRequest { token, signing_request: signing_request(key) };
            let answer = self.enrollment.clone().join(request, HERE).await?;
            assert_eq!((answer.vantage.as_str(), answer.zone.as_str()), ("ext", "dmz"));
            Ok(leaf(answer.certificate))
        }

        async fn restore(&self, ended: &[u8], key: &KeyPair) -> Result<Vec<u8>, Status> {
            let request = wire::RecoverRequest {
                expired_certificate: ended.to_vec(),
                signing_request: signing_request(key),
            };
            Ok(leaf(self.enrollment.clone().restore(request, HERE).await?.certificate))
        }
    }

    fn leaf(certificate: Option<wire::Certificate>) -> Vec<u8> {
        certificate.expect("a certificate").chain.remove(0)
    }

    fn signing_request(key: &KeyPair) -> Vec<u8> {
        let params = CertificateParams::new(["somebody-else".to_owned()]).expect("a name");
        params.serialize_request(key).expect("a request").der().to_vec()
    }

    fn code<T: std::fmt::Debug>(refused: Result<T, Status>) -> (Code, String) {
        let status = refused.expect_err("refused");
        (status.code(), status.message().to_owned())
    }

    #[tokio::test]
    async fn whoever_joins_is_who_the_token_says() {
        let it = bench().await;
        it.token(SECRET, "ext").await;
        let key = KeyPair::generate().expect("a key");
        let joined = it.join(SECRET, &key).await.expect("joined");
        assert_eq!(it.join(SECRET, &key).await.expect("asked again"), joined);
        let (_, read) = x509_parser::parse_x509_certificate(&joined).expect("a certificate");
        assert_eq!(read.public_key().raw, key.subject_public_key_info());
        let vantage = vantage_of(&joined.clone().into()).expect("a vantage");
        assert_eq!(vantage.as_str(), "ext");
        let names = read.subject_alternative_name().expect("readable").expect("there");
        assert_eq!(names.value.general_names.len(), 1, "no name of the request");
        assert!(!read.is_ca());
        let left = read.validity().time_to_expiration().expect("it holds");
        assert!((29..=30).contains(&left.whole_days()), "{left}");
        let stranger = KeyPair::generate().expect("a key");
        let (is, text) = code(it.join(SECRET, &stranger).await);
        assert_eq!(is, Code::FailedPrecondition);
        assert!(text.contains("used already") && text.contains("`ext`"), "{text}");
        let (is, text) = code(it.join([6; 20], &stranger).await);
        assert_eq!(is, Code::Unauthenticated);
        assert!(text.contains("unknown"), "{text}");
    }

    #[tokio::test]
    async fn a_name_that_is_taken_and_a_wrong_length_are_told() {
        let it = bench().await;
        it.token(SECRET, "ext").await;
        it.token([7; 20], "ext").await;
        let key = KeyPair::generate().expect("a key");
        it.join(SECRET, &key).await.expect("joined");
        let (is, text) = code(it.join([7; 20], &key).await);
        assert_eq!(is, Code::AlreadyExists);
        assert!(text.contains("`ext` is taken") && text.contains("--replace"), "{text}");
        let request =
            wire::EnrollRequest { token: vec![5; 19], signing_request: signing_request(&key) };
        let (is, text) = code(it.enrollment.clone().join(request, HERE).await);
        assert_eq!(is, Code::InvalidArgument);
        assert!(text.starts_with("`token`") && text.contains("20 bytes"), "{text}");
    }

    #[tokio::test]
    async fn a_certificate_that_ended_is_recovered_with_its_own_key() {
        let it = bench().await;
        it.token(SECRET, "ext").await;
        let key = KeyPair::generate().expect("a key");
        let held = it.join(SECRET, &key).await.expect("joined");
        let (is, text) = code(it.restore(&held, &key).await);
        assert_eq!(is, Code::FailedPrecondition);
        assert!(text.contains("clock"), "{text}");
        // One that ended 89 days ago: signed by us, registered as the newest.
        let end = |days: i64| time::OffsetDateTime::now_utc() - time::Duration::days(days);
        let ended = async |days: i64, secret: [u8; 20]| {
            let info = read_request(&signing_request(&key)).expect("taken").info;
            let name = VantageName::new("ext").expect("a name");
            let new = it.enrollment.authority.sign_until(&name, &info, end(days)).expect("signed");
            it.enrollment.store.delete_agent(&name, "anna").await.expect("deleted");
            it.token(secret, "ext").await;
            let token = Sha256::digest(secret).into();
            it.enrollment.store.join(&token, &new).await.expect("asked").expect("joined");
            new.der
        };
        let old = ended(91, [8; 20]).await;
        let (is, text) = code(it.restore(&old, &key).await);
        assert_eq!(is, Code::FailedPrecondition);
        assert!(text.contains("90 days"), "{text}");
        let older = old;
        let old = ended(89, [9; 20]).await;
        assert_eq!(
            code(it.restore(&older, &key).await).0,
            Code::PermissionDenied,
            "not the newest"
        );
        let other = KeyPair::generate().expect("a key");
        assert_eq!(code(it.restore(&old, &other).await).0, Code::InvalidArgument, "another key");
        let recovered = it.restore(&old, &key).await.expect("recovered");
        let (_, read) = x509_parser::parse_x509_certificate(&recovered).expect("a certificate");
        assert!(read.validity().is_valid());
        let name = VantageName::new("ext").expect("a name");
        it.enrollment.store.ban_agent(&name, "anna", "stolen").await.expect("banned");
        let (is, text) = code(it.restore(&old, &key).await);
        assert_eq!(is, Code::PermissionDenied);
        assert!(text.contains("banned: stolen"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_attempt_a_second_of_one_address() {
        let gate = Gate::default();
        let at = |text: &str| text.parse().expect("an address");
        drop(gate.admit(at("192.0.2.1")).expect("the first"));
        assert_eq!(code(gate.admit(at("192.0.2.1"))).0, Code::ResourceExhausted);
        assert_eq!(code(gate.admit(at("::ffff:192.0.2.1"))).0, Code::ResourceExhausted);
        drop(gate.admit(at("192.0.2.2")).expect("another"));
        drop(gate.admit(at("2001:db8::1")).expect("another"));
        assert_eq!(code(gate.admit(at("2001:db8::2"))).0, Code::ResourceExhausted, "one network");
        tokio::time::advance(ATTEMPT_INTERVAL).await;
        let held: Vec<_> =
            (0..PENDING_MAX).map(|it| gate.admit(at(&format!("198.51.100.{it}")))).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(code(gate.admit(at("192.0.2.1"))).0, Code::Unavailable, "too many at once");
        drop(held);
        tokio::time::advance(ATTEMPT_INTERVAL).await;
        drop(gate.admit(at("192.0.2.1")).expect("room again"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_addresses_is_bounded() {
        let gate = Gate::default();
        for address in 0..u32::try_from(ADDRESSES_MAX).expect("small") {
            drop(gate.admit(IpAddr::V4(address.into())).expect("room"));
        }
        assert_eq!(code(gate.admit(HERE)).0, Code::ResourceExhausted);
        tokio::time::advance(ATTEMPT_INTERVAL).await;
        drop(gate.admit(HERE).expect("a second later"));
        assert_eq!(gate.attempts.lock().expect("whole").len(), 1);
    }
}
