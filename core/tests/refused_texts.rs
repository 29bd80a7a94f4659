//! Each text in `testdata` that is refused says so at the right place and in the right words.
//!
//! A case is a title, the text, and what is said about it. `REWRITE=1` writes what is said now into
//! the files, to be reviewed like prose.
#![expect(clippy::disallowed_methods, reason = "a test reads the files that it is about")]

use std::fmt::Write as _;
use std::path::PathBuf;

use chameleon_core::job::{self, OsBytes, Stdin, Surroundings};
use chameleon_core::refusal::{Problem, Refusal};
use chameleon_core::strategy;

const TITLE: &str = "=== ";
const SAID: &str = "--- said\n";

#[test]
fn refused_strategy_files_say_where_and_why() {
    check_table("refused_strategies.txt", |text| match strategy::parse("mine.toml", text.as_bytes()) {
        Ok(strategy) => format!("accepted: {}\n", strategy.explain().join("; ")),
        Err(refusal) => said(&refusal),
    });
}

#[test]
fn refused_job_files_say_where_and_why() {
    check_table("refused_jobs.txt", |text| {
        let read = |path: &str| match path {
            "wrong.toml" => Ok(b"replicas = 3\nquorum = 4\n".to_vec()),
            _ => Err("no such file".to_owned()),
        };
        let surroundings = Surroundings {
            directory: OsBytes::from(b"/home/me/run".to_vec()),
            environment: vec![],
            stdin: Stdin::Null,
            read: &read,
        };
        match job::parse("job.toml", text.as_bytes(), &surroundings) {
            Ok(accepted) => {
                let remarks = accepted.remarks.problems().iter().map(|problem| hinted(&problem.sentence, problem));
                format!("accepted\n{}", remarks.collect::<String>())
            }
            Err(refusal) => said(&refusal),
        }
    });
}

/// Every problem as `LINE:COLUMN sentence (hint)`, those of texts within after it.
fn said(refusal: &Refusal) -> String {
    let place = |problem: &Problem| format!("{}:{} ", refusal.line(problem), refusal.column(problem));
    let own = refusal.problems().iter().map(|problem| place(problem) + &hinted(&problem.sentence, problem));
    let own: String = own.collect();
    refusal.within().iter().fold(own, |all, within| all + "within:\n" + &said(within))
}

fn hinted(sentence: &str, problem: &Problem) -> String {
    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{sentence}{hint}\n")
}

/// Compares each case's last part with what `say` makes of its text.
fn check_table(name: &str, say: impl Fn(&str) -> String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    let table = std::fs::read_to_string(&path).expect("the table is part of the source");
    let mut cases = table.split(TITLE);
    let mut now = cases.next().expect("split has at least one part").to_owned();
    let mut count = 0;
    for case in cases {
        let (title, rest) = case.split_once('\n').expect("a title is a line");
        let text = rest.split(SAID).next().expect("split has at least one part");
        write!(now, "{TITLE}{title}\n{text}{SAID}{}\n", say(text)).expect("writing to a string succeeds");
        count += 1;
    }
    assert!(count > 10, "{name} has only {count} cases");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, &now).expect("the table can be rewritten");
    }
    let differing = table.lines().zip(now.lines()).enumerate().find(|(_, (then, now))| then != now);
    if let Some((line, (then, now))) = differing {
        panic!("{name}:{}\n expected {then}\n found    {now}", line + 1);
    }
    assert_eq!(table.trim_end(), now.trim_end(), "{name}");
}
