//! `parallax controller`: runs a controller until it is stopped; `init` makes what it needs once.
//!
//! INVARIANT: nothing is opened or bound before all settings were found right.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parallax_controller::authority::{
    AUTHORITY_FILE, AUTHORITY_KEY_FILE, Authority, AuthorityError,
};
use parallax_controller::check::{check, writable_by_others};
use parallax_controller::init::{InitRequest, init};
use parallax_controller::settings::{ApiSecurity, ControllerSettings, WrittenSettings};
use parallax_controller::token::{TOKEN_FILE, TokenDigest};
use parallax_controller::{ApiIdentity, ControllerParts, FleetView, serve};
use parallax_process::{ExitCode, Layers, Mistakes, SettingsError, read_settings};
use parallax_store::{Store, StoreError};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::{ControllerCommand, ControllerInitArguments, ControllerRunArguments, Language};
use crate::failure::Failure;
use crate::render::{Screen, check_page, init_page, words};
use crate::running::{until_interrupted, until_stopped};

/// Settings in the environment begin with this, as `PARALLAX_CONTROLLER_DATA_FOLDER`.
const ENVIRONMENT_PREFIX: &str = "PARALLAX_CONTROLLER";
/// Names with this prefix that are no settings: they stand for options of the command line.
const NO_SETTINGS: [&str; 1] = ["PARALLAX_CONTROLLER_CONFIG"];
/// A controller that is being restarted waits this long for the one before to leave the data folder.
const STORE_WAIT: Duration = Duration::from_secs(30);

pub(super) fn run(arguments: ControllerRunArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Some(ControllerCommand::Init(init)) => make_ready(init, screen),
        None if arguments.check_config => {
            until_interrupted(check_config(&layers(&arguments), screen))
        }
        None => {
            let settings = read(&arguments)?;
            until_stopped(|stop| run_controller(settings, stop))
        }
    }
}

fn read(arguments: &ControllerRunArguments) -> Result<ControllerSettings, Failure> {
    read_settings::<WrittenSettings, _>(&layers(arguments), ControllerSettings::check)
        .map_err(|error| super::wrong_settings(&error))
}

fn layers(arguments: &ControllerRunArguments) -> Layers {
    let mut layers = Layers::default();
    if let Some(path) = &arguments.config {
        layers = layers.with_file(path);
    }
    let folder = arguments.data_folder.as_ref().map(|it| it.display().to_string());
    layers
        .with_variables(ENVIRONMENT_PREFIX, super::environment_without(&NO_SETTINGS))
        .with_flag("data_folder", folder)
        .with_flag("api_listen", arguments.api_listen.clone())
        .with_flag("agent_listen", arguments.agent_listen.clone())
}

/// Settings and files, looked at as a start would; every mistake of both at once.
async fn check_config(layers: &Layers, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut written = WrittenSettings::default();
    let read = read_settings::<WrittenSettings, _>(layers, |raw, mistakes| {
        written = raw.clone();
        ControllerSettings::check(raw, mistakes)
    });
    let mut mistakes = match &read {
        Ok(_) => Mistakes::default(),
        Err(SettingsError::Mistakes(mistakes)) => mistakes.clone(),
        Err(error) => return Err(super::wrong_settings(error)),
    };
    let checked = check(&written, &mut mistakes).await;
    match read {
        Ok(settings) if mistakes.is_empty() => {
            screen.result(&check_page(&settings, &checked, screen.paint()))?;
            Ok(ExitCode::Healthy)
        }
        Ok(_) | Err(_) => {
            let mut failure = super::wrong_settings(&SettingsError::Mistakes(mistakes));
            "a controller with these settings would not start".clone_into(&mut failure.text);
            Err(failure)
        }
    }
}

async fn run_controller(
    settings: ControllerSettings,
    stop: CancellationToken,
) -> Result<ExitCode, Failure> {
    let folder = &settings.data_folder;
    if let Some(mode) = writable_by_others(folder) {
        let text = format!("others can write to the data folder (mode {mode:04o})");
        return Err(Failure::usage(text).hint(format!("chmod 0700 {}", folder.display())));
    }
    let unprepared = |error: AuthorityError| {
        let hint = repair(&error, folder, &settings.token_file);
        let failure =
            Failure::usage("the data folder is not ready for a controller").because(&error);
        failure.hint(hint)
    };
    let authority = Authority::open(folder).map_err(unprepared)?;
    let token = TokenDigest::read(&settings.token_file).map_err(unprepared)?;
    let api_identity = read_api_identity(&settings.api_security)?;
    let store = open_store(folder, STORE_WAIT).await?;
    let store = Arc::new(store);
    let api_listener = bind("api_listen", settings.api_listen).await?;
    let agent_listener = bind("agent_listen", settings.agent_listen).await?;
    // A port that the system chose is to be read here and nowhere else.
    if let (Ok(api), Ok(agents)) = (api_listener.local_addr(), agent_listener.local_addr()) {
        tracing::info!(%api, %agents, "the controller listens");
    }
    let parts = ControllerParts {
        store: Arc::clone(&store),
        authority,
        agent_names: settings.agent_names,
        token,
        api_listener,
        api_identity,
        agent_listener,
        fleet_view: watch::channel(FleetView::default()).0,
    };
    let served = serve(parts, stop).await;
    if let Some(store) = Arc::into_inner(store) {
        store.close().await;
    }
    served.map_err(|error| Failure::unavailable("the controller stopped").because(&error))?;
    Ok(ExitCode::Healthy)
}

/// What makes a data folder usable that is not.
fn repair(error: &AuthorityError, folder: &Path, token_file: &Path) -> String {
    let mut init = format!("parallax controller init --data-folder {}", folder.display());
    if token_file != folder.join(TOKEN_FILE) {
        init = format!("{init} --token-file {}", token_file.display());
    }
    let path = match error {
        AuthorityError::Exposed { path, .. } => return format!("chmod 0600 {}", path.display()),
        AuthorityError::Unreadable { path } | AuthorityError::File { path, .. } => path,
        AuthorityError::Exists { .. }
        | AuthorityError::Certificate(_)
        | AuthorityError::Name { .. } => return format!("Make it ready once: {init}"),
    };
    let shown = path.display();
    if path.as_path() == token_file && path.exists() {
        return format!("Make a new token: rm {shown}; {init}");
    }
    let is_there = |file: &str| folder.join(file).exists();
    if path.as_path() != token_file && (is_there(AUTHORITY_FILE) || is_there(AUTHORITY_KEY_FILE)) {
        return format!("Put {shown} back from a backup, for the agents trust no other one.");
    }
    format!("Make it ready once: {init}")
}

async fn bind(field: &str, address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::usage(format!("cannot listen on {address} (`{field}`)")).because(&error)
    })
}

fn read_api_identity(security: &ApiSecurity) -> Result<Option<ApiIdentity>, Failure> {
    let ApiSecurity::Tls { certificate, key } = security else { return Ok(None) };
    let wrong = |field: &str, path: &Path, error: &dyn std::error::Error| {
        Failure::usage(format!("`{field}`: {} cannot be used", path.display())).because(error)
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|error| wrong("api_certificate", certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("api_key", key, &error))?;
    if chain.is_empty() {
        let text = format!("`api_certificate`: {} holds no PEM certificate", certificate.display());
        return Err(Failure::usage(text));
    }
    Ok(Some(ApiIdentity { chain, key }))
}

/// Opens the store, or says who holds it.
async fn open_store(folder: &Path, wait: Duration) -> Result<Store, Failure> {
    Store::open(folder, wait).await.map_err(|error| {
        let is_in_use = matches!(error, StoreError::InUse { .. });
        let failure = Failure::unavailable("the data folder cannot be used").because(&error);
        if is_in_use {
            failure.hint("Another controller uses this data folder; stop it first.")
        } else {
            failure
        }
    })
}

fn make_ready(arguments: &ControllerInitArguments, screen: &Screen) -> Result<ExitCode, Failure> {
    let folder = arguments.data_folder.clone();
    let request = InitRequest {
        token_file: arguments.token_file.clone().unwrap_or_else(|| folder.join(TOKEN_FILE)),
        folder,
    };
    let report = init(&request).map_err(|error| {
        let hint = repair(&error, &request.folder, &request.token_file);
        Failure::usage("not everything was made ready").because(&error).hint(hint)
    })?;
    screen.result(&init_page(&report, words(Language::En), screen.paint()))?;
    screen.narrate("Agents join later: parallax fleet token --help");
    Ok(ExitCode::Healthy)
}
