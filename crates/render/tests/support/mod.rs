//! What several tests do.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// A folder with files, by their paths in it; gone with what is given.
pub(crate) fn folder_of<P: AsRef<Path>, T: AsRef<[u8]>>(
    files: impl IntoIterator<Item = (P, T)>,
) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}
