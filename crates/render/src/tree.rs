//! The files of a run, read once and named relative to its root.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stagegate_core::FileId;
use stagegate_manifest::{Source, Sources, decode};

/// Larger files are not read: nothing that a cluster takes comes near (etcd's limit for an object
/// is 1.5 MiB), and reading must stay bounded.
const MAX_FILE: u64 = 128 << 20;

/// A folder and the texts of its files. Shared between threads.
pub struct Tree {
    root: PathBuf,
    sources: Arc<Sources>,
    files: Mutex<HashMap<String, FileId>>,
}

impl Tree {
    /// The tree below a folder.
    ///
    /// # Errors
    /// If the folder cannot be resolved.
    pub fn new(root: &Path) -> io::Result<Tree> {
        Ok(Tree {
            root: root.canonicalize()?,
            sources: Arc::new(Sources::new()),
            files: Mutex::new(HashMap::new()),
        })
    }

    /// The root, absolute and without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The texts that were read so far.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// The absolute path of a file or folder of the tree.
    pub fn absolute(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The path relative to the root, with leading `..` for what lies outside.
    pub fn relative(&self, absolute: &Path) -> String {
        relative_path(&self.root, absolute)
    }

    /// Reads a file, given relative to the root; once, however often it is asked for.
    ///
    /// # Errors
    /// If the file cannot be read or is too large.
    pub fn read(&self, path: &str) -> io::Result<(FileId, Arc<Source>)> {
        let mut files = self.names();
        if let Some(&file) = files.get(path)
            && let Some(source) = self.sources.get(file)
        {
            return Ok((file, source));
        }
        let file = self.read_unshared(path)?;
        files.insert(path.to_owned(), file);
        drop(files);
        self.named(file)
    }

    /// Reads a file that nobody else reads at the same time, without waiting for other readers.
    ///
    /// # Errors
    /// If the file cannot be read or is too large.
    pub fn read_first(&self, path: &str) -> io::Result<(FileId, Arc<Source>)> {
        let file = self.read_unshared(path)?;
        self.names().insert(path.to_owned(), file);
        self.named(file)
    }

    /// Adds a text that stands in no file, such as standard input, under a name.
    pub fn add(&self, name: &str, bytes: Vec<u8>) -> FileId {
        let file = self.sources.add(name.to_owned(), decode(bytes));
        self.names().insert(name.to_owned(), file);
        file
    }

    /// The text of a file that was read, by its path.
    pub fn source(&self, path: &str) -> Option<Arc<Source>> {
        let file = *self.names().get(path)?;
        self.sources.get(file)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, FileId>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file with its text.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn named(&self, file: FileId) -> io::Result<(FileId, Arc<Source>)> {
        let source = self.sources.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok((file, source))
    }

    fn read_unshared(&self, path: &str) -> io::Result<FileId> {
        let bytes = self.read_bytes(path)?;
        Ok(self.sources.add(path.to_owned(), decode(bytes)))
    }

    /// The bytes of a file that is no text to be pointed into.
    ///
    /// # Errors
    /// If the file cannot be read or is too large.
    pub fn read_bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        let absolute = self.absolute(path);
        let metadata = std::fs::metadata(&absolute)?;
        // Opening a pipe waits for a writer, and reading a device never ends.
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let size = metadata.len();
        if size > MAX_FILE {
            return Err(io::Error::other(format!(
                "it has {} MiB, more than any cluster would take",
                size >> 20
            )));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
        File::open(&absolute)?
            .take(MAX_FILE)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The way from one absolute folder to another file or folder.
pub(crate) fn relative_path(from: &Path, to: &Path) -> String {
    if let Ok(inside) = to.strip_prefix(from)
        && let Some(inside) = inside.to_str().filter(|p| !p.is_empty() && !cfg!(windows))
    {
        return inside.to_owned();
    }
    let from: Vec<_> = from.components().collect();
    let to: Vec<_> = to.components().collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    let down = to[common..]
        .iter()
        .map(|c| c.as_os_str().to_string_lossy().into_owned());
    let path = up.chain(down).collect::<Vec<_>>().join("/");
    if path.is_empty() {
        ".".to_owned()
    } else {
        path
    }
}
