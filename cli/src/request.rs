//! From what was typed to a job: a job file or a command, with the flags on top.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use chameleon_core::job::check::{self, SPOOL_QUOTA};
use chameleon_core::job::{
    Determinism, Files, Injection, Job, Mask, OsBytes, Stage, Stdin, Surroundings, mask, values,
};
use chameleon_core::names::Millis;
use chameleon_core::strategy::Order;
use chameleon_core::word::{BadValue, Word, listing, nearest};

use crate::commands::strategies;
use crate::failure::Failure;

/// The strategy of `run -- CMD` without `--strategy`.
const STRATEGY: &str = "tmr";

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
}

impl Here {
    /// This process's own directory and environment.
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
        Ok(Here { directory, environment: std::env::vars_os().map(entry).collect(), stdin })
    }

    fn directory(&self) -> OsBytes {
        self.directory.as_os_str().as_bytes().to_vec().into()
    }
}

/// A job for one command.
///
/// # Errors
/// A flag makes no sense.
pub fn of_command(command: Vec<OsString>, flags: JobFlags, here: Here) -> Result<Job, Failure> {
    let strategy = strategies::find(flags.strategy.as_deref().unwrap_or(STRATEGY))?;
    let name = name_of(&command);
    let stage = Stage {
        name: name.clone(),
        command: command.into_iter().map(|word| word.into_vec().into()).collect(),
        tasks: None,
        files: Files::Overlay,
        inputs: vec![],
        outputs: vec![],
    };
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
    };
    changed(job, flags)
}

/// A job from a file, and what is odd about it.
///
/// # Errors
/// The file cannot be read, its text or a flag makes no sense.
pub fn of_file(path: &Path, flags: JobFlags, here: Here) -> Result<(Job, String), Failure> {
    let bytes = std::fs::read(path).map_err(|why| Failure::Unreadable {
        what: if path.extension().is_some() {
            "the job file"
        } else {
            "a program needs -- before it, and the job file"
        },
        path: path.to_owned(),
        why,
    })?;
    let surroundings = Surroundings {
        directory: here.directory(),
        environment: here.environment,
        stdin: here.stdin,
        read: &|named| read_beside(path, named),
    };
    let accepted = chameleon_core::job::parse(&path.to_string_lossy(), &bytes, &surroundings);
    let accepted = accepted.map_err(|refusal| Failure::Text(Box::new(refusal)))?;
    let mut job = accepted.job;
    if let Some(name) = &flags.strategy {
        job.strategy = strategies::find(name)?;
    }
    Ok((changed(job, flags)?, accepted.remarks.render(true)))
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
