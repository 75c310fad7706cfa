//! What the campaign asks of the API.

use std::time::Duration;

use anyhow::Context as _;
use parallax_wire::pb;
use parallax_wire::pb::account_service_client::AccountServiceClient;
use parallax_wire::pb::diagnosis_service_client::DiagnosisServiceClient;
use parallax_wire::pb::fleet_service_client::FleetServiceClient;
use parallax_wire::pb::target_service_client::TargetServiceClient;
use parallax_world::register::Registration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::network::Stage;

const CALL_LIMIT: Duration = Duration::from_secs(5);
/// What a diagnosis is given.
const DIAGNOSIS_LIMIT: Duration = Duration::from_mins(1);

fn channel(stage: &Stage) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{}", stage.api))?.connect_lazy())
}

fn request<T>(stage: &Stage, message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_LIMIT);
    let token = format!("Bearer {}", stage.token).parse().context("a token")?;
    request.metadata_mut().insert("authorization", token);
    Ok(request)
}

pub(super) async fn answers(stage: &Stage) -> bool {
    let asked = async {
        let mut client = TargetServiceClient::new(channel(stage)?);
        client.list_targets(request(stage, pb::ListTargetsRequest::default())?).await?;
        anyhow::Ok(())
    };
    asked.await.is_ok()
}

/// Whether every agent has a session.
pub(super) async fn all_connected(stage: &Stage) -> anyhow::Result<bool> {
    let mut client = FleetServiceClient::new(channel(stage)?);
    let listed = client.list_agents(request(stage, pb::ListAgentsRequest::default())?).await?;
    let connected = listed
        .into_inner()
        .agents
        .iter()
        .filter(|it| it.state() == pb::agent::State::Connected)
        .count();
    Ok(connected == stage.agents.len())
}

pub(super) async fn bring_in(stage: &Stage, registration: &Registration) -> anyhow::Result<()> {
    let mut accounts = AccountServiceClient::new(channel(stage)?);
    for it in &registration.accounts {
        let message = pb::CreateAccountRequest {
            account_id: it.id.clone(),
            account: Some(it.account.clone()),
            ..pb::CreateAccountRequest::default()
        };
        accounts.create_account(request(stage, message)?).await?;
    }
    let message = pb::CreateTargetRequest {
        target_id: registration.target_id.clone(),
        target: Some(registration.target.clone()),
        ..pb::CreateTargetRequest::default()
    };
    TargetServiceClient::new(channel(stage)?).create_target(request(stage, message)?).await?;
    Ok(())
}

/// Asks for a diagnosis. `Err`: it was not answered, so it may exist or not.
pub(super) async fn create(stage: &Stage, target: &str, id: &str) -> anyhow::Result<()> {
    let message = pb::CreateDiagnosisRequest {
        diagnosis_id: id.to_owned(),
        diagnosis: Some(pb::Diagnosis {
            target: format!("targets/{target}"),
            time_limit: Some(parallax_wire::encode_duration(DIAGNOSIS_LIMIT)),
            ..pb::Diagnosis::default()
        }),
        ..pb::CreateDiagnosisRequest::default()
    };
    let mut client = DiagnosisServiceClient::new(channel(stage)?);
    client.create_diagnosis(request(stage, message)?).await?;
    Ok(())
}

/// `Ok(None)`: there is none of this name.
pub(super) async fn diagnosis(stage: &Stage, id: &str) -> anyhow::Result<Option<pb::Diagnosis>> {
    let message = pb::GetDiagnosisRequest { name: format!("diagnoses/{id}"), ..Default::default() };
    let mut client = DiagnosisServiceClient::new(channel(stage)?);
    found(client.get_diagnosis(request(stage, message)?).await.map(tonic::Response::into_inner))
}

pub(super) async fn account(stage: &Stage, id: &str) -> anyhow::Result<Option<pb::Account>> {
    let message = pb::GetAccountRequest { name: format!("accounts/{id}") };
    let mut client = AccountServiceClient::new(channel(stage)?);
    found(client.get_account(request(stage, message)?).await.map(tonic::Response::into_inner))
}

/// Somebody looked at the refusal: the next diagnosis may try again.
pub(super) async fn release(stage: &Stage, id: &str) -> anyhow::Result<()> {
    let reason = "the campaign goes on".to_owned();
    let message = pb::ReleaseAccountRequest { name: format!("accounts/{id}"), reason };
    AccountServiceClient::new(channel(stage)?).release_account(request(stage, message)?).await?;
    Ok(())
}

fn found<T>(answer: Result<T, Status>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(it) => Ok(Some(it)),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}
