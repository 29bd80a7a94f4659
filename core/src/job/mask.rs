//! Masks: which files a vote overlooks, by globs over their paths.
//!
//! A glob is matched component by component: `*` and `?` stay inside one, `**` stands for any number
//! of them. Paths are bytes. Matching takes at most |glob| × |path| steps a component, so that no
//! mask can stall a vote.

use super::Mask;

/// The masks that come with Chameleon: name, globs, and why the difference is none.
pub const SHIPPED: [(&str, &[&str], &str); 1] =
    [("stat-cache", &["**/.git/index"], "git keeps inode numbers and change times there, which differ in every copy")];

/// Why a text is no glob over paths relative to the run directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    #[error("the glob is empty, expected one such as \"*.log\" or \"**/.cache/**\"")]
    Empty,
    #[error("the glob begins with '/', expected a path relative to the run directory")]
    Absolute,
    #[error("the glob has an empty component, '.' or '..', with which it matches nothing")]
    NeverMatches,
    #[error("'**' is only part of a component, expected it alone between slashes, as in \"**/name\"")]
    PartOfComponent,
}

/// Whether `glob` may stand in a mask.
///
/// # Errors
/// It could not match what it seems to.
pub fn check(glob: &str) -> Result<(), BadGlob> {
    let partial = |part: &str| part != "**" && part.contains("**");
    match () {
        () if glob.is_empty() => Err(BadGlob::Empty),
        () if glob.starts_with('/') => Err(BadGlob::Absolute),
        () if glob.split('/').any(|part| matches!(part, "" | "." | "..")) => Err(BadGlob::NeverMatches),
        () if glob.split('/').any(partial) => Err(BadGlob::PartOfComponent),
        () => Ok(()),
    }
}

impl Mask {
    /// A mask that comes with Chameleon.
    #[must_use]
    pub fn shipped(name: &str) -> Option<Mask> {
        let (name, globs, _) = SHIPPED.iter().find(|(known, ..)| *known == name)?;
        Some(Mask { name: (*name).to_owned(), paths: globs.iter().map(|glob| (*glob).to_owned()).collect() })
    }

    /// Whether the vote overlooks the bytes of this file. `path` is relative to the run directory.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|glob| glob_matches(glob.as_bytes(), path))
    }
}

/// Whether a glob matches a whole path. A `**` at the end matches what is below, not the directory.
fn glob_matches(glob: &[u8], path: &[u8]) -> bool {
    let slash = |byte: &u8| *byte == b'/';
    let mut globs: Vec<&[u8]> = glob.split(slash).collect();
    if globs.last() == Some(&b"**".as_slice()) {
        globs.push(b"*");
    }
    let parts: Vec<&[u8]> = path.split(slash).filter(|part| !part.is_empty()).collect();
    matches(&globs, &parts, |glob| *glob == b"**", |glob, part| component_matches(glob, part))
}

/// Whether a glob without slashes matches one component of a path.
fn component_matches(glob: &[u8], part: &[u8]) -> bool {
    matches(glob, part, |byte| *byte == b'*', |pattern, byte| *pattern == b'?' || pattern == byte)
}

/// Whether a pattern matches a whole text, where `is_star` items match any number of items and
/// others match one. After a mismatch only the last star takes one item more: taking the earlier
/// ones back could not help, since they are followed by what already matched as early as it could.
fn matches<P, T>(pattern: &[P], text: &[T], is_star: impl Fn(&P) -> bool, one: impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut item) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while item < text.len() {
        match (pattern.get(at), star) {
            (Some(star_item), _) if is_star(star_item) => {
                star = Some((at, item));
                at += 1;
            }
            (Some(single), _) if one(single, &text[item]) => (at, item) = (at + 1, item + 1),
            (_, Some((star_at, taken))) => {
                (at, item) = (star_at + 1, taken + 1);
                star = Some((star_at, taken + 1));
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(is_star)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_glob_matches_what_a_person_would_say_it_does() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("a", &["a", "a/"], &["", "b", "aa", "a/b", "b/a"]),
            ("*", &["a", ".hidden", "*"], &["", "a/b"]),
            ("*.log", &["x.log", ".log"], &["x.log.gz", "d/x.log", "xlog"]),
            ("d/*.log", &["d/x.log"], &["x.log", "d/e/x.log", "dd/x.log"]),
            (
                "**/.git/index",
                &[".git/index", "a/.git/index", "a/b/.git/index"],
                &["git/index", "a/.git/index/x", "x.git/index"],
            ),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b", "a/b/b"], &["a", "b", "a/x", "a/bb"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a", "aa/b"]),
            ("**", &["a", "a/b"], &[""]),
            ("a?c", &["abc", "a?c"], &["ac", "a/c", "abbc"]),
            ("*a*b*", &["ab", "xaxbx", "aab", "abab"], &["ba", "a", "b"]),
            ("**/x/**/y", &["x/y", "x/x/y", "a/x/b/x/c/y"], &["x", "y/x", "x/y/z"]),
            ("[a]", &["[a]"], &["a"]),
        ];
        for (glob, matching, others) in table {
            for path in *matching {
                assert!(glob_matches(glob.as_bytes(), path.as_bytes()), "{glob} should match {path}");
            }
            for path in *others {
                assert!(!glob_matches(glob.as_bytes(), path.as_bytes()), "{glob} should not match {path}");
            }
        }
        assert!(glob_matches(b"?\xff*", b"\xfe\xff\x00"), "bytes need not be text");
    }

    #[test]
    fn a_glob_that_cannot_match_is_refused() {
        let table = [
            ("", BadGlob::Empty),
            ("/etc/*", BadGlob::Absolute),
            ("a//b", BadGlob::NeverMatches),
            ("../x", BadGlob::NeverMatches),
            ("a/", BadGlob::NeverMatches),
            ("a**/b", BadGlob::PartOfComponent),
            ("***", BadGlob::PartOfComponent),
        ];
        for (glob, error) in table {
            assert_eq!(check(glob), Err(error), "{glob}");
        }
        assert!(SHIPPED.iter().flat_map(|(_, globs, _)| *globs).all(|glob| check(glob).is_ok()));
    }

    /// The definition itself, exponential and obviously right.
    fn by_definition(globs: &[&[u8]], parts: &[&[u8]]) -> bool {
        match (globs.split_first(), parts.split_first()) {
            (None, _) => parts.is_empty(),
            (Some((&b"**", rest)), _) if by_definition(rest, parts) => true,
            (Some((&b"**", _)), Some((_, others))) => by_definition(globs, others),
            (Some((glob, rest)), Some((part, others))) => {
                bytes_by_definition(glob, part) && by_definition(rest, others)
            }
            (Some(_), None) => false,
        }
    }

    fn bytes_by_definition(glob: &[u8], part: &[u8]) -> bool {
        match (glob.split_first(), part.split_first()) {
            (None, _) => part.is_empty(),
            (Some((b'*', rest)), _) if bytes_by_definition(rest, part) => true,
            (Some((b'*', _)), Some((_, others))) => bytes_by_definition(glob, others),
            (Some((b'?', rest)), Some((_, others))) => bytes_by_definition(rest, others),
            (Some((byte, rest)), Some((other, others))) => byte == other && bytes_by_definition(rest, others),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn matching_agrees_with_its_definition(
            glob in prop::collection::vec("[ab?*]{1,4}|\\*\\*", 1..5),
            path in prop::collection::vec("[ab]{1,4}", 1..6),
        ) {
            let (glob, path) = (glob.join("/"), path.join("/"));
            let mut globs: Vec<&[u8]> = glob.split('/').map(str::as_bytes).collect();
            if glob == "**" || glob.ends_with("/**") {
                globs.push(b"*");
            }
            let parts: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
            prop_assert_eq!(glob_matches(glob.as_bytes(), path.as_bytes()), by_definition(&globs, &parts));
        }

        #[test]
        fn no_bytes_stall_or_break_matching(glob: String, path: Vec<u8>) {
            let mask = Mask { name: String::new(), paths: vec![glob] };
            let _ = mask.covers(&path);
        }
    }
}
