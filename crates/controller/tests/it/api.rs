//! The API's manners: bad input is refused by field and changes nothing, repeats are recognised, pages end.

use parallax_model::Zone;
use parallax_wire::pb;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::bed::{Bed, TOKEN, endpoint, published};

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!(info.domain, "parallax");
    info.reason
}

fn fields(status: &Status) -> Vec<String> {
    let request = status.get_details_bad_request().expect("a BadRequest");
    request.field_violations.into_iter().map(|it| it.field).collect()
}

fn create(id: &str, target: pb::Target) -> pb::CreateTargetRequest {
    pb::CreateTargetRequest {
        target_id: id.to_owned(),
        target: Some(target),
        ..pb::CreateTargetRequest::default()
    }
}

fn good() -> pb::Target {
    pb::Target { endpoints: published(), ..pb::Target::default() }
}

fn diagnose(target: &str) -> pb::CreateDiagnosisRequest {
    let diagnosis = pb::Diagnosis { target: target.to_owned(), ..pb::Diagnosis::default() };
    pb::CreateDiagnosisRequest {
        diagnosis: Some(diagnosis),
        ..pb::CreateDiagnosisRequest::default()
    }
}

#[tokio::test]
async fn only_the_token_opens_and_it_is_asked_for_first() {
    let bed = Bed::start(&[]).await;
    let wrong = bed.targets_as("wrong").await.create_target(create("Not An Id", good())).await;
    let status = wrong.expect_err("refused");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "TOKEN_WRONG"));
    assert!(!status.message().contains("wrong-token") && !status.message().contains(TOKEN));
    let listed = bed.targets_as(TOKEN).await.list_targets(pb::ListTargetsRequest::default()).await;
    assert!(listed.expect("a list").into_inner().targets.is_empty(), "nothing was changed");
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once_and_nothing_is_changed() {
    let bed = Bed::start(&[]).await;
    let mut target = good();
    target.endpoints.push(endpoint(
        "published",
        pb::endpoint::Role::Unspecified,
        "ftp://mail.example.com",
    ));
    target.accounts.push(pb::TargetAccount {
        account: "accounts/nobody".to_owned(),
        purpose: pb::target_account::Purpose::Subject.into(),
    });
    let request = pb::CreateTargetRequest { request_id: "7".to_owned(), ..create("Shop", target) };
    let status = bed.targets().await.create_target(request).await.expect_err("refused");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "FIELDS_INVALID")
    );
    let fields = fields(&status);
    for field in [
        "request_id",
        "target_id",
        "target.endpoints[1].role",
        "target.endpoints[1].url",
        "target.accounts[0].account",
    ] {
        assert!(fields.iter().any(|it| it == field), "{field} is not in {fields:?}");
    }
    let listed = bed.targets().await.list_targets(pb::ListTargetsRequest::default()).await;
    assert!(listed.expect("a list").into_inner().targets.is_empty());
}

#[tokio::test]
async fn updates_follow_mask_etag_and_validate_only() {
    let bed = Bed::start(&[]).await;
    let created = bed.target("shop", published(), Vec::new()).await;
    let mut client = bed.targets().await;
    let update = |display_name: &str, etag: &str| pb::UpdateTargetRequest {
        target: Some(pb::Target {
            name: "targets/shop".to_owned(),
            display_name: display_name.to_owned(),
            etag: etag.to_owned(),
            ..pb::Target::default()
        }),
        ..pb::UpdateTargetRequest::default()
    };
    let only = pb::UpdateTargetRequest { validate_only: true, ..update("seen", &created.etag) };
    assert_eq!(client.update_target(only).await.expect("valid").into_inner().display_name, "seen");
    let updated =
        client.update_target(update("Shop", &created.etag)).await.expect("updated").into_inner();
    assert_eq!((updated.display_name.as_str(), updated.endpoints.len()), ("Shop", 1));
    assert_ne!(updated.etag, created.etag);
    let stale = client.update_target(update("Late", &created.etag)).await.expect_err("stale");
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    let mut unknown = update("x", "");
    unknown.update_mask = Some(pbjson_types::FieldMask { paths: vec!["colour".to_owned()] });
    let status = client.update_target(unknown).await.expect_err("refused");
    assert_eq!(fields(&status), ["update_mask.paths[0]"]);
    let mut missing = update("New", "");
    missing.target.as_mut().expect("a target").name = "targets/new".to_owned();
    let status = client.update_target(missing.clone()).await.expect_err("missing");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));
    missing.allow_missing = true;
    missing.target.as_mut().expect("a target").endpoints = published();
    assert_eq!(
        client.update_target(missing).await.expect("created").into_inner().name,
        "targets/new"
    );
}

#[tokio::test]
async fn the_same_request_gives_the_same_answer_and_another_under_its_id_is_refused() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8".to_owned();
    let request = pb::CreateTargetRequest { request_id: id.clone(), ..create("shop", good()) };
    let mut client = bed.targets().await;
    let first = client.create_target(request.clone()).await.expect("created").into_inner();
    assert_eq!(client.create_target(request.clone()).await.expect("again").into_inner(), first);
    let other = pb::CreateTargetRequest { target_id: "other".to_owned(), ..request };
    let status = client.create_target(other).await.expect_err("refused");
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let twice = client.create_target(create("shop", good())).await.expect_err("exists");
    assert_eq!(
        (twice.code(), reason(&twice).as_str()),
        (Code::AlreadyExists, "RESOURCE_ALREADY_EXISTS")
    );

    let request = pb::CreateDiagnosisRequest { request_id: id, ..diagnose("targets/shop") };
    let mut client = bed.diagnoses().await;
    let first = client.create_diagnosis(request.clone()).await.expect("accepted").into_inner();
    let again = client.create_diagnosis(request).await.expect("the same").into_inner();
    assert_eq!(first.name, again.name, "one diagnosis, not two");
}

#[tokio::test]
async fn a_diagnosis_that_cannot_tell_anything_is_not_begun() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    let mut client = bed.diagnoses().await;
    let status = client.create_diagnosis(diagnose("targets/none")).await.expect_err("refused");
    assert_eq!(reason(&status), "RESOURCE_NOT_FOUND");
    let resource = status.get_details_resource_info().expect("a ResourceInfo");
    assert_eq!(resource.resource_name, "targets/none");

    let back_end = vec![endpoint("be", pb::endpoint::Role::Backend, "http://be.example.com")];
    bed.target("inner", back_end, Vec::new()).await;
    let status = client.create_diagnosis(diagnose("targets/inner")).await.expect_err("refused");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NO_VANTAGE"));
    assert!(status.message().contains("internal, backend"), "{}", status.message());
    let mut elsewhere = published();
    elsewhere[0].from = vec!["moon".to_owned()];
    bed.target("moon", elsewhere, Vec::new()).await;
    let status = client.create_diagnosis(diagnose("targets/moon")).await.expect_err("refused");
    assert_eq!(reason(&status), "NO_VANTAGE");
    let violations = status.get_details_precondition_failure().expect("a PreconditionFailure");
    assert_eq!(violations.violations[0].subject, "targets/moon");
    let listed = client.list_diagnoses(pb::ListDiagnosesRequest::default()).await.expect("a list");
    assert!(listed.into_inner().diagnoses.is_empty());
}

#[tokio::test]
async fn validation_alone_returns_the_plan_and_changes_nothing() {
    let bed = Bed::start(&[("ext", Zone::External)]).await;
    bed.target("shop", published(), Vec::new()).await;
    let mut client = bed.diagnoses().await;
    let request = pb::CreateDiagnosisRequest { validate_only: true, ..diagnose("targets/shop") };
    let answer = client.create_diagnosis(request).await.expect("a plan").into_inner();
    let plan = answer.plan.expect("a plan");
    assert_eq!((plan.paths.len(), plan.logons_max), (1, 0));
    assert!(!plan.paths[0].connected);
    assert!(plan.gaps.iter().all(|it| !it.text.is_empty()));
    let listed = client.list_diagnoses(pb::ListDiagnosesRequest::default()).await.expect("a list");
    assert!(listed.into_inner().diagnoses.is_empty());
}

#[tokio::test]
async fn accounts_keep_their_secret_and_cannot_be_deleted_while_used() {
    let bed = Bed::start(&[]).await;
    let mut client = bed.accounts().await;
    let account = pb::Account {
        directory: "corp".to_owned(),
        user_names: vec![pb::UserName {
            form: pb::NameForm::Upn.into(),
            login: "a@example.com".to_owned(),
        }],
        secret: "Planted-1".to_owned(),
        ..pb::Account::default()
    };
    let request = |id: &str, account: pb::Account| pb::CreateAccountRequest {
        account_id: id.to_owned(),
        account: Some(account),
        ..pb::CreateAccountRequest::default()
    };
    let bad =
        pb::Account {
            secret: "Plänted-1".to_owned(), directory: String::new(), ..account.clone()
        };
    let status = client.create_account(request("a", bad)).await.expect_err("refused");
    assert_eq!(fields(&status), ["account.directory", "account.secret"]);
    assert!(!format!("{status:?}").contains("nted-1"), "a secret is not repeated");

    let created =
        client.create_account(request("a", account.clone())).await.expect("created").into_inner();
    assert_eq!(
        (created.secret.as_str(), created.warnings.len()),
        ("", 1),
        "a short secret is warned about"
    );
    let status = client.create_account(request("b", account)).await.expect_err("the same account");
    assert_eq!(reason(&status), "ACCOUNT_KEY_TAKEN");

    let used = pb::TargetAccount {
        account: "accounts/a".to_owned(),
        purpose: pb::target_account::Purpose::Witness.into(),
    };
    bed.target("one", published(), vec![used.clone()]).await;
    bed.target("two", published(), vec![used]).await;
    let delete = pb::DeleteAccountRequest { name: "accounts/a".to_owned() };
    let status = client.delete_account(delete.clone()).await.expect_err("in use");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "ACCOUNT_IN_USE")
    );
    assert!(status.message().contains("targets/one, targets/two"), "{}", status.message());
    for name in ["targets/one", "targets/two"] {
        let request =
            pb::DeleteTargetRequest { name: name.to_owned(), ..pb::DeleteTargetRequest::default() };
        bed.targets().await.delete_target(request).await.expect("deleted");
    }
    let rotate = pb::RotateAccountRequest {
        name: "accounts/a".to_owned(),
        secret: "A longer secret".to_owned(),
        ..pb::RotateAccountRequest::default()
    };
    let rotated = client.rotate_account(rotate).await.expect("rotated").into_inner();
    assert_eq!((rotated.secret_version, rotated.warnings.len()), (2, 0));
    client.delete_account(delete).await.expect("deleted");
}

#[tokio::test]
async fn an_oversized_message_and_a_bad_page_are_named() {
    let bed = Bed::start(&[]).await;
    let target = pb::Target { display_name: "x".repeat(5 * 1024 * 1024), ..good() };
    let status =
        bed.targets().await.create_target(create("shop", target)).await.expect_err("too large");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE")
    );
    for (page_size, page_token, field) in [(-1, "", "page_size"), (0, "bogus", "page_token")] {
        let request = pb::ListTargetsRequest { page_size, page_token: page_token.to_owned() };
        let status = bed.targets().await.list_targets(request).await.expect_err("refused");
        assert_eq!(fields(&status), [field]);
    }
    for id in ["a", "b", "c"] {
        bed.target(id, published(), Vec::new()).await;
    }
    let mut request = pb::ListTargetsRequest { page_size: 2, ..pb::ListTargetsRequest::default() };
    let first =
        bed.targets().await.list_targets(request.clone()).await.expect("a page").into_inner();
    request.page_token = first.next_page_token;
    let second = bed.targets().await.list_targets(request).await.expect("a page").into_inner();
    assert_eq!(
        (first.targets.len(), second.targets.len(), second.next_page_token.as_str()),
        (2, 1, "")
    );
}

#[tokio::test]
async fn health_and_reflection_need_no_token_and_do_not_know_the_agents_service() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let bed = Bed::start(&[]).await;
    // The first look at the store may still be under way; a watch tells when it is done.
    let request = HealthCheckRequest { service: "parallax.v1.DiagnosisService".to_owned() };
    let mut health = HealthClient::new(bed.channel().await);
    let mut told = health.watch(request).await.expect("a stream").into_inner();
    while told.message().await.expect("a status").expect("a status").status()
        != ServingStatus::Serving
    {}

    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(bed.channel().await);
    let stream =
        reflection.server_reflection_info(tokio_stream::iter([ask])).await.expect("a stream");
    let answer = stream.into_inner().message().await.expect("an answer").expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list")
    };
    let names: Vec<&str> = list.service.iter().map(|it| it.name.as_str()).collect();
    assert!(names.contains(&"parallax.v1.DiagnosisService"), "{names:?}");
    assert!(names.iter().all(|it| !it.contains("agent")), "{names:?}");
    let mut catalog = bed.catalog().await;
    let faults =
        catalog.list_faults(pb::ListFaultsRequest::default()).await.expect("faults").into_inner();
    assert!(faults.faults.len() >= 17);
}
