//! A controller on loopback with a store in a temporary folder, and clients for its API.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parallax_controller::authority::{Authority, Identity};
use parallax_controller::token::TokenDigest;
use parallax_controller::{
    ApiIdentity, ControllerError, ControllerParts, FleetView, Terms, serve_with,
};
use parallax_model::{Vantage, VantageName, Zone};
use parallax_store::Store;
use parallax_wire::pb;
use parallax_wire::pb::account_service_client::AccountServiceClient;
use parallax_wire::pb::catalog_service_client::CatalogServiceClient;
use parallax_wire::pb::diagnosis_service_client::DiagnosisServiceClient;
use parallax_wire::pb::fleet_service_client::FleetServiceClient;
use parallax_wire::pb::target_service_client::TargetServiceClient;
use rustls_pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::agent::ScriptedAgent;

/// Longer than anything here takes; what is waited for longer does not come.
pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Puts the token on every call.
#[derive(Clone)]
pub(crate) struct Bearer(String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.0)).expect("a header");
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

pub(crate) type Api = InterceptedService<Channel, Bearer>;

/// What outlives a controller: its folder and who it is.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    authority: Authority,
    identities: BTreeMap<String, Identity>,
}

pub(crate) struct Bed {
    pub(crate) site: Site,
    pub(crate) store: Arc<Store>,
    pub(crate) agents: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) view: watch::Receiver<FleetView>,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ControllerError>>,
}

pub(crate) fn vantage(name: &str, zone: Zone) -> Vantage {
    Vantage { name: VantageName::new(name).expect("a name"), zone, site: String::new() }
}

impl Bed {
    /// A controller for which these vantages are registered.
    pub(crate) async fn start(vantages: &[(&str, Zone)]) -> Self {
        Self::start_on(Terms::default(), None, vantages).await
    }

    /// The same on other terms; with an identity, the API is served over TLS.
    pub(crate) async fn start_on(
        terms: Terms,
        api_identity: Option<ApiIdentity>,
        vantages: &[(&str, Zone)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let authority = Authority::create(folder.path()).expect("authority");
        let mut site = Site { folder, authority, identities: BTreeMap::new() };
        let store = Store::open(site.folder.path(), SOON).await.expect("store");
        for (name, zone) in vantages {
            let vantage = vantage(name, *zone);
            let identity = site.authority.issue_agent(&vantage.name).expect("issued");
            store
                .register_agent(&vantage, identity.certificate_sha256(), false)
                .await
                .expect("registered");
            site.identities.insert((*name).to_owned(), identity);
        }
        Self::serve(site, store, terms, api_identity).await
    }

    async fn serve(
        site: Site,
        store: Store,
        terms: Terms,
        api_identity: Option<ApiIdentity>,
    ) -> Self {
        let store = Arc::new(store);
        let api_listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let agent_listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let api = api_listener.local_addr().expect("address");
        let agents = agent_listener.local_addr().expect("address");
        let (fleet_view, view) = watch::channel(FleetView::default());
        let parts = ControllerParts {
            store: Arc::clone(&store),
            authority: Authority::open(site.folder.path()).expect("authority"),
            agent_names: vec!["localhost".to_owned()],
            token: TokenDigest::of(TOKEN),
            api_listener,
            api_identity,
            agent_listener,
            fleet_view,
        };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve_with(parts, terms, stop.clone()));
        Self { site, store, agents, api, view, stop, serving }
    }

    /// Stops the controller and waits until it has ended.
    pub(crate) async fn stop(self) -> Site {
        self.stop.cancel();
        let ended = tokio::time::timeout(SOON, self.serving).await.expect("it ends soon");
        ended.expect("no panic").expect("no failure");
        let store = Arc::into_inner(self.store).expect("nobody else holds the store");
        store.close().await;
        self.site
    }

    /// Another controller in the same folder.
    pub(crate) async fn start_again(site: Site) -> Self {
        let store = Store::open(site.folder.path(), SOON).await.expect("store");
        Self::serve(site, store, Terms::default(), None).await
    }

    pub(crate) fn authority(&self) -> CertificateDer<'static> {
        self.site.authority.certificate().clone()
    }

    pub(crate) fn pin(&self) -> [u8; 32] {
        self.site.authority.pin()
    }

    /// A certificate of our authority that nobody registered.
    pub(crate) fn stranger(&self, name: &str) -> Identity {
        let name = VantageName::new(name).expect("a name");
        self.site.authority.issue_agent(&name).expect("issued")
    }

    /// The certificate of a registered agent.
    pub(crate) fn identity(&self, name: &str) -> &Identity {
        self.site.identities.get(name).expect("registered")
    }

    /// An agent with a session.
    pub(crate) async fn agent(&self, name: &str) -> ScriptedAgent {
        ScriptedAgent::join(self, Some(self.identity(name))).await.expect("a session")
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.api)).expect("a URI");
        endpoint.connect().await.expect("connected")
    }

    async fn api_with(&self, token: &str) -> Api {
        InterceptedService::new(self.channel().await, Bearer(token.to_owned()))
    }

    pub(crate) async fn targets(&self) -> TargetServiceClient<Api> {
        TargetServiceClient::new(self.api_with(TOKEN).await)
    }

    pub(crate) async fn targets_as(&self, token: &str) -> TargetServiceClient<Api> {
        TargetServiceClient::new(self.api_with(token).await)
    }

    pub(crate) async fn accounts(&self) -> AccountServiceClient<Api> {
        AccountServiceClient::new(self.api_with(TOKEN).await)
    }

    pub(crate) async fn catalog(&self) -> CatalogServiceClient<Api> {
        CatalogServiceClient::new(self.api_with(TOKEN).await)
    }

    pub(crate) async fn fleet(&self) -> FleetServiceClient<Api> {
        FleetServiceClient::new(self.api_with(TOKEN).await)
    }

    pub(crate) async fn diagnoses(&self) -> DiagnosisServiceClient<Api> {
        DiagnosisServiceClient::new(self.api_with(TOKEN).await)
    }

    /// Registers a target.
    pub(crate) async fn target(
        &self,
        id: &str,
        endpoints: Vec<pb::Endpoint>,
        accounts: Vec<pb::TargetAccount>,
    ) -> pb::Target {
        let target = pb::Target { endpoints, accounts, ..pb::Target::default() };
        let request = pb::CreateTargetRequest {
            target_id: id.to_owned(),
            target: Some(target),
            ..pb::CreateTargetRequest::default()
        };
        self.targets().await.create_target(request).await.expect("created").into_inner()
    }

    /// Starts a diagnosis of a target.
    pub(crate) async fn begin(&self, target: &str) -> pb::Diagnosis {
        let request = pb::CreateDiagnosisRequest {
            diagnosis: Some(pb::Diagnosis {
                target: format!("targets/{target}"),
                ..pb::Diagnosis::default()
            }),
            ..pb::CreateDiagnosisRequest::default()
        };
        self.diagnoses().await.create_diagnosis(request).await.expect("accepted").into_inner()
    }

    /// Watches a diagnosis to its end: every event, the diagnosis last.
    pub(crate) async fn events(
        &self,
        name: &str,
        after_sequence: i32,
    ) -> Vec<pb::WatchDiagnosisResponse> {
        let request = pb::WatchDiagnosisRequest { name: name.to_owned(), after_sequence };
        let mut stream =
            self.diagnoses().await.watch_diagnosis(request).await.expect("a stream").into_inner();
        let mut events = Vec::new();
        let all = async {
            while let Some(event) = stream.message().await.expect("an event") {
                events.push(event);
            }
        };
        tokio::time::timeout(SOON, all).await.expect("it ends soon");
        events
    }

    /// The diagnosis as its watchers are sent it at the end.
    pub(crate) async fn end(&self, name: &str) -> pb::Diagnosis {
        let last = self.events(name, 0).await.pop().expect("an event");
        match last.event {
            Some(pb::watch_diagnosis_response::Event::Diagnosis(diagnosis)) => diagnosis,
            other => panic!("the last event is {other:?}"),
        }
    }
}

pub(crate) fn endpoint(name: &str, role: pb::endpoint::Role, url: &str) -> pb::Endpoint {
    pb::Endpoint {
        name: name.to_owned(),
        role: role.into(),
        url: url.to_owned(),
        ..pb::Endpoint::default()
    }
}

/// The one published endpoint that most tests need.
pub(crate) fn published() -> Vec<pb::Endpoint> {
    vec![endpoint("published", pb::endpoint::Role::External, "https://mail.example.com")]
}
