//! From what was typed to a job: a job file or a command, with the flags on top.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use chameleon_core::job::check::{self, SPOOL_QUOTA};
use chameleon_core::job::{
    Determinism, Files, Injection, Job, Mask, Needs, Origin, OsBytes, Promise, Stage, Stdin, Surroundings, mask, values,
};
use chameleon_core::names::Millis;
use chameleon_core::strategy::Order;
use chameleon_core::word::{BadValue, Word, listing, nearest};

use crate::commands::strategies;
use crate::failure::Failure;

/// The strategy of `run -- CMD` without `--strategy`.
const STRATEGY: &str = "tmr";
/// And of what may be started at most once.
const STRATEGY_ONCE: &str = "single";

/// How a job is to be run; on top of what a job file says.
#[derive(Debug, Default, clap::Args)]
pub struct JobFlags {
    /// How the job is made dependable: a name from `chameleon strategies`, or a file ending in .toml
    #[arg(long, value_name = "NAME|FILE", help_heading = "Dependability")]
    pub strategy: Option<String>,
    /// Lanes to begin with
    #[arg(long, value_name = "N", help_heading = "Dependability")]
    pub replicas: Option<u16>,
    /// How many lanes must agree
    #[arg(long, value_name = "K", help_heading = "Dependability")]
    pub quorum: Option<u16>,
    /// Lanes side by side (space) or one after another (time)
    #[arg(long, value_name = "ORDER", value_parser = word::<Order>, help_heading = "Dependability")]
    pub order: Option<Order>,
    /// The job ends with 124 when it takes longer, such as 30s or 2h
    #[arg(long, value_name = "DURATION", value_parser = values::duration, help_heading = "Dependability")]
    pub deadline: Option<Millis>,
    /// An exit code that means abnormal termination and is retried; may be repeated
    #[arg(long, value_name = "CODE", help_heading = "Dependability")]
    pub abnormal_exit: Vec<u8>,
    /// Differences that voting overlooks: a shipped mask such as stat-cache; may be repeated
    #[arg(long, value_name = "NAME", value_parser = shipped_mask, help_heading = "Dependability")]
    pub mask: Vec<Mask>,
    /// Adds what makes equal executions equal for common runtimes: assist sets hash seeds and the like
    #[arg(long, value_name = "HOW", value_parser = word::<Determinism>, help_heading = "Dependability")]
    pub determinism: Option<Determinism>,
    /// How often the program may be started: at-most-once for what must never happen twice, in one lane
    #[arg(long, value_name = "HOW", value_parser = word::<Promise>, help_heading = "Dependability")]
    pub execution: Option<Promise>,
    /// Releases no output before the verdict
    #[arg(long, help_heading = "Dependability")]
    pub hold: bool,
    /// A shell command that is told of faults and of the end, on its standard input
    #[arg(long, value_name = "CMD", help_heading = "Dependability")]
    pub notify: Option<OsString>,
    /// Puts a fault in on purpose: kill, stop, slow, flip or lie, in a lane counted from 0; may be repeated
    #[arg(long, value_name = "KIND:LANE[:once|always|p=X]", help_heading = "Dependability")]
    pub inject: Vec<Injection>,
    /// A file or directory that the program reads; may be repeated
    #[arg(long, value_name = "PATH", help_heading = "Surroundings")]
    pub input: Vec<OsString>,
    /// A path outside the run directory that the program may write; may be repeated
    #[arg(long, value_name = "PATH", help_heading = "Surroundings")]
    pub output: Vec<OsString>,
    /// What becomes of files written in the run directory: voted on and kept (overlay), thrown away
    /// (scratch), or forbidden (none)
    #[arg(long, value_name = "HOW", value_parser = word::<Files>, help_heading = "Surroundings")]
    pub files: Option<Files>,
    /// Lets programs use the network; its effects are not held
    #[arg(long, help_heading = "Surroundings")]
    pub net: bool,
    /// Most bytes of undecided output a lane may hold before it is paused, such as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = values::size, help_heading = "Surroundings")]
    pub spool_quota: Option<u64>,
}

fn word<W: Word>(text: &str) -> Result<W, BadValue> {
    W::read(text)
}

fn shipped_mask(text: &str) -> Result<Mask, BadValue> {
    let names = || mask::SHIPPED.iter().map(|(name, ..)| *name);
    Mask::shipped(text).ok_or_else(|| BadValue {
        found: text.to_owned(),
        expected: format!("a shipped mask: {}", listing(names())),
        nearest: nearest(text, names()).map(str::to_owned),
    })
}

/// Where a job is submitted from.
#[derive(Debug)]
pub struct Here {
    pub directory: PathBuf,
    pub environment: Vec<OsBytes>,
    pub stdin: Stdin,
    pub umask: u32,
}

impl Here {
    /// This process's own directory, environment and umask.
    ///
    /// # Errors
    /// There is no current directory any more.
    pub fn new(stdin: Stdin) -> Result<Self, Failure> {
        let directory = std::env::current_dir().map_err(|why| Failure::Unreadable {
            what: "the run directory",
            path: PathBuf::from("."),
            why,
        })?;
        let entry = |(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat().into();
        Ok(Here { directory, environment: std::env::vars_os().map(entry).collect(), stdin, umask: umask() })
    }

    fn directory(&self) -> OsBytes {
        self.directory.as_os_str().as_bytes().to_vec().into()
    }
}

/// The only way to ask the kernel without changing it.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(Job::USUAL_UMASK)
}

/// A job for one command.
///
/// # Errors
/// A flag makes no sense.
pub fn of_command(command: Vec<OsString>, flags: JobFlags, here: Here) -> Result<Job, Failure> {
    let usual = if flags.execution == Some(Promise::AtMostOnce) { STRATEGY_ONCE } else { STRATEGY };
    let strategy = strategies::find(flags.strategy.as_deref().unwrap_or(usual))?;
    let name = name_of(&command);
    let stage = Stage::new(name.clone(), command.into_iter().map(|word| word.into_vec().into()).collect());
    let job = Job {
        name,
        strategy,
        stages: vec![stage],
        deadline: None,
        abnormal_exit: vec![],
        notify: vec![],
        hold: false,
        net: false,
        determinism: Determinism::Plain,
        masks: vec![],
        injections: vec![],
        directory: here.directory(),
        environment: here.environment,
        stdin: here.stdin,
        spool_quota: SPOOL_QUOTA,
        origin: Origin::default(),
        build: None,
        umask: here.umask,
        needs: Needs { user: user(), ..Needs::default() },
    };
    changed(job, flags)
}

/// A job from a file, and what is odd about it.
///
/// # Errors
/// The file cannot be read, its text or a flag makes no sense.
pub fn of_file(path: &Path, flags: JobFlags, here: Here) -> Result<(Job, String), Failure> {
    let bytes = std::fs::read(path).map_err(|why| unreadable(path, why))?;
    let umask = here.umask;
    let surroundings = Surroundings {
        directory: here.directory(),
        environment: here.environment,
        stdin: here.stdin,
        read: &|named| read_beside(path, named),
    };
    let accepted = chameleon_core::job::parse(&path.to_string_lossy(), &bytes, &surroundings);
    let accepted = accepted.map_err(|refusal| Failure::Text(Box::new(refusal)))?;
    let mut job = Job { umask, ..accepted.job };
    job.needs.user = user();
    if let Some(name) = &flags.strategy {
        job.strategy = strategies::find(name)?;
    }
    Ok((changed(job, flags)?, accepted.remarks.render(true)))
}

/// A job of earlier, for whoever runs this command.
///
/// # Errors
/// A flag makes no sense.
pub fn of_job(mut job: Job, flags: JobFlags) -> Result<Job, Failure> {
    job.needs.user = user();
    if let Some(name) = &flags.strategy {
        job.strategy = strategies::find(name)?;
    }
    changed(job, flags)
}

/// The name of whoever runs this command; the number, if it has no name.
fn user() -> String {
    let number = rustix::process::getuid().as_raw().to_string();
    let all = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = all.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)? == number).then(|| name.to_owned())
    });
    name.unwrap_or(number)
}

/// A program was meant, more likely than not, where the name has no ending.
fn unreadable(path: &Path, why: io::Error) -> Failure {
    if path.extension().is_none() && why.kind() == io::ErrorKind::NotFound {
        let name = path.display();
        return Failure::Asked(format!("there is no job file {name}; a program is run by `chameleon run -- {name}`"));
    }
    Failure::Unreadable { what: "the job file", path: path.to_owned(), why }
}

/// A strategy file that a job file names lies beside it.
fn read_beside(job_file: &Path, named: &str) -> Result<Vec<u8>, String> {
    let directory = job_file.parent().unwrap_or(Path::new(""));
    std::fs::read(directory.join(named)).map_err(|why| why.to_string())
}

/// The job with the flags on top, checked as a whole.
fn changed(mut job: Job, flags: JobFlags) -> Result<Job, Failure> {
    let asked = |why: &dyn std::fmt::Display| Failure::Asked(why.to_string());
    job.strategy = job.strategy.with(flags.replicas, flags.quorum, flags.order).map_err(|why| asked(&why))?;
    job.deadline = flags.deadline.or(job.deadline);
    job.abnormal_exit.extend(flags.abnormal_exit);
    job.masks.extend(flags.mask);
    job.determinism = flags.determinism.unwrap_or(job.determinism);
    job.hold |= flags.hold;
    job.net |= flags.net;
    job.injections.extend(flags.inject);
    job.spool_quota = flags.spool_quota.unwrap_or(job.spool_quota);
    if let Some(command) = flags.notify {
        job.notify = [OsString::from("sh"), "-c".into(), command].map(|word| word.into_vec().into()).to_vec();
    }
    let absolute = |path: &OsString| check::path(&job.directory, path.as_bytes()).map_err(|why| asked(&why));
    let inputs: Vec<OsBytes> = flags.input.iter().map(absolute).collect::<Result<_, _>>()?;
    let outputs: Vec<OsBytes> = flags.output.iter().map(absolute).collect::<Result<_, _>>()?;
    for stage in &mut job.stages {
        stage.files = flags.files.unwrap_or(stage.files);
        stage.promise = flags.execution.unwrap_or(stage.promise);
        stage.inputs.extend(inputs.iter().cloned());
        stage.outputs.extend(outputs.iter().filter(|path| !check::is_within(path, &job.directory)).cloned());
    }
    match job.check().first() {
        None => Ok(job),
        Some(unfit) => Err(asked(unfit)),
    }
}

/// The program's name, as far as it can name a job.
fn name_of(command: &[OsString]) -> String {
    let program = command.first().map(|program| Path::new(program).file_name().unwrap_or(program).to_string_lossy());
    let fit = |letter: &char| !letter.is_control() && *letter != '/';
    let name: String = program.unwrap_or_default().chars().filter(fit).take(check::LONGEST_NAME).collect();
    if name.is_empty() { "run".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::job::{InjectionKind, InjectionWhen};
    use chameleon_core::names::LaneId;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        flags: JobFlags,
        #[arg(last = true)]
        command: Vec<OsString>,
    }

    fn here() -> Here {
        Here { directory: PathBuf::from("/work dir"), environment: vec![], stdin: Stdin::Null, umask: 0o077 }
    }

    fn job(typed: &[&str]) -> Result<Job, Failure> {
        let words = ["run"].iter().chain(typed);
        let Flags { flags, command } = Flags::try_parse_from(words).unwrap_or_else(|refusal| panic!("{refusal}"));
        of_command(command, flags, here())
    }

    #[test]
    fn a_command_alone_is_voted_on_by_three_lanes() {
        let job = job(&["--", "/usr/bin/sort", "-n"]).unwrap();
        assert_eq!((job.name.as_str(), job.strategy.name.as_str()), ("sort", "tmr"));
        assert_eq!(job.stages[0].command, [b"/usr/bin/sort".to_vec().into(), b"-n".to_vec().into()]);
        assert_eq!(&*job.directory, b"/work dir".as_slice());
    }

    #[test]
    fn every_flag_reaches_the_job() {
        let job = job(&[
            "--strategy=single",
            "--replicas=5",
            "--quorum=4",
            "--order=time",
            "--deadline=2m",
            "--abnormal-exit=3",
            "--mask=stat-cache",
            "--determinism=assist",
            "--hold",
            "--net",
            "--notify=cat >>log",
            "--inject=flip:1:always",
            "--input=in.txt",
            "--output=/elsewhere/out",
            "--output=inside",
            "--files=overlay",
            "--spool-quota=1MiB",
            "--",
            "true",
        ])
        .unwrap();
        let redundancy = job.strategy.redundancy;
        assert_eq!((redundancy.replicas, redundancy.quorum, redundancy.order), (5, 4, Order::Time));
        assert_eq!((job.deadline, job.spool_quota), (Some(Millis(120_000)), 1 << 20));
        assert_eq!((job.abnormal_exit, job.masks[0].name.as_str()), (vec![3], "stat-cache"));
        assert_eq!((job.determinism, job.hold, job.net), (Determinism::Assist, true, true));
        assert_eq!(job.notify, [&b"sh"[..], b"-c", b"cat >>log"].map(|word| word.to_vec().into()));
        let injection = Injection { kind: InjectionKind::Flip, lane: LaneId(1), when: InjectionWhen::Always };
        assert_eq!(job.injections, [injection]);
        assert_eq!(job.stages[0].inputs, [b"/work dir/in.txt".to_vec().into()]);
        assert_eq!(job.stages[0].outputs, [b"/elsewhere/out".to_vec().into()], "what is inside is held anyway");
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_a_sentence() {
        let table: [(&[&str], &str); 6] = [
            (&["--execution=at-most-once", "--strategy=tmr", "--", "pay"], "up to 7 lanes run the program"),
            (&["--execution=at-most-once", "--strategy=retry", "--", "pay"], "is started again, up to 10 times"),
            (&["--replicas=3", "--quorum=4", "--", "true"], "quorum"),
            (&["--inject=kill:40", "--", "true"], "lane"),
            (&["--strategy=tmrr", "--", "true"], "did you mean \"tmr\"?"),
            (&["--deadline=0s", "--", "true"], "deadline"),
        ];
        for (typed, expected) in table {
            let why = job(typed).unwrap_err().to_string();
            assert!(why.contains(expected), "{typed:?}: {why}");
        }
    }

    #[test]
    fn a_name_without_an_ending_was_meant_as_a_program() {
        let missing = |name| of_file(Path::new(name), JobFlags::default(), here()).unwrap_err().to_string();
        assert_eq!(missing("nosuch"), "there is no job file nosuch; a program is run by `chameleon run -- nosuch`");
        assert!(missing("nosuch.toml").starts_with("the job file nosuch.toml cannot be read"));
    }

    #[test]
    fn a_job_file_finds_its_strategy_beside_it_and_gives_way_to_flags() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("job.toml");
        std::fs::write(directory.path().join("mine.toml"), "about = \"mine\"\nreplicas = 5\nquorum = 3\n").unwrap();
        let text = "[job]\nname = \"sum\"\nstrategy = \"mine.toml\"\n[[stage]]\nname = \"s\"\ncommand = [\"true\"]\n";
        std::fs::write(&path, text).unwrap();
        let (job, remarks) = of_file(&path, JobFlags::default(), here()).unwrap();
        assert_eq!((job.strategy.redundancy.replicas, remarks.as_str()), (5, ""));
        let flags = JobFlags { strategy: Some("dual".to_owned()), ..JobFlags::default() };
        assert_eq!(of_file(&path, flags, here()).unwrap().0.strategy.name, "dual");
        std::fs::write(&path, text.replace("stage", "stag")).unwrap();
        assert!(matches!(of_file(&path, JobFlags::default(), here()), Err(Failure::Text(_))));
    }
}
