//! The public API: its services, what stands before them, and the limits of the port.
//!
//! Handlers decode, call and encode; rules live in `registry` and `diagnosis`. Absent on purpose: the agents' service,
//! also from reflection.
//!
//! INVARIANT: whatever an RPC does, its caller passed the permission table first.

mod accounts;
mod catalog;
mod diagnoses;
mod gate;
mod targets;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use catalog::read_language;
use parallax_store::Store;
use parallax_wire::pb;
use parallax_wire::pb::account_service_server::AccountServiceServer;
use parallax_wire::pb::catalog_service_server::CatalogServiceServer;
use parallax_wire::pb::diagnosis_service_server::DiagnosisServiceServer;
use parallax_wire::pb::target_service_server::TargetServiceServer;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Request, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tracing::warn;

use crate::agents::{ERROR_RESETS_MAX, PENDING_RESETS_MAX};
use crate::diagnosis::Coordinator;
use crate::listener::Incoming;
use crate::permissions::Principal;
use crate::reasons::chain;
use crate::registry::Registry;
use crate::token::TokenDigest;

/// In and out, in bytes: a finished diagnosis with its rounds fits.
const MESSAGE_MAX: usize = 4 * 1024 * 1024;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const STREAMS_MAX: u32 = 100;
/// Calls of one connection that are worked on at once; more are refused, not queued.
const CALLS_PER_CONNECTION_MAX: usize = 100;
const HEADER_LIST_MAX: u32 = 16 * 1024;
/// HTTP/2 pings of this port, so that a dead peer is noticed while nothing is sent.
const PING_INTERVAL: Duration = Duration::from_mins(2);
const PING_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks whether the store answers.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// A store that takes longer is not healthy.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);

/// Services whose health is told, besides the whole (the empty name).
const SERVICES: [&str; 4] = [
    "parallax.v1.AccountService",
    "parallax.v1.CatalogService",
    "parallax.v1.DiagnosisService",
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
    #[error("the API's server stopped")]
    Transport(#[from] tonic::transport::Error),
}

pub(crate) struct Api {
    pub coordinator: Coordinator,
    pub registry: Registry,
    pub token: TokenDigest,
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
        })))
        .add_service(limited!(TargetServiceServer::new(targets::TargetRpc {
            registry: api.registry.clone(),
        })))
        .add_service(limited!(AccountServiceServer::new(accounts::AccountRpc {
            registry: api.registry
        })))
        .add_service(limited!(CatalogServiceServer::new(catalog::CatalogRpc)))
        .add_service(HealthServer::new(HealthService::from_health_reporter(api.health)))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
        .load_shed(true)
        .http2_adaptive_window(Some(false))
        .http2_max_header_list_size(HEADER_LIST_MAX)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_LIMIT))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .layer(gate::GateLayer::new(api.token))
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await?;
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
        let status = if matches!(answered, Ok(Ok(_))) {
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
