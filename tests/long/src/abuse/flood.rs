//! Floods of well-formed calls and messages: an operator's token in a tight loop, and an agent that never pauses.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use hyper_util::rt::TokioIo;
use parallax_wire::pb;
use parallax_wire::pb::link as wire;
use parallax_wire::pb::link::agent_service_client::AgentServiceClient;
use parallax_wire::pb::link::session_request::Message as Say;
use parallax_wire::pb::target_service_client::TargetServiceClient;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::herd::bed::call;
use crate::herd::light::Agent;

/// How the calls of a flood ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    pub done: u64,
    /// With `RESOURCE_EXHAUSTED`.
    pub refused: u64,
    /// In any other way.
    pub other: u64,
}

/// So many callers that list targets without a pause, each on a connection of its own.
pub(super) async fn flood_api(api: SocketAddr, callers: usize, until: Instant) -> Result<Answers> {
    let mut all = JoinSet::new();
    for _ in 0..callers {
        all.spawn(async move {
            let channel = Endpoint::from_shared(format!("http://{api}"))?.connect_lazy();
            let mut client = TargetServiceClient::new(channel);
            let mut answers = Answers::default();
            while Instant::now() < until {
                let request = pb::ListTargetsRequest::default();
                let request = call(request, std::time::Duration::from_secs(10))?;
                match client.list_targets(request).await {
                    Ok(_) => answers.done += 1,
                    Err(status) if status.code() == Code::ResourceExhausted => answers.refused += 1,
                    // A connection that has had its calls is asked to end; a call may find it gone.
                    Err(status) if status.code() == Code::Unavailable => {}
                    Err(_) => answers.other += 1,
                }
            }
            Ok::<_, anyhow::Error>(answers)
        });
    }
    let mut sum = Answers::default();
    while let Some(one) = all.join_next().await {
        let Answers { done, refused, other } = one??;
        sum.done += done;
        sum.refused += refused;
        sum.other += other;
    }
    Ok(sum)
}

/// One registered agent that says nothing but results of tasks that do not exist, as fast as it can. How many it got rid of.
pub(super) async fn flood_session(agent: Agent, port: SocketAddr, until: Instant) -> Result<u64> {
    let (say, requests) = mpsc::channel(64);
    let hello = Say::Hello(wire::Hello { protocol: 1, ..wire::Hello::default() });
    say.try_send(wire::SessionRequest { message: Some(hello) }).ok().context("no room")?;
    let tls = TlsConnector::from(Arc::clone(&agent.tls));
    let connector = tower::service_fn(move |_| {
        let tls = tls.clone();
        async move {
            let tcp = TcpStream::connect(port).await?;
            tls.connect(ServerName::from(port.ip()), tcp).await.map(TokioIo::new)
        }
    });
    let channel =
        Endpoint::from_static("http://controller").connect_with_connector(connector).await?;
    let mut told =
        AgentServiceClient::new(channel).session(ReceiverStream::new(requests)).await?.into_inner();
    let listens = async { while let Ok(Some(_)) = told.message().await {} };
    let mut sent = 0;
    let says = async {
        loop {
            let task = format!("none-{sent}");
            let result = wire::Result { task, ..wire::Result::default() };
            let message = wire::SessionRequest { message: Some(Say::Result(result)) };
            match timeout_at(until, say.send(message)).await {
                Ok(Ok(())) => sent += 1,
                Ok(Err(_)) | Err(_) => return,
            }
        }
    };
    tokio::select! {
        () = listens => {}
        () = says => {}
    }
    Ok(sent)
}
