//! What an account keeps when the next run describes it in another way: a real store, controller and agent, nothing probed.
//!
//! INVARIANT: no diagnosis is started here; the refusal is written into the ledger as the controller writes it.

use clap::Parser as _;
use parallax_model::{DiagnosisId, EndpointName, TargetId};
use parallax_store::{LogonResult, ReserveRequest};
use tempfile::TempDir;

use super::*;
use crate::cli::{Cli, Command};

const SECRET: &str = "Planted-Refused-1";
const ANOTHER: &str = "Planted-Other-2";

struct Run {
    folder: TempDir,
    store: Arc<Store>,
    running: Running,
}

impl Run {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), Duration::ZERO).await.expect("opens");
        let store = Arc::new(store);
        let request = read(&folder, SECRET, &["--account", "anna@contoso.example"]);
        let running = Running::start(&store, &request).await.expect("runs");
        running.register(&request, &store).await.expect("registered");
        Self { folder, store, running }
    }

    async fn register(&self, secret: &str, options: &[&str]) -> Result<(), Failure> {
        self.running.register(&read(&self.folder, secret, options), &self.store).await
    }

    async fn account(&self) -> pb::Account {
        let list = pb::ListAccountsRequest::default();
        let listed = self.running.client.accounts().list_accounts(call(list)).await;
        let mut accounts = listed.expect("listed").into_inner().accounts;
        assert_eq!(accounts.len(), 1, "{accounts:?}");
        accounts.remove(0)
    }

    async fn is_breaker_open(&self) -> bool {
        self.account().await.budget.expect("a budget").breaker_open
    }

    /// A logon with the present secret that is refused without proof.
    async fn refuse(&self) {
        let name = self.account().await.name;
        let agent = VantageName::new("here").expect("a name");
        let request = ReserveRequest {
            account: AccountId::new(name.trim_start_matches("accounts/")).expect("a name"),
            diagnosis: DiagnosisId::new("d-1").expect("a name"),
            principal: "test".to_owned(),
            agent: agent.clone(),
            target: TargetId::new("mail").expect("a name"),
            endpoint: EndpointName::new("url").expect("a name"),
            server: "mail.contoso.example".to_owned(),
            scheme: "basic".to_owned(),
            cost: 1,
            cas: None,
            scheduled: false,
        };
        let attempt = self.store.reserve(&request).await.expect("answers").expect("granted");
        let nonce = [7; 16];
        self.store.start(&attempt.id, &nonce, &agent).await.expect("answers").expect("starts");
        let refused = LogonResult::Refused { proof: false };
        self.store.settle(&attempt.id, &nonce, refused).await.expect("answers").expect("settles");
        assert!(self.is_breaker_open().await);
    }
}

fn read(folder: &TempDir, secret: &str, options: &[&str]) -> UrlRequest {
    let path = folder.path().join("secret-given");
    std::fs::write(&path, secret).expect("written");
    let path = path.display().to_string();
    let line = ["parallax", "diagnose", "https://mail.contoso.example", "--secret-file", &path];
    let Command::Diagnose(arguments) = Cli::parse_from(line.iter().chain(options)).command else {
        panic!("another command");
    };
    UrlRequest::read(&arguments).expect("right")
}

#[tokio::test]
async fn a_refused_secret_is_not_sent_again_under_another_description() {
    let run = Run::start().await;
    run.refuse().await;
    let before = run.account().await;
    for options in [
        &["--account", r"CORP\anna"][..],
        &["--account", "anna"],
        &["--account", "anna@contoso.example", "--lockout-threshold", "9"],
    ] {
        let failure = run.register(SECRET, options).await.expect_err("refused");
        assert_eq!(failure.code, ExitCode::NotPermitted, "{options:?}");
        assert!(failure.hint.as_deref().is_some_and(|it| it.contains("--release REASON")));
        assert!(!format!("{failure:?}").contains(SECRET));
        assert_eq!(run.account().await, before, "{options:?}");
    }
    // Described as before, it is held in the diagnosis.
    run.register(SECRET, &["--account", "anna@contoso.example"]).await.expect("registered");
    assert_eq!(run.account().await, before);
    run.running.stop().await;
}

#[tokio::test]
async fn another_secret_or_a_release_goes_on_under_another_description() {
    let run = Run::start().await;
    run.refuse().await;
    let empty = run.register("", &["--account", r"CORP\anna"]).await.expect_err("no secret");
    assert_ne!(empty.code, ExitCode::NotPermitted);
    assert!(run.is_breaker_open().await, "what cannot be taken changes nothing");
    run.register(ANOTHER, &["--account", r"CORP\anna"]).await.expect("registered");
    assert!(!run.is_breaker_open().await);
    assert_eq!(run.account().await.user_names[0].login, r"CORP\anna");
    run.running.stop().await;

    let run = Run::start().await;
    run.refuse().await;
    let released = ["--account", r"CORP\anna", "--release", "it was typed wrong at the server"];
    run.register(SECRET, &released).await.expect("registered");
    assert!(!run.is_breaker_open().await);
    assert_eq!(run.account().await.budget.expect("a budget").charged, 1, "the charge stays");
    run.running.stop().await;
}
