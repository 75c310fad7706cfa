//! Who may change the policy file: nobody but its owner, and better not the agent itself.
//!
//! Absent on purpose: access lists of systems without modes; the operations guide says how to set them.

use std::fs::File;
use std::path::Path;

use super::PolicyError;

#[cfg(unix)]
pub(super) fn check(path: &Path, file: &File) -> Result<(), PolicyError> {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt as _;

    const OTHERS_WRITE: u32 = 0o002;
    const GROUP_WRITES: u32 = 0o020;
    const STICKY: u32 = 0o1000;

    let unreadable =
        |path: &Path, source| PolicyError::Unreadable { path: path.to_owned(), source };
    let found = file.metadata().map_err(|source| unreadable(path, source))?;
    let mode_of = |metadata: &Metadata| metadata.mode() & 0o7777;
    let real = path.canonicalize().map_err(|source| unreadable(path, source))?;
    let folder = real.parent().unwrap_or(&real);
    let around = folder.metadata().map_err(|source| unreadable(folder, source))?;
    let writable = |path: &Path, mode| PolicyError::Writable { path: path.to_owned(), mode };
    if mode_of(&found) & OTHERS_WRITE != 0 {
        return Err(writable(path, mode_of(&found)));
    }
    // Whoever may write a folder may put another file in this one's place, unless it is sticky.
    if mode_of(&around) & OTHERS_WRITE != 0 && mode_of(&around) & STICKY == 0 {
        return Err(writable(folder, mode_of(&around)));
    }
    let ours = rustix::process::geteuid().as_raw();
    if [&found, &around].iter().any(|it| it.uid() == ours) {
        tracing::warn!(
            policy = %path.display(),
            "the policy can be changed by the agent's own user; let root own the file and its folder",
        );
    }
    if mode_of(&found) & GROUP_WRITES != 0 {
        tracing::warn!(policy = %path.display(), "the policy can be changed by its group");
    }
    Ok(())
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the other form has something to say")]
pub(super) fn check(_path: &Path, _file: &File) -> Result<(), PolicyError> {
    Ok(())
}
