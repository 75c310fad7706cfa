//! A controller on loopback whose agents are told what to say, and its API as an operator uses it.
//!
//! Absent on purpose: anything of a target; what agents report is that its name does not exist.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use parallax_controller::authority::Authority;
use parallax_controller::limits::Rate;
use parallax_controller::token::TokenDigest;
use parallax_controller::{ControllerError, ControllerParts, FleetView, Terms, serve_with};
use parallax_model::{Vantage, VantageName, Zone};
use parallax_store::Store;
use parallax_wire::pb;
use parallax_wire::pb::diagnosis_service_client::DiagnosisServiceClient;
use parallax_wire::pb::fleet_service_client::FleetServiceClient;
use parallax_wire::pb::target_service_client::TargetServiceClient;
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use super::agent::Shown;

const TOKEN: &str = "campaign-campaign-campaign-campaign";
/// How long the controller may take to end.
const END_LIMIT: Duration = Duration::from_mins(1);

pub(super) struct Bed {
    pub agents: SocketAddr,
    pub authority: CertificateDer<'static>,
    pub view: watch::Receiver<FleetView>,
    api: Channel,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ControllerError>>,
    _folder: TempDir,
}

impl Bed {
    /// With one agent of each name; gives what they show.
    pub(super) async fn start(names: &[String]) -> Result<(Self, Vec<Shown>)> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::generate()?;
        let store = Arc::new(Store::open(folder.path(), Duration::ZERO).await?);
        let mut identities = Vec::with_capacity(names.len());
        for name in names {
            let name = VantageName::new(name.as_str())?;
            let identity = authority.issue_agent(&name)?;
            let vantage = Vantage { name, zone: Zone::External, site: String::new() };
            store.register_agent(&vantage, identity.certificate_sha256(), false).await?;
            identities.push(Shown::of(identity));
        }
        let api_listener = TcpListener::bind("127.0.0.1:0").await?;
        let agent_listener = TcpListener::bind("127.0.0.1:0").await?;
        let (api, agents) = (api_listener.local_addr()?, agent_listener.local_addr()?);
        let certificate = authority.certificate().clone();
        let (fleet_view, view) = watch::channel(FleetView::default());
        let parts = ControllerParts {
            store,
            authority,
            agent_names: vec!["localhost".to_owned()],
            token: TokenDigest::of(TOKEN),
            api_listener,
            api_identity: None,
            agent_listener,
            fleet_view,
        };
        let stop = CancellationToken::new();
        let mut terms = Terms::default();
        // Those who come back all the time are to do so as fast as they can.
        terms.limits.agents.sessions = Rate::per_second(1000, 1000);
        let serving = tokio::spawn(serve_with(parts, terms, stop.clone()));
        let api = Endpoint::from_shared(format!("http://{api}"))?.connect().await?;
        let authority = certificate;
        Ok((Self { agents, authority, view, api, stop, serving, _folder: folder }, identities))
    }

    pub(super) async fn end(self) -> Result<()> {
        self.stop.cancel();
        let ended = tokio::time::timeout(END_LIMIT, self.serving).await;
        ended.context("the controller does not end")???;
        Ok(())
    }

    /// A target that only these vantages look at.
    pub(super) async fn target(&self, id: &str, from: &[&str]) -> Result<()> {
        let endpoint = pb::Endpoint {
            name: "published".to_owned(),
            role: pb::endpoint::Role::External.into(),
            url: "https://mail.example.com".to_owned(),
            from: from.iter().map(|it| (*it).to_owned()).collect(),
            ..pb::Endpoint::default()
        };
        let target = pb::Target { endpoints: vec![endpoint], ..pb::Target::default() };
        let request = pb::CreateTargetRequest {
            target_id: id.to_owned(),
            target: Some(target),
            ..pb::CreateTargetRequest::default()
        };
        TargetServiceClient::new(self.api.clone()).create_target(with_token(request)?).await?;
        Ok(())
    }

    /// Begins a diagnosis; gives its name.
    pub(super) async fn diagnose(&self, target: &str) -> Result<String> {
        let diagnosis =
            pb::Diagnosis { target: format!("targets/{target}"), ..pb::Diagnosis::default() };
        let request = pb::CreateDiagnosisRequest {
            diagnosis: Some(diagnosis),
            ..pb::CreateDiagnosisRequest::default()
        };
        let mut client = DiagnosisServiceClient::new(self.api.clone());
        Ok(client.create_diagnosis(with_token(request)?).await?.into_inner().name)
    }

    pub(super) async fn ban(&self, agent: &str) -> Result<()> {
        let request =
            pb::BanAgentRequest { name: format!("agents/{agent}"), reason: "campaign".to_owned() };
        FleetServiceClient::new(self.api.clone()).ban_agent(with_token(request)?).await?;
        Ok(())
    }
}

fn with_token<T>(message: T) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse()?);
    Ok(request)
}
