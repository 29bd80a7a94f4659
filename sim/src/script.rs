//! Stories: what users do, what strikes when, and how it ends; as text that a person reads.
//!
//! ```text
//! # The voter dies with two ballots in
//! job tmr
//! stage prog out:hello
//! after voter-j1 hears Ballots 2: kill voter-j1
//! expect 1 result 0 hello
//! ```
//!
//! | line | what it means |
//! |---|---|
//! | `# TEXT` | the title and the reason |
//! | `seed N`, `hosts N` | the seed that decides ties, and how many hosts there are |
//! | `ftms N` | so many hosts are candidates for the FTM |
//! | `cluster` | the first host founded a cluster that others can join |
//! | `file PATH TEXT` | a file that programs read |
//! | `job STRATEGY [KEY=VALUE]…` | the next user comes with a job: `after_ms`, `deadline_ms`, `hold`, `replicas`, `quorum`, `extend_to`, `restarts`, `repeats`, `quota`, `abnormal`, `origin`, `build` |
//! | `stage [tasks=A..B] [files=overlay] [execution=at-most-once] [strategy=NAME] [stdin=STAGE] [input=PATH]… PROGRAM` | a stage of that job |
//! | `types MS:TEXT…` | its standard input, each piece after so many ms |
//! | `lane N flip` | something is wrong with a lane: `flip` (all alike), `garble` (each otherwise), `lie`, `slow`, `other-input`, `no-compiler` |
//! | `at MS: FAULT` | a fault at a time |
//! | `before NAME says WORD [N]: FAULT` | just before it says that, for the Nth time |
//! | `after NAME says WORD [N]: FAULT`, `after NAME hears WORD [N]: FAULT` | just after |
//! | `expect USER OUTCOME CODE [TEXT]` | how it ends, and all that is printed |
//!
//! Faults are `kill NAME`, `stop NAME`, `spin NAME`, `deafen NAME`, `freeze NAME MS`, `starve NAME MS`,
//! `kill-program NAME`, `stop-program NAME`, `kill-slot NAME`, `break NAME NAME`, `slow-saves N`,
//! `power-loss` and `interrupt USER`; of whole hosts `host HOST dies`, `is-killed`, `returns`, `freezes`,
//! `thaws`, `starves MS`, `is-cut-off`, and of what lies between them `cut HOST HOST`,
//! `cut-one-way FROM TO`, `mend-links` and `lose-datagrams PER_MILLE DELAY_MS`. What people ask of a cluster stands in
//! their place: `ask token SECRET ROLE MS`, `ask enrol SECRET NAME KEY` and `ask revoke NAME`.

use std::str::FromStr;

use chameleon_core::job::{Build, Files, OsBytes, Promise, Stdin};
use chameleon_core::names::{ArmorName, HostId, LaneId, Millis, StageId, Term};
use chameleon_core::principal::Role;
use chameleon_core::word::Word;

use crate::cluster::Question;
use crate::faults::{Fault, HostFault, Mischief};
use crate::history::Moment;
use crate::jobs;
use crate::process::Condition;
use crate::user::User;

/// A fault that waits for its moment.
#[derive(Debug, Clone)]
pub struct Trigger {
    moment: Moment,
    who: ArmorName,
    word: String,
    /// How often it still has to happen.
    left: u32,
    fault: Fault,
}

impl Trigger {
    /// Whether its moment never came.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.left > 0
    }

    /// The fault, if this is the moment.
    pub fn strikes(&mut self, moment: Moment, who: ArmorName, word: &str) -> Option<Fault> {
        if self.moment != moment || self.who != who || self.word != word || self.left == 0 {
            return None;
        }
        self.left -= 1;
        (self.left == 0).then(|| self.fault.clone())
    }
}

/// How a user's job is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub user: u64,
    /// The word of the outcome, and the exit code.
    pub word: String,
    pub code: u8,
    /// All that is printed, unless nothing is said about that.
    pub printed: Option<String>,
}

/// A story, read.
#[derive(Debug, Default)]
pub struct Story {
    pub title: String,
    pub seed: u64,
    pub hosts: u32,
    /// How many of them are candidates for the FTM; 0: there are none, and the first has it.
    pub ftms: u32,
    /// The first of them founded a cluster.
    pub cluster: bool,
    pub files: Vec<(Vec<u8>, Vec<u8>)>,
    /// With the time at which each comes, in ms.
    pub users: Vec<(u64, User)>,
    pub mischief: Vec<(LaneId, Mischief)>,
    pub policies: Vec<(HostId, String)>,
    /// Hosts that have POSIX facilities alone.
    pub posix: Vec<HostId>,
    pub timed: Vec<(u64, Fault)>,
    pub triggers: Vec<Trigger>,
    pub expected: Vec<Expected>,
}

/// A line that does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    pub line: usize,
    pub why: String,
}

/// Reads a story.
///
/// # Errors
/// The first line that does not read.
pub fn parse(text: &str) -> Result<Story, BadLine> {
    let mut story = Story { seed: 1, hosts: 1, ..Story::default() };
    for (index, line) in text.lines().enumerate() {
        read(&mut story, line.trim()).map_err(|why| BadLine { line: index + 1, why })?;
    }
    Ok(story)
}

fn read(story: &mut Story, line: &str) -> Result<(), String> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "" => {}
        "#" if story.title.is_empty() => story.title = rest.to_owned(),
        "#" => {}
        "seed" => story.seed = value(rest, "a number")?,
        "hosts" => story.hosts = value(rest, "a number")?,
        "ftms" => story.ftms = value(rest, "a number")?,
        "cluster" => story.cluster = true,
        "file" => {
            let (path, content) = rest.split_once(' ').unwrap_or((rest, ""));
            story.files.push((path.into(), content.into()));
        }
        "job" => job(story, rest)?,
        "stage" => stage(last_user(story)?, rest)?,
        "types" => types(last_user(story)?, rest)?,
        "lane" => {
            let (lane, what) = rest.split_once(' ').ok_or("expected lane NUMBER FAULT")?;
            story.mischief.push((LaneId(value(lane, "a lane")?), mischief(what)?));
        }
        "policy" => {
            let (host, text) = rest.split_once(' ').ok_or("expected policy HOST TEXT")?;
            story.policies.push((value(host, "a host")?, text.to_owned()));
        }
        "posix" => story.posix.push(value(rest, "a host")?),
        "at" => {
            let (ms, what) = rest.split_once(':').ok_or("expected at MS: FAULT")?;
            story.timed.push((value(ms, "milliseconds")?, fault(what.trim())?));
        }
        "before" | "after" => story.triggers.push(trigger(verb, rest)?),
        "expect" => story.expected.push(expected(rest)?),
        other => return Err(format!("expected a line of a story such as job, stage or expect, found {other:?}")),
    }
    Ok(())
}

fn value<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("expected {what}, found {text:?}"))
}

fn last_user(story: &mut Story) -> Result<&mut User, String> {
    story.users.last_mut().map(|(_, user)| user).ok_or_else(|| "expected a job before this line".to_owned())
}

fn job(story: &mut Story, rest: &str) -> Result<(), String> {
    let mut words = rest.split_whitespace();
    let name = words.next().unwrap_or_default();
    let strategy = jobs::strategy(name).ok_or_else(|| format!("expected a strategy of the library, found {name:?}"))?;
    let (mut job, mut after_ms, mut quiet) = (jobs::job(strategy, Vec::new()), 0, false);
    for word in words {
        let (key, given) = word.split_once('=').unwrap_or((word, ""));
        let number = || value::<u64>(given, "a number");
        let small = || value::<u16>(given, "a number");
        match key {
            "after_ms" => after_ms = number()?,
            "deadline_ms" => job.deadline = Some(Millis(number()?)),
            "hold" => job.hold = true,
            "quiet" => quiet = true,
            "replicas" => job.strategy.redundancy.replicas = small()?,
            "quorum" => job.strategy.redundancy.quorum = small()?,
            "extend_to" => job.strategy.extend_to = small()?,
            "repeats" => job.strategy.repeats = small()?,
            "restarts" => job.strategy.restart.limit = value(given, "a number")?,
            "quota" => job.spool_quota = number()?,
            "abnormal" => job.abnormal_exit.push(value(given, "an exit code")?),
            "priority" => job.needs.priority = value(given, "a number")?,
            "mutex" => job.needs.mutex = Some(given.to_owned()),
            "distinct" => job.needs.wishes.distinct.push(given.to_owned()),
            "same" => job.needs.wishes.same.push(given.to_owned()),
            "origin" => job.origin.host = value(given, "a host")?,
            "on" => job.needs.wishes.hosts.push(given.to_owned()),
            "arch" => job.needs.wishes.only.push(("arch".to_owned(), given.to_owned())),
            "build" => job.build = Some(build(given)),
            "no-variation" => job.strategy.variation = None,
            other => return Err(format!("a job has no {other:?}")),
        }
    }
    job.strategy.extend_to = job.strategy.extend_to.max(job.strategy.redundancy.replicas);
    let mut user = User::new(job);
    user.quiet = quiet;
    story.users.push((after_ms, user));
    Ok(())
}

/// Makes that path; of what and how is nobody's business in an invented world.
fn build(output: &str) -> Build {
    let outputs = vec![OsBytes::from(output.as_bytes().to_vec())];
    Build { source: Vec::new(), command: Vec::new(), outputs, environment: Vec::new() }
}

fn stage(user: &mut User, rest: &str) -> Result<(), String> {
    let (mut settings, mut program) = (Vec::new(), Vec::new());
    for word in rest.split_whitespace() {
        if program.is_empty() && word.contains('=') { settings.push(word) } else { program.push(word) }
    }
    let mut stage = jobs::stage(user.job.stages.len(), &program.join(" "));
    crate::programs::script(&stage.command).map_err(|error| error.to_string())?;
    for (key, given) in settings.into_iter().filter_map(|word| word.split_once('=')) {
        match key {
            "tasks" => {
                let (from, to) = given.split_once("..").ok_or("expected tasks=FIRST..BEYOND")?;
                stage.tasks = Some((value(from, "a task")?, value(to, "a task")?));
            }
            "files" if given == "overlay" => stage.files = Files::Overlay,
            "execution" => stage.promise = Promise::read(given).map_err(|bad| bad.to_string())?,
            "stdin" => stage.stdin = Some(StageId(value(given, "the number of an earlier stage")?)),
            "strategy" => stage.strategy = jobs::strategy(given),
            "files" if given == "scratch" => stage.files = Files::Scratch,
            "input" => stage.inputs.push(OsBytes::from(given.as_bytes().to_vec())),
            other => return Err(format!("a stage has no {other}={given}")),
        }
    }
    user.job.stages.push(stage);
    Ok(())
}

fn types(user: &mut User, rest: &str) -> Result<(), String> {
    user.job.stdin = Stdin::Spool;
    for word in rest.split_whitespace() {
        let (ms, text) = word.split_once(':').ok_or("expected types MS:TEXT")?;
        user.types.push((value(ms, "milliseconds")?, text.into()));
    }
    Ok(())
}

fn mischief(word: &str) -> Result<Mischief, String> {
    match word {
        "flip" => Ok(Mischief::Flip),
        "garble" => Ok(Mischief::Garble),
        "lie" => Ok(Mischief::Lie),
        "slow" => Ok(Mischief::Slow),
        "other-input" => Ok(Mischief::OtherInput),
        "no-compiler" => Ok(Mischief::NoCompiler),
        other => Err(format!("expected flip, garble, lie, slow, other-input or no-compiler, found {other:?}")),
    }
}

fn trigger(verb: &str, rest: &str) -> Result<Trigger, String> {
    let (moment, what) = rest.split_once(':').ok_or("expected a fault behind a colon")?;
    let words: Vec<&str> = moment.split_whitespace().collect();
    let [name, says, word, count @ ..] = words.as_slice() else {
        return Err("expected NAME says WORD or NAME hears WORD".to_owned());
    };
    let moment = match (verb, *says) {
        ("before", "says") => Moment::About,
        ("after", "says") => Moment::Says,
        ("after", "hears") => Moment::Hears,
        _ => return Err(format!("expected before … says, after … says or after … hears, found {verb} … {says}")),
    };
    let left = count.first().map_or(Ok(1), |count| value(count, "a number"))?;
    Ok(Trigger { moment, who: name_of(name)?, word: (*word).to_owned(), left, fault: fault(what.trim())? })
}

fn name_of(word: &str) -> Result<ArmorName, String> {
    word.parse().map_err(|error: chameleon_core::names::BadName| error.to_string())
}

fn fault(text: &str) -> Result<Fault, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    Ok(match words.as_slice() {
        ["kill", name] => Fault::Kill(name_of(name)?),
        ["stop", name] => Fault::Fare(name_of(name)?, Condition::Stopped, None),
        ["spin", name] => Fault::Fare(name_of(name)?, Condition::Spinning, None),
        ["deafen", name] => Fault::Fare(name_of(name)?, Condition::Deaf, None),
        ["freeze", name, ms] => Fault::Fare(name_of(name)?, Condition::Stopped, Some(value(ms, "milliseconds")?)),
        ["starve", name, ms] => Fault::Fare(name_of(name)?, Condition::Starved, Some(value(ms, "milliseconds")?)),
        ["kill-program", name] => Fault::KillProgram(name_of(name)?),
        ["stop-program", name] => Fault::StopProgram(name_of(name)?),
        ["kill-slot", name] => Fault::KillSlot(name_of(name)?),
        ["break", one, other] => Fault::Break(name_of(one)?, name_of(other)?),
        ["slow-saves", times] => Fault::SlowSaves(value(times, "a number")?),
        ["power-loss"] => Fault::PowerLoss,
        ["cut", from, to] => Fault::CutLink(value(from, "a host")?, value(to, "a host")?, true),
        ["cut-one-way", from, to] => Fault::CutLink(value(from, "a host")?, value(to, "a host")?, false),
        ["mend-links"] => Fault::MendLinks,
        ["lose-datagrams", per_mille, delay_ms] => {
            Fault::LoseDatagrams(value(per_mille, "a number")?, value(delay_ms, "milliseconds")?)
        }
        ["host", host, rest @ ..] => Fault::Host(value(host, "a host")?, host_fault(rest, text)?),
        ["interrupt", user] => Fault::Interrupt(value(user, "a user")?),
        ["ask", question @ ..] => Fault::Ask(ask(question)?),
        _ => return Err(format!("expected a fault such as kill voter-j1, found {text:?}")),
    })
}

fn host_fault(words: &[&str], text: &str) -> Result<HostFault, String> {
    Ok(match words {
        ["dies"] => HostFault::Dies,
        ["is-killed"] => HostFault::Killed,
        ["returns"] => HostFault::Returns,
        ["freezes"] => HostFault::Freezes,
        ["thaws"] => HostFault::Thaws,
        ["starves", ms] => HostFault::Starves(value(ms, "milliseconds")?),
        ["is-cut-off"] => HostFault::CutOff,
        _ => return Err(format!("expected a fault of a host such as host h2 dies, found {text:?}")),
    })
}

fn ask(words: &[&str]) -> Result<Question, String> {
    match words {
        ["token", secret, role, ms] => Ok(Question::Token {
            secret: (*secret).to_owned(),
            role: Role::read(role).map_err(|bad| bad.to_string())?,
            good_for: Millis(value(ms, "milliseconds")?),
        }),
        ["enrol", secret, name, key] => {
            let (secret, name, key) = ((*secret).to_owned(), (*name).to_owned(), (*key).to_owned());
            Ok(Question::Enrol { secret, name, key })
        }
        ["revoke", name] => Ok(Question::Revoke { name: (*name).to_owned() }),
        ["drain", host] => Ok(Question::Drain { host: value(host, "a host")?, drained: true }),
        ["resume", host] => Ok(Question::Drain { host: value(host, "a host")?, drained: false }),
        ["did-not-happen", job] => Ok(Question::DidNotHappen { job: value(job, "a job")? }),
        ["revive", host, words @ ..] => {
            Ok(Question::ReviveBy { host: value(host, "a host")?, command: words.join(" ") })
        }
        ["pardon", host] => Ok(Question::Pardon { host: value(host, "a host")? }),
        ["step-down", term] => Ok(Question::StepDown { term: Term(value(term, "a number")?) }),
        ["move", name, host] => Ok(Question::Move { name: value(name, "an ARMOR")?, to: value(host, "a host")? }),
        _ => Err(format!(
            "expected ask token, ask enrol, ask revoke, ask drain, ask resume, ask revive, ask pardon, ask step-down, ask did-not-happen or ask move, found ask {}",
            words.join(" ")
        )),
    }
}

fn expected(rest: &str) -> Result<Expected, String> {
    let mut words = rest.splitn(4, ' ');
    let mut next = || words.next().ok_or_else(|| "expected expect USER OUTCOME CODE [TEXT]".to_owned());
    let (user, word, code) = (value(next()?, "a user")?, next()?.to_owned(), value(next()?, "an exit code")?);
    Ok(Expected { user, word, code, printed: words.next().map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_reads_as_it_is_written() {
        let story = parse(
            "# Two of three agree\n# because\n\nseed 4\njob tmr deadline_ms=50\nstage tasks=0..3 prog out:{task}\n\
             types 5:ab 6:c\nlane 1 flip\nafter voter-j1 hears Ballots 2: kill voter-j1\nat 30: starve daemon-h1 400\n\
             expect 1 result 0 012 and more\n",
        )
        .unwrap();
        assert_eq!((story.title.as_str(), story.seed), ("Two of three agree", 4));
        let user = &story.users[0].1;
        assert_eq!((user.job.deadline, user.job.stages[0].tasks), (Some(Millis(50)), Some((0, 3))));
        assert_eq!(user.types, [(5, b"ab".to_vec()), (6, b"c".to_vec())]);
        assert_eq!(story.mischief, [(LaneId(1), Mischief::Flip)]);
        assert_eq!(story.expected[0].printed.as_deref(), Some("012 and more"));
        let mut trigger = story.triggers[0].clone();
        let voter = "voter-j1".parse().unwrap();
        assert_eq!(trigger.strikes(Moment::Hears, voter, "Ballots"), None);
        assert_eq!(trigger.strikes(Moment::Hears, voter, "Ballots"), Some(Fault::Kill(voter)));
        assert_eq!(trigger.strikes(Moment::Hears, voter, "Ballots"), None, "once");
    }

    #[test]
    fn a_line_that_does_not_read_is_named() {
        for (text, why) in [
            ("job tmr\nstage prog shout:a", "line 2: expected a word of an invented program"),
            ("jump", "line 1: expected a line of a story"),
            ("stage prog", "line 1: expected a job before this line"),
            ("at 5: kill nobody", "line 1: expected an ARMOR"),
            ("job best", "line 1: expected a strategy of the library"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
