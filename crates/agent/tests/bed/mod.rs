//! One agent between a scripted controller and a small target, all on loopback, everything real but the script.

mod controller;
mod target;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parallax_agent::{AgentSettings, Identity, NamedHost, Policy, Timings, run};
use parallax_model::{
    AccountId, DiagnosisId, Endpoint, EndpointName, Limits, LogonTask, Look, NameForm, Place, Role,
    Task, Trust, UserName, Zone,
};
use parallax_probe::{Dial, Instrument, Mapped, Route};
use parallax_wire::encode_offer;
use parallax_wire::pb::link as wire;
use rustls_pki_types::ServerName;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use controller::{Asked, Authority, Call, Controller, FRESH, SECRET, Session, go};
pub(crate) use target::Target;

/// Nothing in these tests takes so long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// The declared address of the target.
const DECLARED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 8);
/// A declared address where nothing ever answers.
const SILENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

/// Waits for something that has to happen.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect(what)
}

/// A running agent with its controller and target.
pub(crate) struct Bed {
    pub(crate) controller: Controller,
    pub(crate) target: Target,
    pub(crate) stop: CancellationToken,
    agent: JoinSet<()>,
}

pub(crate) fn quick() -> Timings {
    Timings {
        reconnect_base: Duration::from_millis(10),
        reconnect_cap: Duration::from_millis(50),
        drain: Duration::ZERO,
        farewell: Duration::from_millis(50),
        ..Timings::default()
    }
}

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::with(quick()).await
    }

    pub(crate) async fn with(timings: Timings) -> Self {
        let authority = Authority::new();
        let controller = Controller::start(&authority).await;
        Self::between(controller, &authority, timings).await
    }

    /// An agent that takes only this authority's word for who the controller is.
    pub(crate) async fn between(
        controller: Controller,
        authority: &Authority,
        timings: Timings,
    ) -> Self {
        let mut settings = settings(&controller.address.to_string());
        settings.timings = timings;
        Self::run(controller, authority.agent("hq"), settings).await
    }

    /// An agent with these settings.
    pub(crate) async fn run(
        controller: Controller,
        identity: Identity,
        settings: AgentSettings,
    ) -> Self {
        let target = Target::start().await;
        let hosts = [DECLARED, SILENT].map(|it| NamedHost::of(&endpoint(it)));
        let policy = Policy::world(Zone::Internal, hosts.to_vec());
        let routes =
            BTreeMap::from([(SocketAddr::from((DECLARED, 80)), Route::To(target.address))]);
        let dial = Dial::Mapped(Arc::new(Mapped {
            routes,
            otherwise: Route::Silent,
            name_servers: Vec::new(),
            public_roots: Vec::new(),
            store_roots: Vec::new(),
        }));
        let instrument = Instrument::new(dial).expect("an instrument");
        let stop = CancellationToken::new();
        let mut agent = JoinSet::new();
        let running = run(settings, identity, instrument, policy, stop.clone());
        agent.spawn(async move { running.await.expect("the agent runs") });
        Self { controller, target, stop, agent }
    }

    /// Stops the agent; it has to end by itself.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended().await;
    }

    /// Waits for the agent's end; the controller is for the next one.
    pub(crate) async fn ended(mut self) -> Controller {
        let ended = soon("the agent's end", self.agent.join_next()).await;
        ended.expect("one agent").expect("no panic");
        self.controller
    }

    /// Ends the agent as a crash would.
    pub(crate) async fn kill(mut self) -> Controller {
        self.agent.shutdown().await;
        self.controller
    }
}

/// Of an agent that keeps everything in memory.
pub(crate) fn settings(controller: &str) -> AgentSettings {
    let name = ServerName::try_from("controller.test").expect("a name");
    let mut settings = AgentSettings::new(controller, name);
    settings.timings = quick();
    settings
}

fn endpoint(address: Ipv4Addr) -> Endpoint {
    Endpoint {
        name: EndpointName::new("be03").expect("a name"),
        role: Role::Backend,
        is_https: false,
        host: format!("be03-{}.corp.example", address.octets()[3]),
        port: 80,
        path: "/Microsoft-Server-ActiveSync".to_owned(),
        generation: None,
        connect: Some(address.into()),
        trust: Trust::default(),
        from: Vec::new(),
        published_on: Vec::new(),
        allow_plaintext_logon: true,
        logon_cost: None,
    }
}

fn task(id: &str, address: Ipv4Addr) -> Task {
    Task {
        id: id.to_owned(),
        diagnosis: DiagnosisId::new("d1").expect("a name"),
        endpoint: endpoint(address),
        looks: vec![Look::OPTIONS],
        logon: None,
        only_address: None,
        without_sni: false,
        limits: Limits::STANDARD,
    }
}

/// An anonymous look at the target.
pub(crate) fn look(id: &str) -> wire::Offer {
    encode_offer(&task(id, DECLARED), wire::Lane::OnDemand, "")
}

/// An anonymous look at an address where nothing answers.
pub(crate) fn endless_look(id: &str) -> wire::Offer {
    encode_offer(&task(id, SILENT), wire::Lane::OnDemand, "")
}

/// The same for a schedule.
pub(crate) fn scheduled_look(id: &str) -> wire::Offer {
    encode_offer(&task(id, SILENT), wire::Lane::Scheduled, "")
}

/// A look at a host that the policy does not name.
pub(crate) fn forbidden_look(id: &str) -> wire::Offer {
    let mut task = task(id, DECLARED);
    "dc1.corp.example".clone_into(&mut task.endpoint.host);
    encode_offer(&task, wire::Lane::OnDemand, "")
}

/// A logon at the target, as attempt `a-{id}`.
pub(crate) fn logon(id: &str) -> wire::Offer {
    let mut task = task(id, DECLARED);
    task.limits = Limits::LOGON;
    task.logon = Some(LogonTask {
        attempt: format!("a-{id}"),
        account: AccountId::new("anna").expect("a name"),
        name: UserName { form: NameForm::Domain, login: "CORP\\anna".to_owned() },
        place: Place::ActiveSync,
    });
    encode_offer(&task, wire::Lane::OnDemand, "")
}
