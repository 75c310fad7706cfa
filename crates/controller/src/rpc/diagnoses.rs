//! `DiagnosisService`: decode, call, encode. Dropping `Diagnose` or `WatchDiagnosis` stops waiting, never the diagnosis.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use parallax_model::TargetId;
use parallax_wire::pb;
use parallax_wire::pb::diagnosis_service_server::DiagnosisService;
use tonic::{Request, Response, Status};

use super::door::too_often;
use super::gate::CallDeadline;
use super::principal;
use crate::diagnosis::Coordinator;
use crate::limits::Rates;
use crate::reasons::Refusal;

#[derive(Debug)]
pub(super) struct DiagnosisRpc {
    pub coordinator: Coordinator,
    pub of_target: Rates<TargetId>,
}

impl DiagnosisRpc {
    /// Counts a diagnosis of a target, whoever asks. A name that is none is refused later, with what would be right.
    fn count(&self, asked: Option<&pb::Diagnosis>) -> Result<(), Refusal> {
        let name = asked.and_then(|it| it.target.strip_prefix("targets/"));
        let Some(target) = name.and_then(|it| TargetId::new(it).ok()) else { return Ok(()) };
        self.of_target.take(&target).map_err(|wait| {
            too_often(format!("`targets/{target}` is diagnosed too often"), "target", wait)
        })
    }
}

#[tonic::async_trait]
impl DiagnosisService for DiagnosisRpc {
    async fn create_diagnosis(
        &self,
        request: Request<pb::CreateDiagnosisRequest>,
    ) -> Result<Response<pb::Diagnosis>, Status> {
        let principal = principal(&request)?;
        self.count(request.get_ref().diagnosis.as_ref())?;
        Ok(Response::new(self.coordinator.create(&principal, request.into_inner()).await?))
    }

    async fn diagnose(
        &self,
        request: Request<pb::DiagnoseRequest>,
    ) -> Result<Response<pb::Diagnosis>, Status> {
        let principal = principal(&request)?;
        self.count(request.get_ref().diagnosis.as_ref())?;
        let deadline = request.extensions().get::<CallDeadline>().and_then(|it| it.0);
        let diagnosis =
            self.coordinator.diagnose(&principal, request.into_inner(), deadline).await?;
        Ok(Response::new(diagnosis))
    }

    async fn get_diagnosis(
        &self,
        request: Request<pb::GetDiagnosisRequest>,
    ) -> Result<Response<pb::Diagnosis>, Status> {
        Ok(Response::new(self.coordinator.get(request.into_inner()).await?))
    }

    async fn list_diagnoses(
        &self,
        request: Request<pb::ListDiagnosesRequest>,
    ) -> Result<Response<pb::ListDiagnosesResponse>, Status> {
        let page = self.coordinator.list(request.into_inner()).await?;
        let answer =
            pb::ListDiagnosesResponse { diagnoses: page.items, next_page_token: page.next_token };
        Ok(Response::new(answer))
    }

    type WatchDiagnosisStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchDiagnosisResponse, Status>> + Send>>;

    async fn watch_diagnosis(
        &self,
        request: Request<pb::WatchDiagnosisRequest>,
    ) -> Result<Response<Self::WatchDiagnosisStream>, Status> {
        let events = self.coordinator.watch(request.into_inner()).await?;
        Ok(Response::new(Box::pin(events.map(|event| event.map_err(Refusal::into_status)))))
    }

    async fn cancel_diagnosis(
        &self,
        request: Request<pb::CancelDiagnosisRequest>,
    ) -> Result<Response<pb::Diagnosis>, Status> {
        Ok(Response::new(self.coordinator.cancel(&request.into_inner().name).await?))
    }
}
