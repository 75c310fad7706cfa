//! `CatalogService`: the faults and their manual pages. Nothing here depends on a customer.

use parallax_faults::{Language, catalogue};
use parallax_wire::pb;
use parallax_wire::pb::catalog_service_server::CatalogService;
use tonic::{Request, Response, Status};

use crate::reasons::Refusal;
use crate::render::fault;

/// Entries of a page when nothing is said, and at the most (AIP-158).
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 1000;

#[derive(Debug)]
pub(super) struct CatalogRpc;

#[tonic::async_trait]
impl CatalogService for CatalogRpc {
    async fn get_fault(
        &self,
        request: Request<pb::GetFaultRequest>,
    ) -> Result<Response<pb::Fault>, Status> {
        Ok(Response::new(get(&request.into_inner())?))
    }

    async fn list_faults(
        &self,
        request: Request<pb::ListFaultsRequest>,
    ) -> Result<Response<pb::ListFaultsResponse>, Status> {
        Ok(Response::new(list(&request.into_inner())?))
    }
}

/// The language of a tag; English if none is given.
pub(crate) fn read_language(tag: &str, field: &str) -> Result<Language, Refusal> {
    if tag.is_empty() {
        return Ok(Language::default());
    }
    Language::from_tag(tag).ok_or_else(|| {
        Refusal::field(field, format!("`{tag}` is not a language of the texts; use en or ja"))
    })
}

fn get(request: &pb::GetFaultRequest) -> Result<pb::Fault, Refusal> {
    let language = read_language(&request.language, "language")?;
    let id = request.name.strip_prefix("faults/");
    let id = id.ok_or_else(|| {
        Refusal::field("name", format!("`{}` is not `faults/{{id}}`", request.name))
    })?;
    let entry = catalogue().find(|it| it.id.0 == id);
    let entry = entry.ok_or_else(|| Refusal::not_found("parallax/Fault", request.name.clone()))?;
    Ok(fault(entry, language))
}

/// By id. The token is the id of the last entry shown.
fn list(request: &pb::ListFaultsRequest) -> Result<pb::ListFaultsResponse, Refusal> {
    let language = read_language(&request.language, "language")?;
    let size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE_DEFAULT,
        Ok(size) => size.min(PAGE_MAX),
        Err(_) => {
            return Err(Refusal::field(
                "page_size",
                format!("is {}; give 0 to 1000", request.page_size),
            ));
        }
    };
    let mut entries: Vec<_> = catalogue().collect();
    entries.sort_by_key(|it| it.id.0);
    let token = request.page_token.as_str();
    if !token.is_empty() && !entries.iter().any(|it| it.id.0 == token) {
        return Err(Refusal::field(
            "page_token",
            "is not one of this list; take it from the answer before",
        ));
    }
    let rest: Vec<_> = entries.into_iter().filter(|it| it.id.0 > token).collect();
    let has_more = rest.len() > size;
    let page = &rest[..rest.len().min(size)];
    let next_page_token = page.last().filter(|_| has_more).map(|it| it.id.0.to_owned());
    Ok(pb::ListFaultsResponse {
        faults: page.iter().map(|it| fault(it, language)).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_show_every_fault_once_and_end() {
        let mut request =
            pb::ListFaultsRequest { page_size: 5, ..pb::ListFaultsRequest::default() };
        let mut names = Vec::new();
        loop {
            let answer = list(&request).expect("a page");
            names.extend(answer.faults.into_iter().map(|it| it.name));
            if answer.next_page_token.is_empty() {
                break;
            }
            request.page_token = answer.next_page_token;
        }
        assert_eq!(names.len(), catalogue().count());
        assert!(names.is_sorted());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |name: &str, language: &str| {
            let request =
                pb::GetFaultRequest { name: name.to_owned(), language: language.to_owned() };
            get(&request).err().map(|it| it.reason().word())
        };
        assert_eq!(wrong("bad_password", ""), Some("FIELDS_INVALID"));
        assert_eq!(wrong("faults/bad_password", "fr"), Some("FIELDS_INVALID"));
        assert_eq!(wrong("faults/none_such", "en"), Some("RESOURCE_NOT_FOUND"));
        assert_eq!(wrong("faults/bad_password", "ja"), None);
    }
}
