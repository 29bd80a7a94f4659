//! Invented programs: a command line is the script of what the program does.
//!
//! | word | what the program does |
//! |---|---|
//! | `out:TEXT`, `err:TEXT` | writes TEXT; `out:TEXT*N` writes it N times in one go |
//! | `wait:MS`, `work:MS` | sleeps, or uses the CPU |
//! | `cat` | copies standard input to standard output, to its end |
//! | `write:PATH:TEXT` | makes a file |
//! | `forbidden:PATH` | tries to write where it may not |
//! | `unique`, `coin` | writes a number that never comes again, or one of two words |
//! | `faulty:N` | writes a number that never comes again, once in a million times N |
//! | `unique-if:A:B` | writes a number that never comes again, if A is B |
//! | `crash:N` | dies by signal 11, if it is one of the first N attempts |
//! | `exit:N`, `signal:N` | ends so |
//! | `hang`, `freeze` | never goes on: asleep, or stopped |
//!
//! The first word is its name; a program called `missing` or `plain` does not exist or is no program.

use std::collections::BTreeMap;

use chameleon_core::job::{Job, OsBytes, Stage, Stdin};
use chameleon_core::names::StageId;
use chameleon_core::world::End;

/// One deed of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    Out(Vec<u8>),
    Err(Vec<u8>),
    WaitMs(u64),
    WorkMs(u64),
    Cat,
    Write(Vec<u8>, Vec<u8>),
    Forbidden(Vec<u8>),
    Unique,
    Faulty(u32),
    Coin,
    Crash(u32),
    End(End),
    Hang,
    Freeze,
}

/// A word that no invented program knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a word of an invented program such as out:TEXT or exit:3, found {0:?}")]
pub struct UnknownWord(pub String);

/// What a correct execution results in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    pub stdout: Vec<u8>,
    pub end: End,
    /// Files made: path and content.
    pub files: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The script that a command line stands for.
///
/// # Errors
/// The first word that is not known.
pub fn script(command: &[OsBytes]) -> Result<Vec<Deed>, UnknownWord> {
    match command.first().map(|name| name.as_slice()) {
        None | Some(b"missing") => Ok(vec![Deed::End(End::NotFound)]),
        Some(b"plain") => Ok(vec![Deed::End(End::NotExecutable)]),
        Some(_) => command[1..].iter().map(|word| deed(&String::from_utf8_lossy(word))).collect(),
    }
}

fn deed(word: &str) -> Result<Deed, UnknownWord> {
    let unknown = || UnknownWord(word.to_owned());
    let (verb, rest) = word.split_once(':').unwrap_or((word, ""));
    let number = || rest.parse::<u64>().map_err(|_| unknown());
    let small = || rest.parse::<u8>().map_err(|_| unknown());
    Ok(match verb {
        "out" => Deed::Out(repeated(rest)),
        "err" => Deed::Err(repeated(rest)),
        "wait" => Deed::WaitMs(number()?),
        "work" => Deed::WorkMs(number()?),
        "cat" => Deed::Cat,
        "write" => {
            let (path, content) = rest.split_once(':').ok_or_else(unknown)?;
            Deed::Write(path.into(), content.into())
        }
        "forbidden" => Deed::Forbidden(rest.into()),
        "unique" => Deed::Unique,
        "unique-if" if rest.split_once(':').is_some_and(|(one, other)| one == other) => Deed::Unique,
        "unique-if" => Deed::WaitMs(0),
        "faulty" => Deed::Faulty(rest.parse().map_err(|_| unknown())?),
        "coin" => Deed::Coin,
        "crash" => Deed::Crash(rest.parse().map_err(|_| unknown())?),
        "exit" => Deed::End(End::Exit(small()?)),
        "signal" => Deed::End(End::Signal(small()?)),
        "hang" => Deed::Hang,
        "freeze" => Deed::Freeze,
        _ => return Err(unknown()),
    })
}

fn repeated(text: &str) -> Vec<u8> {
    match text.rsplit_once('*').map(|(text, times)| (text, times.parse())) {
        Some((text, Ok(times))) => text.as_bytes().repeat(times),
        _ => text.into(),
    }
}

/// What a correct execution of one task results in, or `None` if that is nobody's to say: the
/// program draws lots, or never ends. `crashes` is how many of its attempts may end abnormally
/// before the end becomes its result.
#[must_use]
pub fn truth(stage: &Stage, task: u64, stdin: &[u8], crashes: u32) -> Option<Truth> {
    let mut truth = Truth { stdout: Vec::new(), end: End::Exit(0), files: BTreeMap::new() };
    for deed in script(&command_of(stage, task)).ok()? {
        match deed {
            Deed::Out(bytes) => truth.stdout.extend(bytes),
            Deed::Cat => truth.stdout.extend(stdin),
            Deed::Write(path, content) => drop(truth.files.insert(path, content)),
            Deed::Unique | Deed::Faulty(_) | Deed::Coin | Deed::Hang | Deed::Freeze => return None,
            Deed::Crash(attempts) if attempts > crashes => return Some(Truth { end: End::Signal(11), ..truth }),
            Deed::End(end) => return Some(Truth { end, ..truth }),
            Deed::Err(_) | Deed::WaitMs(_) | Deed::WorkMs(_) | Deed::Forbidden(_) | Deed::Crash(_) => {}
        }
    }
    Some(truth)
}

/// The command of one task, as it is started.
#[must_use]
pub fn command_of(stage: &Stage, task: u64) -> Vec<OsBytes> {
    if stage.tasks.is_none() {
        return stage.command.clone();
    }
    let named = |word: &OsBytes| String::from_utf8_lossy(word).replace("{task}", &task.to_string()).into_bytes();
    stage.command.iter().map(|word| named(word).into()).collect()
}

/// The tasks of a stage, first and one after the last.
#[must_use]
pub fn tasks_of(stage: &Stage) -> (u64, u64) {
    stage.tasks.unwrap_or((0, 1))
}

/// What a job prints if nothing goes wrong, and how it ends; `None` if that is nobody's to say.
#[must_use]
pub fn truth_of(job: &Job, stdin: &[u8]) -> Option<Truth> {
    let mut whole = Truth { stdout: Vec::new(), end: End::Exit(0), files: BTreeMap::new() };
    let stdin = if job.stdin == Stdin::Null { &[] } else { stdin };
    let mut printed: Vec<BTreeMap<u64, Vec<u8>>> = Vec::new();
    for (id, stage) in (0..).map(StageId).zip(&job.stages) {
        let (first, last) = tasks_of(stage);
        printed.push(BTreeMap::new());
        for task in first..last {
            let handed = handed(job, stage, task, &printed);
            let stdin = handed.as_deref().unwrap_or(stdin);
            let truth = truth(stage, task, stdin, job.strategy_of(id).restart.limit)?;
            printed[usize::from(id.0)].insert(task, truth.stdout.clone());
            whole.stdout.extend(truth.stdout);
            whole.files.extend(truth.files);
            if whole.end == End::Exit(0) {
                whole.end = truth.end;
            }
        }
        if whole.end != End::Exit(0) {
            break;
        }
    }
    Some(whole)
}

/// What a task reads of an earlier stage.
fn handed(job: &Job, stage: &Stage, task: u64, printed: &[BTreeMap<u64, Vec<u8>>]) -> Option<Vec<u8>> {
    let source = usize::from(stage.stdin?.0);
    let each = job.stages.get(source)?.tasks.is_some() && stage.tasks.is_some();
    let bytes = printed.get(source)?.iter().filter(|(of, _)| !each || **of == task);
    Some(bytes.flat_map(|(_, bytes)| bytes.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsBytes> {
        line.split(' ').map(|word| word.as_bytes().to_vec().into()).collect()
    }

    #[test]
    fn a_command_line_is_a_script() {
        let expected = vec![Deed::Out(b"ababab".to_vec()), Deed::WaitMs(20), Deed::End(End::Exit(3))];
        assert_eq!(script(&words("prog out:ab*3 wait:20 exit:3")), Ok(expected));
        assert_eq!(script(&words("missing out:a")), Ok(vec![Deed::End(End::NotFound)]));
        let error = script(&words("prog shout:a")).unwrap_err();
        assert!(error.to_string().contains("shout:a"), "{error}");
    }

    #[test]
    fn the_truth_of_a_program_that_draws_lots_is_nobodys_to_say() {
        let stage = |line: &str| Stage { tasks: Some((0, 10)), ..Stage::new("s", words(line)) };
        let known = |line: &str| truth(&stage(line), 7, b"in", 2);
        assert_eq!(known("prog out:{task} cat").map(|truth| truth.stdout), Some(b"7in".to_vec()));
        assert_eq!(known("prog coin"), None);
        assert_eq!(known("prog crash:2 exit:4").map(|truth| truth.end), Some(End::Exit(4)));
        assert_eq!(known("prog crash:3 exit:4").map(|truth| truth.end), Some(End::Signal(11)));
    }
}
