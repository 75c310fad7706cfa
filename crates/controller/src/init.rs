//! `parallax controller init`: makes the data folder ready, and registers agents with a certificate each.
//!
//! Run again, it keeps the authority and the token that are there and adds what is new. Absent on purpose: starting
//! anything.
//!
//! INVARIANT: an agent that is registered keeps its certificate unless it is to be replaced.

use std::path::{Path, PathBuf};

use parallax_model::{Vantage, VantageName};
use parallax_store::{Store, StoreError};

use crate::authority::{
    AUTHORITY_FILE, AUTHORITY_KEY_FILE, Authority, AuthorityError, write_agent,
};
use crate::token::create_token;

/// What to make ready.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// The data folder; the store in it is open.
    pub folder: PathBuf,
    pub token_file: PathBuf,
    pub vantages: Vec<Vantage>,
    /// Whether an agent that is registered gets a new certificate.
    pub replace: bool,
}

/// What was made or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// The certificate that agents trust.
    pub authority: PathBuf,
    pub token_file: PathBuf,
    pub agents: Vec<AgentFiles>,
}

/// What is to be carried to an agent's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFiles {
    pub vantage: VantageName,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Why it could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("already registered: {}; ask for a replacement if they are to get new certificates", names(.vantages))]
    Registered { vantages: Vec<VantageName> },
    #[error("vantage `{vantage}` is given twice")]
    Twice { vantage: VantageName },
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("agents cannot be registered")]
    Store(#[from] StoreError),
}

fn names(vantages: &[VantageName]) -> String {
    vantages.iter().map(VantageName::as_str).collect::<Vec<_>>().join(", ")
}

/// Makes the data folder ready.
pub async fn init(store: &Store, request: &InitRequest) -> Result<InitReport, InitError> {
    check(store, request).await?;
    let authority = open_or_create(&request.folder)?;
    if !request.token_file.exists() {
        create_token(&request.token_file)?;
    }
    let mut agents = Vec::with_capacity(request.vantages.len());
    for vantage in &request.vantages {
        let identity = authority.issue_agent(&vantage.name)?;
        let (certificate, key) = write_agent(&request.folder, &vantage.name, &identity)?;
        store.register_agent(vantage, identity.certificate_sha256(), request.replace).await?;
        agents.push(AgentFiles { vantage: vantage.name.clone(), certificate, key });
    }
    Ok(InitReport {
        authority: request.folder.join(AUTHORITY_FILE),
        token_file: request.token_file.clone(),
        agents,
    })
}

async fn check(store: &Store, request: &InitRequest) -> Result<(), InitError> {
    for (at, vantage) in request.vantages.iter().enumerate() {
        if request.vantages[..at].iter().any(|it| it.name == vantage.name) {
            return Err(InitError::Twice { vantage: vantage.name.clone() });
        }
    }
    if request.replace {
        return Ok(());
    }
    let registered = store.agents().await?;
    let again = |it: &&Vantage| registered.iter().any(|agent| agent.vantage.name == it.name);
    let vantages: Vec<_> =
        request.vantages.iter().filter(again).map(|it| it.name.clone()).collect();
    if vantages.is_empty() { Ok(()) } else { Err(InitError::Registered { vantages }) }
}

fn open_or_create(folder: &Path) -> Result<Authority, AuthorityError> {
    let is_there = |file: &str| folder.join(file).exists();
    if is_there(AUTHORITY_FILE) || is_there(AUTHORITY_KEY_FILE) {
        Authority::open(folder)
    } else {
        Authority::create(folder)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::authority::read_vantage;

    #[tokio::test]
    async fn a_second_run_adds_and_never_replaces_unasked() {
        let folder = tempfile::tempdir().expect("folder");
        let store = Store::open(folder.path(), Duration::ZERO).await.expect("store");
        let request = |specs: &[&str], replace| InitRequest {
            folder: folder.path().to_owned(),
            token_file: folder.path().join("token"),
            vantages: specs.iter().map(|it| read_vantage(it).expect("right")).collect(),
            replace,
        };
        let first = init(&store, &request(&["ext:external:a", "hq:internal:b"], false)).await;
        let first = first.expect("ready");
        assert_eq!(first.agents.len(), 2);
        let token = std::fs::read(&first.token_file).expect("token");
        let authority = std::fs::read(&first.authority).expect("authority");

        let again = init(&store, &request(&["ext:external:a", "dmz:dmz:b"], false)).await;
        assert!(again.expect_err("registered").to_string().contains("ext"));
        init(&store, &request(&["dmz:dmz:b"], false)).await.expect("added");
        let before = std::fs::read(&first.agents[0].certificate).expect("certificate");
        init(&store, &request(&["ext:external:a"], true)).await.expect("replaced");
        assert_ne!(before, std::fs::read(&first.agents[0].certificate).expect("certificate"));

        assert_eq!(token, std::fs::read(&first.token_file).expect("token"));
        assert_eq!(authority, std::fs::read(&first.authority).expect("authority"));
        assert_eq!(store.agents().await.expect("agents").len(), 3);
    }
}
