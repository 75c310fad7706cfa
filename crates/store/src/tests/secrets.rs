//! A planted secret is nowhere in the folder, and every file is private.

use std::fs;
use std::path::Path;
use std::time::Duration;

use parallax_model::Threshold;
use parallax_wire::pb;
use prost::Message as _;

use super::{Fixture, PASSWORD, account_id, new_account, secret};
use crate::{Answer, RequestKey, StoreError};

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path()).collect()
}

#[tokio::test]
async fn a_planted_secret_is_in_no_file_while_running_or_after() {
    const NEXT: &str = "Second-Planted-0815";
    let it = Fixture::new().await;
    let request = pb::CreateAccountRequest {
        account_id: "a".to_owned(),
        account: Some(pb::Account { secret: PASSWORD.to_owned(), ..pb::Account::default() }),
        ..pb::CreateAccountRequest::default()
    };
    let key = RequestKey {
        principal: "admin".to_owned(),
        method: "CreateAccount",
        request_id: "r1".to_owned(),
        request: request.encode_to_vec(),
    };
    assert!(!format!("{key:?}").contains(PASSWORD));
    let new = || new_account("a", "corp", &["a"], Threshold::Unknown, None);
    assert!(!format!("{:?}", new()).contains(PASSWORD));
    let made = it.store.create_account(new(), Some(&key)).await.expect("made");
    assert!(
        matches!(made, Answer::Done(ref body) if body.secret.is_empty() && body.secret_version == 1)
    );
    let again = it.store.create_account(new(), Some(&key)).await.expect("replayed");
    assert!(matches!(again, Answer::Replayed(_)));
    let changed = RequestKey { request: b"another".to_vec(), ..key };
    let error = it.store.create_account(new(), Some(&changed)).await.expect_err("reused");
    assert!(matches!(error, StoreError::RequestIdReused { .. }));
    it.store.rotate_account(&account_id("a"), &secret(NEXT), "admin", None).await.expect("rotated");
    let opened = it.store.secret(&account_id("a"), 2).await.expect("opens");
    assert_eq!(opened.expose(), NEXT);
    let search = |folder: &Path| {
        let mut searched = 0;
        for path in files(folder) {
            let bytes = fs::read(&path).expect("readable");
            searched += bytes.len();
            for planted in [PASSWORD, NEXT] {
                let found = bytes.windows(planted.len()).any(|it| it == planted.as_bytes());
                assert!(!found, "{planted} in {}", path.display());
            }
        }
        assert!(searched > 10_000, "there is something to search");
    };
    search(it.folder.path());
    let it = it.reopen_after(search).await;
    assert_eq!(it.store.secret(&account_id("a"), 2).await.expect("opens").expose(), NEXT);
}

#[cfg(unix)]
#[tokio::test]
async fn every_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let it = Fixture::new().await;
    it.add_account("a", Threshold::At(10), Duration::from_mins(30)).await;
    let paths = files(it.folder.path());
    assert!(paths.len() >= 5, "{paths:?}");
    for path in paths {
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}
