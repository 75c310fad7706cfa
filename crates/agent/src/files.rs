//! Writing a file so that after any crash there is either the old one or the new one, whole and on the disk.
//!
//! INVARIANT: a file is made with the mode it is to have, before anything is in it.
//! INVARIANT: after [`replace`] returned, a loss of power takes nothing back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What the name of a file that is being written ends with.
pub(crate) const UNFINISHED: &str = ".tmp";

/// Read and written by its owner alone.
pub(crate) const PRIVATE: u32 = 0o600;
/// Read by all, written by its owner.
pub(crate) const PUBLIC: u32 = 0o644;

/// A file that is written, synchronised, and has not got its name yet. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Draft {
    at: PathBuf,
    to: PathBuf,
    is_placed: bool,
}

impl Draft {
    /// Writes beside the file that is to be.
    pub(crate) fn write(to: &Path, mode: u32, bytes: &[u8]) -> io::Result<Self> {
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(UNFINISHED);
        let draft = Self { at: to.with_file_name(name), to: to.to_owned(), is_placed: false };
        // What a crash left behind.
        match fs::remove_file(&draft.at) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = create(&draft.at, mode)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(draft)
    }

    /// Gives it its name, over what has that name.
    pub(crate) fn place(mut self) -> io::Result<()> {
        fs::rename(&self.at, &self.to)?;
        self.is_placed = true;
        sync_folder_of(&self.to)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_placed {
            // A left-over is removed by the next write of this name.
            let _ = fs::remove_file(&self.at);
        }
    }
}

/// Puts a file in place of the one of that name, or of none.
pub(crate) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    Draft::write(path, mode, bytes)?.place()
}

/// Makes a folder that only its owner enters, with those above it; one that exists stays as it is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg_attr(
    not(unix),
    expect(unused_variables, reason = "elsewhere the folder's access list protects the file")
)]
fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    options.open(path)
}

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new name is on the disk once its folder is.
#[cfg(unix)]
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file.
#[cfg(not(unix))]
pub(crate) fn sync_folder_of(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_the_old_one_or_the_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        replace(&path, PRIVATE, b"1").expect("written");
        // A crash in the middle of the next one.
        fs::write(folder.path().join("a.tmp"), b"half").expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"1");
        replace(&path, PRIVATE, b"2").expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"2");
        drop(Draft::write(&path, PRIVATE, b"3").expect("written"));
        assert_eq!(fs::read(&path).expect("there"), b"2");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn modes_are_as_asked() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("x/y");
        make_folder(&inner).expect("made");
        let path = inner.join("a");
        replace(&path, PRIVATE, b"1").expect("written");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&path)), (0o700, 0o600));
    }
}
