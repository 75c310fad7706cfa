//! An agent that says what a test tells it, over mutual TLS and real gRPC.

use std::collections::VecDeque;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use parallax_controller::authority::Identity;
use parallax_model::{
    DnsFailure, EndpointName, Outcome, PathId, PathReport, Report, Sight, VantageName,
};
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::link::session_response::Message as Told;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::bed::{Bed, SOON};

pub(crate) struct ScriptedAgent {
    pub(crate) vantage: String,
    pub(crate) epoch: i64,
    say: mpsc::Sender<wire::SessionRequest>,
    told: Streaming<wire::SessionResponse>,
    /// Told while something else was waited for.
    put_by: VecDeque<Told>,
}

impl ScriptedAgent {
    /// Says hello; the session stands when the welcome has come.
    pub(crate) async fn join(bed: &Bed, identity: Option<&Identity>) -> Result<Self, Status> {
        Self::join_over(connect(bed, identity).await).await
    }

    /// As [`Self::join`], over a connection that shows who it is.
    pub(crate) async fn join_over(channel: Channel) -> Result<Self, Status> {
        let (say, requests) = mpsc::channel(64);
        let hello = wire::Hello { protocol: 1, ..wire::Hello::default() };
        say.send(request(Say::Hello(hello))).await.expect("open");
        let mut client = AgentServiceClient::new(channel);
        let mut told = client.session(ReceiverStream::new(requests)).await?.into_inner();
        let first = tokio::time::timeout(SOON, told.message()).await.expect("soon")?;
        let Some(wire::SessionResponse { message: Some(Told::Welcome(welcome)) }) = first else {
            panic!("no welcome but {first:?}");
        };
        assert_eq!(welcome.protocol_min, 1);
        assert!(welcome.credit > 0);
        Ok(Self {
            vantage: welcome.vantage,
            epoch: welcome.session_epoch,
            say,
            told,
            put_by: VecDeque::new(),
        })
    }

    pub(crate) async fn say(&self, message: Say) {
        self.say.send(request(message)).await.expect("the session is open");
    }

    /// False: the session is over.
    pub(crate) async fn try_say(&self, message: Say) -> bool {
        self.say.send(request(message)).await.is_ok()
    }

    /// The next message, whatever it is, or how the session ended.
    pub(crate) async fn raw(&mut self) -> Result<Option<wire::SessionResponse>, Status> {
        self.told.message().await
    }

    /// As [`Self::say`], to a session that may be over already.
    pub(crate) async fn say_if_heard(&self, message: Say) {
        let _ = self.say.send(request(message)).await;
    }

    /// The next message that is no heartbeat; `None`: the stream ended.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        match self.put_by.pop_front() {
            Some(told) => Some(told),
            None => self.hear().await,
        }
    }

    async fn hear(&mut self) -> Option<Told> {
        loop {
            let next =
                tokio::time::timeout(SOON, self.told.message()).await.expect("something soon");
            match next.ok().flatten()?.message {
                Some(Told::Heartbeat(_)) => {}
                message => return message,
            }
        }
    }

    /// The next offer, accepted.
    pub(crate) async fn accept(&mut self) -> wire::Offer {
        match self.next().await {
            Some(Told::Offer(offer)) => {
                self.say(Say::Accept(wire::Accept { task: offer.task.clone() })).await;
                offer
            }
            other => panic!("no offer but {other:?}"),
        }
    }

    /// Reports about the endpoint of an offer.
    pub(crate) async fn report(&self, offer: &wire::Offer, report: Report) {
        self.say(Say::Result(self.result(offer, report))).await;
    }

    pub(crate) fn result(&self, offer: &wire::Offer, report: Report) -> wire::Result {
        let endpoint = &offer.endpoint.as_ref().expect("an endpoint").name;
        let path = PathId {
            vantage: VantageName::new(self.vantage.as_str()).expect("a name"),
            endpoint: EndpointName::new(endpoint.as_str()).expect("a name"),
        };
        wire::Result {
            task: offer.task.clone(),
            session_epoch: self.epoch,
            report: Some((&PathReport { path, report }).into()),
            attempt: offer.logon.as_ref().map(|it| it.attempt.clone()).unwrap_or_default(),
            nonce: Vec::new(),
        }
    }

    /// Waits until a result of this task is acknowledged; whatever else is told meanwhile comes later.
    pub(crate) async fn acknowledged(&mut self, task: &str) {
        loop {
            let told = self.hear().await.expect("the session is open");
            if matches!(&told, Told::Acknowledge(it) if it.task == task) {
                return;
            }
            self.put_by.push_back(told);
        }
    }
}

/// A name that does not exist: the shortest sight there is.
pub(crate) fn nothing_resolves() -> Report {
    Report::Seen(Sight { dns: Outcome::Failed(DnsFailure::NxDomain), observations: Vec::new() })
}

fn request(message: Say) -> wire::SessionRequest {
    wire::SessionRequest { message: Some(message) }
}

type Certified = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certified(identity: &Identity) -> Certified {
    let leaf = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).expect("PEM");
    (vec![leaf], PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("PEM"))
}

pub(crate) async fn connect(bed: &Bed, identity: Option<&Identity>) -> Channel {
    connect_as(bed, identity.map(certified)).await.expect("connected")
}

/// A connection to the agent port on which nothing is said yet.
pub(crate) async fn tls(bed: &Bed, identity: Option<&Identity>) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(bed.agents).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    connector(bed, identity.map(certified)).connect(name, stream).await.expect("TLS")
}

/// A connection to the agent port that shows this certificate, or none. `Err`: the handshake failed.
pub(crate) async fn connect_as(
    bed: &Bed,
    certified: Option<Certified>,
) -> Result<Channel, tonic::transport::Error> {
    let (connector, address) = (connector(bed, certified), bed.agents);
    let dial = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").expect("a name");
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    let endpoint = Endpoint::from_static("https://localhost");
    endpoint.connect_with_connector(dial).await
}

fn connector(bed: &Bed, certified: Option<Certified>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(bed.authority()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match certified {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).expect("a certificate"),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}
