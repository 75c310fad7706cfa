//! `parallax controller init`: makes the data folder ready for a controller.
//!
//! Run again, it keeps the authority and the token that are there. Absent on purpose: agents, which join by token once the
//! controller runs, and starting anything.
//!
//! INVARIANT: nothing that is there is replaced.

use std::path::{Path, PathBuf};

use crate::authority::{
    AUTHORITY_FILE, AUTHORITY_KEY_FILE, Authority, AuthorityError, make_folder,
};
use crate::token::{TokenDigest, create_token};

/// What to make ready.
#[derive(Clone, Debug)]
pub struct InitRequest {
    /// The data folder; made if it is not there.
    pub folder: PathBuf,
    pub token_file: PathBuf,
}

/// What was made or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// The certificate that agents trust.
    pub authority: PathBuf,
    pub token_file: PathBuf,
}

/// Makes the data folder ready.
pub fn init(request: &InitRequest) -> Result<InitReport, AuthorityError> {
    make_folder(&request.folder)?;
    open_or_create(&request.folder)?;
    if !request.token_file.exists() {
        create_token(&request.token_file)?;
    }
    // One that was there may be empty or another file; the controller would not start with it.
    TokenDigest::read(&request.token_file)?;
    Ok(InitReport {
        authority: request.folder.join(AUTHORITY_FILE),
        token_file: request.token_file.clone(),
    })
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
    use super::*;

    #[test]
    fn a_second_run_replaces_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let request = InitRequest {
            folder: folder.path().join("data"),
            token_file: folder.path().join("data/token"),
        };
        let first = init(&request).expect("ready");
        let token = std::fs::read(&first.token_file).expect("token");
        let authority = std::fs::read(&first.authority).expect("authority");
        assert_eq!(init(&request).expect("ready still"), first);
        assert_eq!(token, std::fs::read(&first.token_file).expect("token"));
        assert_eq!(authority, std::fs::read(&first.authority).expect("authority"));
    }

    #[test]
    fn a_token_file_that_holds_no_token_is_told_and_not_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        let token_file = folder.path().join("token");
        let request =
            InitRequest { folder: folder.path().to_owned(), token_file: token_file.clone() };
        init(&request).expect("ready");
        std::fs::write(&token_file, "").expect("emptied");
        let error = init(&request).expect_err("no token");
        assert!(matches!(error, AuthorityError::Unreadable { .. }), "{error}");
        assert_eq!(std::fs::read(&token_file).expect("there"), b"");
    }

    #[test]
    fn half_an_authority_is_told_and_not_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        let request = InitRequest {
            folder: folder.path().to_owned(),
            token_file: folder.path().join("token"),
        };
        init(&request).expect("ready");
        std::fs::remove_file(folder.path().join(AUTHORITY_KEY_FILE)).expect("removed");
        init(&request).expect_err("the key is gone");
        assert!(!folder.path().join(AUTHORITY_KEY_FILE).exists());
    }
}
