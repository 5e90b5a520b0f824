//! Paths relative to the tree's root, with `/`, free of `.` and inner `..`.

/// `relative` as seen from the folder `directory`, both relative to the tree's root. Leading `..`
/// stay: they lead out of the tree.
pub fn join(directory: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = relative.starts_with('/');
    let base = if absolute { "" } else { directory };
    for part in base.split('/').chain(relative.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute {
        format!("/{joined}")
    } else if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

/// Whether a path is a folder or stands somewhere below it; everything stands below `.`.
pub fn is_within(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder);
    folder == "." || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The folder that a path stands in; `.` for the root's own files.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_lexically() {
        assert_eq!(join("a/b", "../c/./d.yaml"), "a/c/d.yaml");
        assert_eq!(join(".", "x"), "x");
        assert!(is_within("a/b", "a") && is_within("a", "a") && is_within("a", "."));
        assert!(!is_within("ab", "a") && !is_within("a", "a/b"));
        assert_eq!(join("a", ".."), ".");
        assert_eq!(join("a", "../../x"), "../x");
        assert_eq!(join("../x", "../y"), "../y");
        assert_eq!(join("a", "/etc/x"), "/etc/x");
        assert_eq!(parent("a/b/c.yaml"), "a/b");
        assert_eq!(parent("c.yaml"), ".");
    }
}
