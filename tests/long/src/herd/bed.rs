//! A fleet that is registered, the controller process that it belongs to, and its API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use parallax_controller::authority::{Authority, Identity};
use parallax_model::{
    DnsFacts, DnsSource, EndpointName, FamilyAnswer, Observation, Outcome, PathId, PathReport,
    Report, Sight, TcpFailure, Transport, Vantage, VantageName, Zone,
};
use parallax_store::Store;
use parallax_wire::pb;
use parallax_wire::pb::diagnosis_service_client::DiagnosisServiceClient;
use parallax_wire::pb::target_service_client::TargetServiceClient;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use super::controller::TOKEN;
use super::light::Agent;
use super::process::Process;

/// From its start until it listens.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// Longest message of the API that is read here, in bytes.
const ANSWER_MAX: usize = 64 * 1024 * 1024;
/// The only endpoint of every target.
const ENDPOINT: &str = "published";

/// A data folder with a registered fleet.
pub(crate) struct Bed {
    pub agents: Vec<Agent>,
    pub folder: TempDir,
    pub api: SocketAddr,
    /// Where agents come in.
    pub port: SocketAddr,
}

impl Bed {
    pub(crate) async fn make(agents: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::create(folder.path())?;
        let store = Store::open(folder.path(), Duration::ZERO).await?;
        let mut made = Vec::with_capacity(agents);
        for number in 0..agents {
            let name = VantageName::new(vantage(number))?;
            let identity = authority.issue_agent(&name)?;
            let report = (&refused(name.clone())?).into();
            let vantage = Vantage { name, zone: Zone::External, site: String::new() };
            store.register_agent(&vantage, identity.certificate_sha256(), false).await?;
            let tls = Arc::new(tls(authority.certificate(), identity)?);
            made.push(Agent { number, tls, report });
        }
        store.close().await;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Ok(Self { agents: made, folder, api: any, port: any })
    }

    /// Starts the controller; these words make one of this program. From the second time on it has the ports of the first.
    pub(crate) async fn start(&mut self, words: &[&str]) -> Result<(Process, Api)> {
        let folder = self.folder.path().to_str().context("a folder that is no text")?;
        let mut words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
        words.extend([folder.to_owned(), self.api.to_string(), self.port.to_string()]);
        let mut process = Process::start(&words)?;
        let line = process.line(READY_LIMIT).await.context("the controller")?;
        let mut addresses = line.strip_prefix("ready ").context("not ready")?.split(' ');
        self.api = addresses.next().context("no address")?.parse()?;
        self.port = addresses.next().context("no address")?.parse()?;
        let channel = Endpoint::from_shared(format!("http://{}", self.api))?.connect_lazy();
        Ok((process, Api { channel }))
    }
}

/// The name of an agent's vantage.
pub(crate) fn vantage(number: usize) -> String {
    format!("v{number:05}")
}

/// A target with one endpoint, at which these vantages look; none: all of them.
pub(crate) fn target(from: Vec<String>) -> pb::Target {
    let endpoint = pb::Endpoint {
        name: ENDPOINT.to_owned(),
        role: pb::endpoint::Role::External.into(),
        url: "https://mail.example.com".to_owned(),
        connect: "192.0.2.1".to_owned(),
        from,
        ..pb::Endpoint::default()
    };
    pb::Target { endpoints: vec![endpoint], ..pb::Target::default() }
}

/// What every agent sees: a target that refuses its connections.
fn refused(vantage: VantageName) -> Result<PathReport> {
    let address = "192.0.2.1".parse()?;
    let dns = DnsFacts {
        source: DnsSource::Declared,
        cname_chain: Vec::new(),
        addresses: vec![address],
        left_out: 0,
        v4: FamilyAnswer::NotAsked,
        v6: FamilyAnswer::NotAsked,
        took: Duration::ZERO,
    };
    let observation = Observation {
        address: (address, 443).into(),
        tcp: Outcome::Failed(TcpFailure::Refused),
        transport: Transport::Tls(Outcome::NotReached),
        without_sni: Outcome::NotReached,
        exchanges: Vec::new(),
    };
    let sight = Sight { dns: Outcome::Done(dns), observations: vec![observation] };
    let path = PathId { vantage, endpoint: EndpointName::new(ENDPOINT)? };
    Ok(PathReport { path, report: Report::Seen(sight) })
}

fn tls(authority: &CertificateDer<'static>, identity: Identity) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let (chain, key) = identity.into_rustls();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The API as an operator uses it.
#[derive(Clone)]
pub(crate) struct Api {
    channel: Channel,
}

impl Api {
    /// A target that these vantages look at; none: all of them.
    pub(crate) async fn create_target(&self, id: &str, from: Vec<String>) -> Result<()> {
        let request = pb::CreateTargetRequest {
            target_id: id.to_owned(),
            target: Some(target(from)),
            ..pb::CreateTargetRequest::default()
        };
        let mut client = TargetServiceClient::new(self.channel.clone());
        client.create_target(call(request, Duration::from_secs(20))?).await?;
        Ok(())
    }

    /// Diagnoses a target and waits for the end.
    pub(crate) async fn diagnose(&self, target: &str, limit: Duration) -> Result<pb::Diagnosis> {
        let diagnosis =
            pb::Diagnosis { target: format!("targets/{target}"), ..pb::Diagnosis::default() };
        let request =
            pb::DiagnoseRequest { diagnosis: Some(diagnosis), ..pb::DiagnoseRequest::default() };
        let mut client =
            DiagnosisServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_MAX);
        Ok(client.diagnose(call(request, limit)?).await?.into_inner())
    }
}

/// A request with the token and a limit.
pub(crate) fn call<T>(message: T, limit: Duration) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse()?);
    request.set_timeout(limit);
    Ok(request)
}
