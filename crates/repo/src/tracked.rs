//! Files that git tracks although it ignores them.
//!
//! An ignored file is not in Git, unless somebody added it by force: then it is deployed like any
//! other, and must not be passed over because a line in `.gitignore` names it.

use std::path::{Path, PathBuf};

use stagegate_render::Tree;

/// The tracked files below the tree's root, relative to it; none outside of a git work tree or
/// where the index cannot be read.
pub(crate) fn files(tree: &Tree) -> Vec<String> {
    let Some((work_tree, git_folder)) = find(tree.root()) else {
        return Vec::new();
    };
    let index = gix_index::File::at(
        git_folder.join("index"),
        gix_hash::Kind::Sha1,
        true,
        gix_index::decode::Options::default(),
    );
    let index = match index {
        Ok(index) => index,
        Err(error) => {
            tracing::debug!(%error, "the git index was not read");
            return Vec::new();
        }
    };
    let prefix = tree
        .root()
        .strip_prefix(&work_tree)
        .unwrap_or(Path::new(""));
    index
        .entries()
        .iter()
        .filter_map(|entry| std::str::from_utf8(entry.path(&index)).ok())
        .filter_map(|path| Path::new(path).strip_prefix(prefix).ok()?.to_str())
        .map(str::to_owned)
        .collect()
}

/// The work tree that a folder lies in, and git's own folder for it.
fn find(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let work_tree = folder.ancestors().find(|f| f.join(".git").exists())?;
    let git = work_tree.join(".git");
    if git.is_dir() {
        return Some((work_tree.to_owned(), git));
    }
    // A linked work tree or a submodule: `gitdir: PATH`.
    let text = std::fs::read_to_string(&git).ok()?;
    let path = text.strip_prefix("gitdir:")?.trim();
    Some((work_tree.to_owned(), work_tree.join(path)))
}
