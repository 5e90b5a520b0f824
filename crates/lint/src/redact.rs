//! Keeps the values of Secrets out of what is shown.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use stagegate_core::Object;
use stagegate_manifest::Source;
use stagegate_render::Tree;

use crate::Repository;

/// Where secrets stand in the files of a run.
#[derive(Debug, Default)]
pub struct Redactions {
    /// Ranges of bytes by path, sorted.
    ranges: BTreeMap<String, Vec<(usize, usize)>>,
    /// Files of which nothing can be shown: they could not be read, and may hold some anywhere.
    hidden: BTreeSet<String>,
}

/// What a hidden value is shown as.
const MASK: usize = 8;

impl Redactions {
    pub(crate) fn of(repository: &Repository, tree: &Tree) -> Redactions {
        let mut redactions = Redactions {
            ranges: BTreeMap::new(),
            hidden: repository.secrets.files.clone(),
        };
        let of_stages = repository.stages.iter().flat_map(|s| &s.objects);
        // What a patch adds to a Secret stands in no object of its own.
        let of_objects = of_stages
            .chain(&repository.shared)
            .filter(|object| object.reference.kind == "Secret")
            .flat_map(|object| values(object));
        for mark in repository.secrets.marks.iter().copied().chain(of_objects) {
            let Some(source) = tree.sources().get(mark.file) else {
                continue;
            };
            // A comment behind a value may tell what it was.
            let end = mark.end as usize;
            let rest = source.text.get(end..).unwrap_or_default();
            let to_line_end = rest.find('\n').unwrap_or(rest.len());
            // What stands between a key and its value is shown, a tag is not.
            let start = mark.start as usize;
            let from_key = source.text.get(start..end).unwrap_or_default();
            let between = from_key.len() - from_key.trim_start_matches([':', '=', ' ']).len();
            let range = (start + between, end + to_line_end);
            let ranges = redactions.ranges.entry(source.path.clone()).or_default();
            ranges.push(range);
        }
        for ranges in redactions.ranges.values_mut() {
            ranges.sort_unstable();
            ranges.dedup();
        }
        redactions
    }

    /// The text between two offsets of a file, with secrets masked. `None` where nothing of the
    /// file may be shown. Lines and columns of everything else stay what they are.
    pub fn show<'s>(&self, source: &'s Source, start: usize, end: usize) -> Option<Cow<'s, str>> {
        if self.hidden.contains(&source.path) {
            return None;
        }
        let text = source.text.get(start..end)?;
        let Some(ranges) = self.ranges.get(&source.path) else {
            return Some(scrub(text));
        };
        let mut masked: Option<String> = None;
        for &(from, to) in ranges
            .iter()
            .filter(|(from, to)| *from < end && *to > start)
        {
            let before = masked.take().unwrap_or_else(|| text.to_owned());
            masked = Some(mask(
                &before,
                from.saturating_sub(start),
                to.min(end) - start,
            ));
        }
        Some(match masked {
            Some(masked) => Cow::Owned(scrub(&masked).into_owned()),
            None => scrub(text),
        })
    }
}

/// Addresses with a user, and what programs are given as a password.
static GIVEN: LazyLock<Option<[Regex; 2]>> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).ok();
    Some([
        regex(r#"://(?:[^/\s:@"']*:)?(?P<secret>[^/\s"'@]+)@"#)?,
        regex(
            r#"(?:--from-literal[= ][^=\s]+=|--(?:token|password|docker-password)[= ]|[?&](?:token|access_token|sig|password|key)=)(?P<secret>[^\s"'&]+)"#,
        )?,
    ])
});

/// Hides the passwords that stand in a text in the places that are known for it: in addresses and on
/// command lines. Columns stay what they are.
pub(crate) fn scrub(text: &str) -> Cow<'_, str> {
    let mut scrubbed = Cow::Borrowed(text);
    for given in GIVEN.iter().flatten() {
        let ranges: Vec<_> = given
            .captures_iter(&scrubbed)
            .filter_map(|captures| Some(captures.name("secret")?.range()))
            .collect();
        for range in ranges {
            // As many bytes, so that what follows keeps its place.
            let stars = "*".repeat(range.len());
            scrubbed.to_mut().replace_range(range, &stars);
        }
    }
    scrubbed
}

fn values(object: &Object) -> Vec<stagegate_core::Mark> {
    ["data", "stringData"]
        .iter()
        .filter_map(|key| object.node.get(key))
        .flat_map(stagegate_core::Node::entries)
        .map(|entry| entry.node.mark)
        .collect()
}

/// Replaces a range of bytes by a mask that keeps lines, columns and indentation, and does not tell
/// how many characters were meant. The header of a block scalar stays.
fn mask(text: &str, from: usize, to: usize) -> String {
    let mut left = MASK;
    let mut in_header = text[from.min(text.len())..].starts_with(['|', '>']);
    let mut at_start = false;
    text.char_indices()
        .map(|(i, c)| {
            if c == '\n' {
                (left, in_header, at_start) = (MASK, false, true);
                return c;
            }
            let is_indentation = at_start && c == ' ';
            at_start &= is_indentation;
            if i < from || i >= to || in_header || is_indentation {
                return c;
            }
            let shown = if left > 0 { '*' } else { ' ' };
            left = left.saturating_sub(1);
            shown
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{mask, scrub};

    #[test]
    fn addresses_and_command_lines_are_scrubbed() {
        assert_eq!(
            scrub("see https://x.example/a?b=c"),
            "see https://x.example/a?b=c"
        );
        assert_eq!(
            scrub("https://me:hunter2@x.example/a"),
            "https://me:*******@x.example/a"
        );
        assert_eq!(
            scrub("https://TOKEN12@x.example/a"),
            "https://*******@x.example/a"
        );
        assert_eq!(
            scrub("a --from-literal=p=hunter2 b"),
            "a --from-literal=p=******* b"
        );
        assert_eq!(
            scrub("https://x/a?token=hunter2"),
            "https://x/a?token=*******"
        );
    }

    #[test]
    fn a_mask_keeps_lines_and_columns() {
        assert_eq!(mask("a: hünter2 # x", 3, 11), "a: ******* # x");
        assert_eq!(
            mask("a: 0123456789abc\nb: 1", 3, 16),
            "a: ********     \nb: 1"
        );
        assert_eq!(
            mask("a: |-\n  first\n  second line\nb: 1", 3, 27),
            "a: |-\n  *****\n  ********   \nb: 1"
        );
    }
}
