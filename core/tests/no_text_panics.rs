//! Whatever bytes are handed in as a job file or a strategy file, they are read or refused, and a
//! refusal can be shown.

use chameleon_core::job::{self, OsBytes, Stdin, Surroundings};
use chameleon_core::refusal::Refusal;
use chameleon_core::strategy;
use proptest::prelude::*;

const JOB: &str = r#"[job]
name = "sum"
strategy = "mine.toml"
deadline = "10s"
env = { A = "b" }
[[stage]]
name = "s"
command = ["sh", "-c", "echo {task}"]
tasks = "0..10"
outputs = ["/tmp/x"]
[[mask]]
name = "m"
paths = ["**/a"]
"#;

const STRATEGY: &str = "replicas = 3\nextend_to = 5\n[restart]\nbackoff = \"1ms\"\n[variation]\nreplicas = 7\n";

/// Every problem is shown at the line and column that it is said to have.
fn check_shown(refusal: &Refusal) {
    let shown = refusal.render(false);
    for problem in refusal.problems().iter().take(100) {
        let place = format!(":{}:{}", refusal.line(problem), refusal.column(problem));
        assert!(shown.contains(&place), "{place} is missing in {shown}");
    }
    assert!(!refusal.problems().is_empty());
    assert!(!refusal.render(true).is_empty());
    refusal.within().iter().for_each(check_shown);
}

fn check_job(bytes: &[u8], strategy: &[u8]) {
    let surroundings = Surroundings {
        directory: OsBytes::from(b"/run".to_vec()),
        environment: vec![OsBytes::from(b"A=\xff".to_vec())],
        stdin: Stdin::Null,
        read: &|_| Ok(strategy.to_vec()),
    };
    match job::parse("job.toml", bytes, &surroundings) {
        Ok(accepted) => assert_eq!(accepted.job.check(), [], "what a file may say, a job may be"),
        Err(refusal) => check_shown(&refusal),
    }
}

fn check_strategy(bytes: &[u8]) {
    match strategy::parse("mine.toml", bytes) {
        Ok(strategy) => assert_eq!(strategy.check(), []),
        Err(refusal) => check_shown(&refusal),
    }
}

/// A text with some of its bytes replaced, removed or put in.
fn damaged(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![any::<u8>(), prop::sample::select(&b"[]{}=\"'\n#.,\\ 019-"[..])];
    let damage = (any::<prop::sample::Index>(), 0..3usize, prop::collection::vec(bytes, 0..4));
    prop::collection::vec(damage, 0..6).prop_map(move |damages| {
        damages.into_iter().fold(text.as_bytes().to_vec(), |mut text, (at, removed, added)| {
            let at = at.index(text.len() + 1);
            let end = text.len().min(at + removed);
            text.splice(at..end, added);
            text
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        check_job(&bytes, &bytes);
        check_strategy(&bytes);
    }

    #[test]
    fn damaged_files_are_read_or_refused_without_a_panic(job in damaged(JOB), strategy in damaged(STRATEGY)) {
        check_job(&job, &strategy);
        check_strategy(&strategy);
    }
}

#[test]
fn the_files_that_are_damaged_above_are_sound() {
    assert_eq!(strategy::parse("mine.toml", STRATEGY.as_bytes()).map(|strategy| strategy.extend_to), Ok(5));
    check_job(JOB.as_bytes(), STRATEGY.as_bytes());
}

#[test]
fn bytes_that_are_no_text_and_files_that_are_too_long_are_refused_by_place() {
    let refusal = strategy::parse("mine.toml", b"replicas = 3\nabout = \"\xff\"").expect_err("0xff is not UTF-8");
    assert_eq!((refusal.line(&refusal.problems()[0]), refusal.column(&refusal.problems()[0])), (2, 10));
    assert!(refusal.to_string().contains("byte 0xff is not UTF-8 here"), "{refusal}");
    let refusal = strategy::parse("mine.toml", &vec![b'#'; (1 << 20) + 1]).expect_err("it is too long");
    assert!(refusal.to_string().contains("expected at most 1048576"), "{refusal}");
}

#[test]
fn a_long_text_that_is_wrong_all_over_is_refused_and_can_be_shown() {
    let long = |unit: &str| unit.repeat((1 << 17) / unit.len());
    for unit in ["=\n", "=", "[", "[[stage]]\n", "a=1\n", "a.", "[a]\n", "\"", "\u{e9}=", "[[stage]]\nx=[0,\n"] {
        let text = long(unit);
        check_job(text.as_bytes(), text.as_bytes());
        check_strategy(text.as_bytes());
    }
}
