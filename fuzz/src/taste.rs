//! Bytes of any kind, bytes that begin as CBOR does, and texts made of the words that our files are made of.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// The words that a fuzzer is given too, a quoted one on each line.
const WORDS: &str = include_str!("../toml.dict");
const CASES: u32 = 300;

/// Runs a target on invented bytes; the shortest that break it are shown.
pub fn try_out(target: fn(&[u8])) {
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&bytes(), |bytes| {
        target(&bytes);
        Ok(())
    });
    tried.unwrap_or_else(|broken| panic!("{broken}"));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    // An array of few, small numbers, short strings, arrays within, and the marks of nothing and of truth.
    let item = prop_oneof![0x00..=0x18_u8, 0x40..=0x48_u8, 0x60..=0x68_u8, 0x80..=0x8a_u8, 0xf4..=0xf6_u8];
    let nested = (any::<u8>(), 0x80..=0x8a_u8, vec(item, 0..200)).prop_map(|(kind, head, mut items)| {
        items.splice(0..0, [kind, head]);
        items
    });
    prop_oneof![vec(any::<u8>(), 0..600), nested, text()]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<Vec<u8>> = WORDS.lines().filter_map(word).collect();
    assert!(!words.is_empty(), "toml.dict has words");
    let piece = prop_oneof![
        4 => prop::sample::select(words),
        1 => "[ -~]{0,8}".prop_map(String::into_bytes),
        2 => prop::sample::select(vec![b" = ".to_vec(), b"\n".to_vec(), b"\"".to_vec(), b", ".to_vec(), b"1".to_vec()]),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// The word of a line, without its quotes.
fn word(line: &str) -> Option<Vec<u8>> {
    let quoted = line.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(quoted.replace("\\\"", "\"").replace("\\n", "\n").into_bytes())
}
