//! An agent that holds on to some tasks and answers others, and remembers what it was offered.
//!
//! INVARIANT: what it remembers is in the order in which it was told.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use hyper_util::rt::TokioIo;
use parallax_controller::authority::Identity;
use parallax_model::{
    DnsFailure, EndpointName, Outcome, PathId, PathReport, Report, Sight, VantageName,
};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::link::session_response::Message as Told;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use super::bed::Bed;

/// Messages on their way out.
const OUTGOING_MAX: usize = 64;

/// What an agent does with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Reports at once.
    Answers,
    /// Takes it and says nothing more.
    Holds,
}

/// The certificate that an agent shows, with its key.
pub(super) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Shown {
    pub(super) fn of(identity: Identity) -> Self {
        let (chain, key) = identity.into_rustls();
        Self { chain, key }
    }

    /// The one that is given for it.
    pub(super) async fn renewed(&self, bed: &Bed) -> Result<Self> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(Vec::new())?;
        let signing_request = params.serialize_request(&key)?.der().to_vec();
        let mut client = AgentServiceClient::new(channel(bed, self).await?);
        let answer = client.renew(wire::RenewRequest { signing_request }).await?.into_inner();
        let chain = answer.certificate.context("no certificate")?.chain;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Self { chain: chain.into_iter().map(CertificateDer::from).collect(), key })
    }
}

/// A session that goes on by itself.
pub(super) struct Agent {
    say: mpsc::Sender<wire::SessionRequest>,
    /// Every offer so far.
    pub offers: watch::Receiver<Vec<wire::Offer>>,
    vantage: String,
    epoch: i64,
    /// When the stream ended.
    listening: JoinHandle<Instant>,
}

impl Agent {
    pub(super) async fn connect(
        bed: &Bed,
        identity: &Shown,
        manner: Manner,
    ) -> Result<Result<Self, Status>> {
        let channel = channel(bed, identity).await?;
        let (say, requests) = mpsc::channel(OUTGOING_MAX);
        let hello = Say::Hello(wire::Hello { protocol: 1, ..wire::Hello::default() });
        say.send(wire::SessionRequest { message: Some(hello) }).await?;
        let asked = AgentServiceClient::new(channel).session(ReceiverStream::new(requests)).await;
        let mut told = match asked {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        let welcome = match told.message().await {
            Ok(Some(wire::SessionResponse { message: Some(Told::Welcome(welcome)) })) => welcome,
            Ok(other) => anyhow::bail!("no welcome but {other:?}"),
            Err(status) => return Ok(Err(status)),
        };
        let (offered, offers) = watch::channel(Vec::new());
        let (vantage, epoch) = (welcome.vantage, welcome.session_epoch);
        let listener = Listener { say: say.clone(), vantage: vantage.clone(), epoch, manner };
        let listening = tokio::spawn(listener.listen(told, offered));
        Ok(Ok(Self { say, offers, vantage, epoch, listening }))
    }

    /// Reports about a task, whether anybody listens or not.
    pub(super) async fn report(&self, offer: &wire::Offer) -> Result<()> {
        let message = Say::Result(result(offer, &self.vantage, self.epoch)?);
        // A stream that was cut takes nothing any more.
        let _ = self.say.send(wire::SessionRequest { message: Some(message) }).await;
        Ok(())
    }

    /// Waits until the stream has ended; gives when, and every offer.
    pub(super) async fn ended(self) -> Result<(Instant, Vec<wire::Offer>)> {
        let at = self.listening.await.context("the agent's task failed")?;
        Ok((at, self.offers.borrow().clone()))
    }
}

struct Listener {
    say: mpsc::Sender<wire::SessionRequest>,
    vantage: String,
    epoch: i64,
    manner: Manner,
}

impl Listener {
    async fn listen(
        self,
        mut told: Streaming<wire::SessionResponse>,
        offered: watch::Sender<Vec<wire::Offer>>,
    ) -> Instant {
        while let Ok(Some(response)) = told.message().await {
            let Some(Told::Offer(offer)) = response.message else { continue };
            let accept = Say::Accept(wire::Accept { task: offer.task.clone() });
            let mut says = vec![accept];
            if self.manner == Manner::Answers
                && let Ok(result) = result(&offer, &self.vantage, self.epoch)
            {
                says.push(Say::Result(result));
            }
            offered.send_modify(|it| it.push(offer));
            for message in says {
                let _ = self.say.send(wire::SessionRequest { message: Some(message) }).await;
            }
        }
        Instant::now()
    }
}

fn result(offer: &wire::Offer, vantage: &str, epoch: i64) -> Result<wire::Result> {
    let endpoint = offer.endpoint.as_ref().context("an offer without endpoint")?;
    let path = PathId {
        vantage: VantageName::new(vantage)?,
        endpoint: EndpointName::new(endpoint.name.as_str())?,
    };
    let sight = Sight { dns: Outcome::Failed(DnsFailure::NxDomain), observations: Vec::new() };
    let report = PathReport { path, report: Report::Seen(sight) };
    Ok(wire::Result {
        task: offer.task.clone(),
        session_epoch: epoch,
        report: Some((&report).into()),
        ..wire::Result::default()
    })
}

async fn channel(bed: &Bed, shown: &Shown) -> Result<Channel> {
    let mut roots = RootCertStore::empty();
    roots.add(bed.authority.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(shown.chain.clone(), shown.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let (connector, address) = (TlsConnector::from(Arc::new(config)), bed.agents);
    let name = ServerName::try_from("localhost")?;
    let dial = tower::service_fn(move |_| {
        let (connector, name) = (connector.clone(), name.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    Ok(Endpoint::from_static("https://localhost").connect_with_connector(dial).await?)
}
