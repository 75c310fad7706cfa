//! `AccountService`: decode, call, encode. What goes in as a secret never comes out.

use parallax_wire::pb;
use parallax_wire::pb::account_service_server::AccountService;
use tonic::{Request, Response, Status};

use super::principal;
use crate::registry::Registry;

#[derive(Debug)]
pub(super) struct AccountRpc {
    pub registry: Registry,
}

#[tonic::async_trait]
impl AccountService for AccountRpc {
    async fn create_account(
        &self,
        request: Request<pb::CreateAccountRequest>,
    ) -> Result<Response<pb::Account>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.create_account(&principal, request.into_inner()).await?))
    }

    async fn get_account(
        &self,
        request: Request<pb::GetAccountRequest>,
    ) -> Result<Response<pb::Account>, Status> {
        Ok(Response::new(self.registry.account(&request.into_inner().name).await?))
    }

    async fn list_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Result<Response<pb::ListAccountsResponse>, Status> {
        let page = self.registry.accounts(request.into_inner()).await?;
        let answer =
            pb::ListAccountsResponse { accounts: page.items, next_page_token: page.next_token };
        Ok(Response::new(answer))
    }

    async fn rotate_account(
        &self,
        request: Request<pb::RotateAccountRequest>,
    ) -> Result<Response<pb::Account>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.rotate_account(&principal, request.into_inner()).await?))
    }

    async fn release_account(
        &self,
        request: Request<pb::ReleaseAccountRequest>,
    ) -> Result<Response<pb::Account>, Status> {
        let principal = principal(&request)?;
        Ok(Response::new(self.registry.release_account(&principal, request.into_inner()).await?))
    }

    async fn delete_account(
        &self,
        request: Request<pb::DeleteAccountRequest>,
    ) -> Result<Response<pbjson_types::Empty>, Status> {
        let principal = principal(&request)?;
        self.registry.delete_account(&principal, &request.into_inner().name).await?;
        Ok(Response::new(pbjson_types::Empty {}))
    }
}
