//! The documents tell the truth: their examples are read as they stand, what they say is said about
//! a refused text is said, and the job files in `examples/` are accepted.
#![expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]

use std::path::{Path, PathBuf};

use chameleon_core::job::determinism::ADDITIONS;
use chameleon_core::job::mask::SHIPPED;
use chameleon_core::job::{self, Accepted, OsBytes, Stdin, Surroundings};
use chameleon_core::policy;
use chameleon_core::refusal::Refusal;
use chameleon_core::strategy::{self, library};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("core/ is in the root").to_owned()
}

fn text_of(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("the document is part of the source")
}

fn parse_job(file: &str, text: &str) -> Result<Accepted, Refusal> {
    let surroundings = Surroundings {
        directory: OsBytes::from(b"/home/me/run".to_vec()),
        environment: vec![],
        stdin: Stdin::Null,
        read: &|path| Err(format!("{path} is not part of the example")),
    };
    job::parse(file, text.as_bytes(), &surroundings)
}

/// What a text is refused with; `None` if it is accepted, without a remark.
fn refusal_of(text: &str) -> Option<Refusal> {
    if !text.contains("[job]") {
        return strategy::parse("mine.toml", text.as_bytes()).err();
    }
    match parse_job("job.toml", text) {
        Ok(accepted) => {
            assert!(accepted.remarks.is_empty(), "{}", accepted.remarks);
            None
        }
        Err(refusal) => Some(refusal),
    }
}

/// The fenced blocks of a document, each with its language.
fn blocks(document: &str) -> Vec<(&str, &str)> {
    let fenced = document.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').expect("a fence ends its line")).collect()
}

/// Checks each block of TOML, and each block of text against the refusal of the TOML before it.
fn check_blocks(path: &str) {
    let document = text_of(path);
    let (mut accepted, mut said) = (0, None);
    for (language, text) in blocks(&document) {
        match (language, said.take()) {
            ("toml", None) if text.starts_with("# refused\n") => {
                said = Some(refusal_of(text).unwrap_or_else(|| panic!("{path} calls this refused:\n{text}")));
            }
            ("toml", None) => {
                let refusal = refusal_of(text);
                assert!(refusal.is_none(), "{path} shows as good:\n{text}\n{}", refusal.expect("it was refused"));
                accepted += 1;
            }
            ("text", Some(refusal)) => assert_eq!(text.trim_end(), refusal.to_string().trim_end(), "{path}"),
            (other, _) => panic!("{path} has a block of {other:?} that nothing checks"),
        }
    }
    assert!(accepted >= 3, "{path} has only {accepted} examples");
}

#[test]
fn the_examples_of_the_job_language_are_read_as_they_stand() {
    check_blocks("docs/job-language.md");
}

#[test]
fn the_examples_of_the_strategies_are_read_as_they_stand() {
    check_blocks("docs/strategies.md");
}

#[test]
fn the_policy_on_its_page_is_read_as_it_stands() {
    let page = text_of("docs/policy.md");
    let texts = blocks(&page).into_iter().filter(|(language, _)| *language == "toml");
    let read = texts.map(|(_, text)| policy::parse("policy.toml", text.as_bytes())).filter(Result::is_ok);
    assert_eq!(read.count(), 1);
}

#[test]
fn the_job_files_among_the_examples_are_accepted_without_a_remark() {
    let files = std::fs::read_dir(root().join("examples")).expect("examples/ is part of the source");
    let paths = files.map(|entry| entry.expect("the folder can be read").path());
    let jobs: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    for path in &jobs {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).expect("the file can be read");
        let accepted = parse_job(&name, &text).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert!(accepted.remarks.is_empty(), "{}", accepted.remarks);
    }
    assert!(jobs.len() >= 6, "only {} job files", jobs.len());
}

#[test]
fn the_tables_of_the_documents_are_those_of_the_code() {
    let language = text_of("docs/job-language.md");
    for (name, value, why) in ADDITIONS {
        assert!(language.contains(&format!("| `{name}={value}` | {why} |")), "{name} is not told as it is");
    }
    for (name, globs, why) in SHIPPED {
        assert!(language.contains(&format!("| `{name}` | `{}` | {why} |", globs.join("`, `"))), "{name}");
    }
    let strategies = text_of("docs/strategies.md");
    assert!(library::names().all(|name| strategies.contains(&format!("| `{name}` |"))));
    let (shown, kept) = (blocks(&strategies)[0].1, library::text("tmr").expect("tmr is in the library"));
    let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
    let shown: Vec<&str> = shown.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(shown, lines(kept), "docs/strategies.md shows another tmr");
}
