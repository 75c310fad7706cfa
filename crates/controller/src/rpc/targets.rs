//! `TargetService`: decode, call, encode.

use parallax_wire::pb;
use parallax_wire::pb::target_service_server::TargetService;
use tonic::{Request, Response, Status};

use super::principal;
use crate::registry::Registry;

#[derive(Debug)]
pub(super) struct TargetRpc {
    pub registry: Registry,
}

#[tonic::async_trait]
impl TargetService for TargetRpc {
    async fn create_target(
        &self,
        request: Request<pb::CreateTargetRequest>,
    ) -> Result<Response<pb::Target>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.create_target(&principal, request.into_inner()).await?))
    }

    async fn get_target(
        &self,
        request: Request<pb::GetTargetRequest>,
    ) -> Result<Response<pb::Target>, Status> {
        Ok(Response::new(self.registry.target(&request.into_inner().name).await?))
    }

    async fn list_targets(
        &self,
        request: Request<pb::ListTargetsRequest>,
    ) -> Result<Response<pb::ListTargetsResponse>, Status> {
        let page = self.registry.targets(request.into_inner()).await?;
        let answer =
            pb::ListTargetsResponse { targets: page.items, next_page_token: page.next_token };
        Ok(Response::new(answer))
    }

    async fn update_target(
        &self,
        request: Request<pb::UpdateTargetRequest>,
    ) -> Result<Response<pb::Target>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.update_target(&principal, request.into_inner()).await?))
    }

    async fn delete_target(
        &self,
        request: Request<pb::DeleteTargetRequest>,
    ) -> Result<Response<pbjson_types::Empty>, Status> {
        self.registry.delete_target(request.into_inner()).await?;
        Ok(Response::new(pbjson_types::Empty {}))
    }
}
