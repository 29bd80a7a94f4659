//! Closed vocabularies: the few words that a person may write in one place, and the nearest of
//! them when the word that was written is none.

/// A value that a person writes as one of a few words.
pub trait Word: Copy + PartialEq + 'static {
    /// What the words stand for, as in "expected a fault".
    const WHAT: &'static str;
    /// Each word with its value, in the order in which they are listed to a person.
    const WORDS: &'static [(&'static str, Self)];

    /// The value of a word.
    ///
    /// # Errors
    /// The text is none of the words.
    fn read(text: &str) -> Result<Self, BadValue> {
        let words = Self::WORDS.iter().map(|(word, _)| *word);
        let known = Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        known.ok_or_else(|| BadValue {
            found: text.to_owned(),
            expected: format!("{}: {}", Self::WHAT, listing(words.clone())),
            nearest: nearest(text, words).map(str::to_owned),
        })
    }

    /// The word that a person writes for this value.
    fn word(self) -> &'static str {
        let entry = Self::WORDS.iter().find(|(_, value)| *value == self);
        entry.expect("each value of a vocabulary has a word").0
    }
}

/// A small value that does not read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}{}", suggestion(.nearest))]
pub struct BadValue {
    pub found: String,
    /// What would have been right, with an example or the words there are.
    pub expected: String,
    /// What was most likely meant.
    pub nearest: Option<String>,
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |word| format!("; did you mean {word:?}?"))
}

/// `a, b or c`.
#[must_use]
pub fn listing<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut words: Vec<&str> = words.into_iter().collect();
    match words.pop() {
        Some(last) if !words.is_empty() => format!("{} or {last}", words.join(", ")),
        last => last.unwrap_or_default().to_owned(),
    }
}

/// The candidate that `word` was most likely meant to be: at most every third letter differs.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let (word, length) = (word.to_lowercase(), word.chars().count());
    if length > LONGEST {
        return None;
    }
    let scored = candidates.into_iter().map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate));
    let tolerated = |(distance, candidate): &(usize, &str)| *distance <= length.max(candidate.len()).div_ceil(3);
    scored.filter(tolerated).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_one_that_a_slip_away_was_meant() {
        let words = ["replicas", "quorum", "order", "extend_to"];
        let table = [
            ("replica", Some("replicas")),
            ("Quorum", Some("quorum")),
            ("qourum", Some("quorum")),
            ("extend-to", Some("extend_to")),
            ("banana", None),
            ("", None),
            (&"quorum".repeat(1000), None),
        ];
        for (written, meant) in table {
            assert_eq!(nearest(written, words), meant, "{written}");
        }
    }

    #[test]
    fn a_listing_reads_as_a_sentence_does() {
        assert_eq!(listing([]), "");
        assert_eq!(listing(["a"]), "a");
        assert_eq!(listing(["a", "b", "c"]), "a, b or c");
    }
}
