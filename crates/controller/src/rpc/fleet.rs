//! `FleetService`: decode, call, encode. The token of a `JoinToken` is in one answer and nowhere else.

use parallax_wire::pb;
use parallax_wire::pb::fleet_service_server::FleetService;
use tonic::{Request, Response, Status};

use super::principal;
use crate::registry::FleetRegistry;

#[derive(Debug)]
pub(super) struct FleetRpc {
    pub registry: FleetRegistry,
}

#[tonic::async_trait]
impl FleetService for FleetRpc {
    async fn create_join_token(
        &self,
        request: Request<pb::CreateJoinTokenRequest>,
    ) -> Result<Response<pb::JoinToken>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.create_token(&principal, request.into_inner()).await?))
    }

    async fn get_agent(
        &self,
        request: Request<pb::GetAgentRequest>,
    ) -> Result<Response<pb::Agent>, Status> {
        Ok(Response::new(self.registry.agent(&request.into_inner().name).await?))
    }

    async fn list_agents(
        &self,
        request: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        let page = self.registry.agents(request.into_inner()).await?;
        let answer =
            pb::ListAgentsResponse { agents: page.items, next_page_token: page.next_token };
        Ok(Response::new(answer))
    }

    async fn drain_agent(
        &self,
        request: Request<pb::DrainAgentRequest>,
    ) -> Result<Response<pb::Agent>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.drain(&principal, &request.into_inner().name, true).await?))
    }

    async fn resume_agent(
        &self,
        request: Request<pb::ResumeAgentRequest>,
    ) -> Result<Response<pb::Agent>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.drain(&principal, &request.into_inner().name, false).await?))
    }

    async fn ban_agent(
        &self,
        request: Request<pb::BanAgentRequest>,
    ) -> Result<Response<pb::Agent>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.ban(&principal, request.into_inner()).await?))
    }

    async fn delete_agent(
        &self,
        request: Request<pb::DeleteAgentRequest>,
    ) -> Result<Response<pbjson_types::Empty>, Status> {
        let principal = principal(&request)?;
        self.registry.delete(&principal, &request.into_inner().name).await?;
        Ok(Response::new(pbjson_types::Empty {}))
    }
}
