//! RFC 6901 pointers: the only location that a policy knows.

use std::borrow::Cow;
use std::fmt;

/// A path inside an object, as in RFC 6901: `/spec/containers/0/image`; the root is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Pointer(String);

impl Pointer {
    /// The whole object.
    pub fn root() -> Self {
        Self::default()
    }

    /// The pointer from its text, if it has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        (text.is_empty() || text.starts_with('/')).then(|| Pointer(text.to_owned()))
    }

    /// The text, `~` and `/` in names escaped.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Goes one step down: a member's name or an item's index.
    #[must_use]
    pub fn join(mut self, segment: impl fmt::Display) -> Self {
        self.push(&segment.to_string());
        self
    }

    pub(crate) fn push(&mut self, segment: &str) {
        self.0.push('/');
        for c in segment.chars() {
            match c {
                '~' => self.0.push_str("~0"),
                '/' => self.0.push_str("~1"),
                c => self.0.push(c),
            }
        }
    }

    /// The steps from the root, unescaped.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.split('/').skip(1).map(|segment| {
            if segment.contains('~') {
                Cow::Owned(segment.replace("~1", "/").replace("~0", "~"))
            } else {
                Cow::Borrowed(segment)
            }
        })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_and_tildes_survive() {
        let pointer = Pointer::root().join("metadata").join("a/b~c").join(3);
        assert_eq!(pointer.as_str(), "/metadata/a~1b~0c/3");
        assert_eq!(
            pointer.segments().collect::<Vec<_>>(),
            ["metadata", "a/b~c", "3"]
        );
        assert_eq!(Pointer::parse("spec"), None);
    }
}
