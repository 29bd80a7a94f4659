//! The FTES library: the strategies that come with Chameleon, and how a strategy is found.
//!
//! A strategy of the person's own is the equal of ours: same files, same checks.

use super::{Strategy, syntax};
use crate::refusal::Refusal;
use crate::word::{BadValue, listing, nearest};

/// Name and text of each, in the order in which they are listed to a person.
const FILES: [(&str, &str); 5] = [
    ("single", include_str!("../../../strategies/single.toml")),
    ("retry", include_str!("../../../strategies/retry.toml")),
    ("dual", include_str!("../../../strategies/dual.toml")),
    ("tmr", include_str!("../../../strategies/tmr.toml")),
    ("nmr", include_str!("../../../strategies/nmr.toml")),
];

/// Why there is no such strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    #[error("{0}")]
    Unknown(BadValue),
    #[error("the strategy file {path:?} cannot be read: {why}")]
    Unreadable { path: String, why: String },
    #[error("{0}")]
    Refused(Refusal),
}

/// The names of the library's strategies.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    FILES.iter().map(|(name, _)| *name)
}

/// The text of one of the library's strategies, as a person may copy it.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The strategies of the library.
#[must_use]
pub fn all() -> Vec<Strategy> {
    FILES.iter().map(|(name, text)| shipped(name, text)).collect()
}

/// The strategy of this name, or in this file if it ends in `.toml`; `read` reads a file, or says
/// why it cannot.
///
/// # Errors
/// There is no such strategy, or its file is refused.
pub fn find(name: &str, read: &dyn Fn(&str) -> Result<Vec<u8>, String>) -> Result<Strategy, NotFound> {
    if name.ends_with(".toml") {
        let bytes = read(name).map_err(|why| NotFound::Unreadable { path: name.to_owned(), why })?;
        return syntax::parse(name, &bytes).map_err(NotFound::Refused);
    }
    text(name).map(|text| shipped(name, text)).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> NotFound {
    NotFound::Unknown(BadValue {
        found: name.to_owned(),
        expected: format!("a strategy: {}, or a path ending in .toml", listing(names())),
        nearest: nearest(name, names()).map(str::to_owned),
    })
}

/// The strategy that does least: one execution.
pub(crate) fn single() -> Strategy {
    shipped(FILES[0].0, FILES[0].1)
}

fn shipped(name: &str, text: &str) -> Strategy {
    syntax::parse(name, text.as_bytes()).expect("the library's strategies are checked by its tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_of_the_library_is_sound_and_says_what_it_does() {
        let told: Vec<String> = all()
            .iter()
            .map(|strategy| {
                assert_eq!(strategy.check(), []);
                assert!(!strategy.about.is_empty());
                format!("{}: {}\n  {}", strategy.name, strategy.about, strategy.explain().join("\n  "))
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn a_strategy_file_of_ones_own_is_called_after_it_and_a_wrong_name_is_told_the_right_one() {
        let read = |path: &str| match path {
            "dir/mine.toml" => Ok(b"replicas = 3".to_vec()),
            _ => Err("no such file".to_owned()),
        };
        assert_eq!(find("dir/mine.toml", &read).map(|strategy| strategy.name), Ok("mine".to_owned()));
        let table = [
            (
                "tmrr",
                "expected a strategy: single, retry, dual, tmr or nmr, or a path ending in .toml, found \"tmrr\"; did you mean \"tmr\"?",
            ),
            ("no.toml", "the strategy file \"no.toml\" cannot be read: no such file"),
        ];
        for (name, expected) in table {
            assert_eq!(find(name, &read).unwrap_err().to_string(), expected);
        }
    }
}
