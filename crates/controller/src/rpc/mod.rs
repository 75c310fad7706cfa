//! The public API: its services, what stands before them, and the limits of the port.
//!
//! Handlers decode, call and encode; rules live in `registry` and `diagnosis`. Absent on purpose: the agents' service,
//! also from reflection.
//!
//! INVARIANT: whatever an RPC does, its caller passed the permission table first.

mod accounts;
mod callers;
mod catalog;
mod diagnoses;
mod door;
mod fleet;
mod gate;
mod targets;

use std::sync::Arc;
use std::time::Duration;

use callers::Callers;
pub(crate) use catalog::read_language;
use parallax_store::Store;
use parallax_wire::pb;
use parallax_wire::pb::account_service_server::AccountServiceServer;
use parallax_wire::pb::catalog_service_server::CatalogServiceServer;
use parallax_wire::pb::diagnosis_service_server::DiagnosisServiceServer;
use parallax_wire::pb::fleet_service_server::FleetServiceServer;
use parallax_wire::pb::target_service_server::TargetServiceServer;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::Layer as _;
use tracing::warn;

use crate::connections::{Http2, serve_connections};
use crate::diagnosis::Coordinator;
use crate::limits::{Limits, Rates};
use crate::listener::Incoming;
use crate::permissions::Principal;
use crate::reasons::chain;
use crate::registry::{FleetRegistry, Registry};
use crate::token::TokenDigest;

/// In and out, in bytes: a finished diagnosis with its rounds fits.
const MESSAGE_MAX: usize = 4 * 1024 * 1024;
/// Its pings notice a dead peer while nothing is sent.
const HTTP2: Http2 = Http2 {
    streams_max: 100,
    ping_interval: Duration::from_mins(2),
    ping_limit: Duration::from_secs(20),
};
/// Between two looks whether the store answers.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// A store that takes longer is not healthy.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);

/// Services whose health is told, besides the whole (the empty name).
const SERVICES: [&str; 5] = [
    "parallax.v1.AccountService",
    "parallax.v1.CatalogService",
    "parallax.v1.DiagnosisService",
    "parallax.v1.FleetService",
    "parallax.v1.TargetService",
];

/// Who calls; the gate has put it there.
fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    request
        .extensions()
        .get::<Principal>()
        .cloned()
        .ok_or_else(|| Status::internal("the call passed no gate"))
}

/// Why the API could not be put together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the descriptors for reflection cannot be read")]
    Reflection(#[from] tonic_reflection::server::Error),
}

pub(crate) struct Api {
    pub coordinator: Coordinator,
    pub registry: Registry,
    pub fleet: FleetRegistry,
    pub token: TokenDigest,
    /// Who may call besides the holder of the token.
    pub callers: Vec<(TokenDigest, Principal)>,
    pub limits: Limits,
    pub health: HealthReporter,
}

macro_rules! limited {
    ($server:expr) => {
        $server.max_decoding_message_size(MESSAGE_MAX).max_encoding_message_size(MESSAGE_MAX)
    };
}

/// Serves the API until `stop`.
pub(crate) async fn serve_api(
    api: Api,
    incoming: Incoming,
    stop: CancellationToken,
) -> Result<(), ApiError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::builder();
    routes
        .add_service(limited!(DiagnosisServiceServer::new(diagnoses::DiagnosisRpc {
            coordinator: api.coordinator,
            of_target: Rates::new(api.limits.api.diagnoses_of_target),
        })))
        .add_service(limited!(TargetServiceServer::new(targets::TargetRpc {
            registry: api.registry.clone(),
        })))
        .add_service(limited!(AccountServiceServer::new(accounts::AccountRpc {
            registry: api.registry
        })))
        .add_service(limited!(FleetServiceServer::new(fleet::FleetRpc { registry: api.fleet })))
        .add_service(limited!(CatalogServiceServer::new(catalog::CatalogRpc)))
        .add_service(HealthServer::new(HealthService::from_health_reporter(api.health)))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let service = gate::GateLayer::new(Callers::new(api.token, api.callers), &api.limits.api)
        .layer(routes.routes().prepare());
    serve_connections(incoming, service, HTTP2, api.limits.api_port, stop).await;
    Ok(())
}

/// Tells by the health service whether the store answers, until `stop`; then not serving.
pub(crate) async fn watch_health(
    store: Arc<Store>,
    health: HealthReporter,
    stop: CancellationToken,
) {
    let mut before = None;
    loop {
        let answered = tokio::time::timeout(HEALTH_LIMIT, store.agents()).await;
        match &answered {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!(error = chain(error), "the store does not answer"),
            Err(_) => warn!("the store does not answer in time"),
        }
        // Nothing new is accepted while the disk is full.
        let status = if matches!(answered, Ok(Ok(_))) && !store.is_short_of_room() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        if before != Some(status) {
            tell(&health, status).await;
            before = Some(status);
        }
        if stop.run_until_cancelled(tokio::time::sleep(HEALTH_INTERVAL)).await.is_none() {
            break;
        }
    }
    tell(&health, ServingStatus::NotServing).await;
}

/// Registers every service as not serving yet.
pub(crate) async fn begin_health(health: &HealthReporter) {
    tell(health, ServingStatus::NotServing).await;
}

async fn tell(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, status).await;
    }
}
