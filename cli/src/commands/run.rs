//! `chameleon run`: a program or a job file, as the shell would run it.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::Sender;

use chameleon_core::follower::{Ending, Follower};
use chameleon_core::job::Job;
use chameleon_core::message::{LaneRow, Release};
use chameleon_core::names::{Digest, JobId, StageId};

use crate::commands;
use crate::failure::Failure;
use crate::line::Line;
use crate::packs::Packs;
use crate::printer::Printer;
use crate::progress::{Beside, Lines};
use crate::request::{self, Here, JobFlags};
use crate::screen::Raw;
use crate::session::Heard;
use crate::signals::Signals;
use crate::status_file::{self, Status};
use crate::system::{Place, System};
use crate::watch::{Hands, Watch, Watched};
use crate::{epilogue, notices, screen, stdin};

#[derive(Debug, clap::Args)]
#[command(override_usage = "chameleon run [OPTIONS] -- CMD ARG...\n       chameleon run [OPTIONS] JOB.toml")]
pub struct Run {
    /// A job file, instead of a command
    #[arg(value_name = "JOB.toml", conflicts_with = "command")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: JobFlags,
    /// Where to write how it ended, as JSON
    #[arg(long, value_name = "PATH", help_heading = "Reports")]
    status_file: Option<PathBuf>,
    /// Tell every fault as a story on standard error, and the cost, when the job has ended
    #[arg(long, help_heading = "Reports")]
    report: bool,
    /// The program and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

const NOTHING_TO_RUN: &str = "there is nothing to run, expected `chameleon run -- CMD ARG…` or `chameleon run JOB.toml`";

/// What is known at the end.
#[derive(Default)]
struct Concluded {
    code: u8,
    job: Option<JobId>,
    ending: Option<Ending>,
    failure: Option<Failure>,
    faults: u64,
}

impl Run {
    pub fn execute(mut self, place: &Place) -> Result<u8, Failure> {
        let status_file = self.status_file.take();
        if let Some(path) = &status_file {
            status_file::examine(path)?;
        }
        let concluded = self.conclude(place).unwrap_or_else(|failure| Concluded {
            code: failure.exit_code(),
            failure: Some(failure),
            ..Concluded::default()
        });
        if let Some(failure) = &concluded.failure {
            failure.show();
        }
        if let Some(path) = status_file {
            concluded.status().write(&path)?;
        }
        Ok(concluded.code)
    }

    fn conclude(self, place: &Place) -> Result<Concluded, Failure> {
        let signals = Signals::block()?;
        let here = Here::new(stdin::examine()?)?;
        let (mut job, remarks) = match &self.file {
            Some(path) => request::of_file(path, self.flags, here)?,
            None if self.command.is_empty() => return Err(Failure::Asked(NOTHING_TO_RUN.to_owned())),
            None => (request::of_command(self.command, self.flags, here)?, String::new()),
        };
        if !remarks.is_empty() {
            screen::remark(&remarks);
        }
        let system = place.standing_or_ephemeral(job.strategy.redundancy.replicas)?;
        system.adopt(&mut job)?;
        let line = system.connect()?;
        signals.tell(line.ear());
        let concluded = follow(&system, line, job, self.report)?;
        system.leave()?;
        Ok(concluded)
    }
}

impl Concluded {
    fn status(&self) -> Status<'_> {
        Status {
            exit_code: self.code,
            job: self.job,
            ending: self.ending.as_ref(),
            failure: self.failure.as_ref().filter(|failure| !failure.is_broken_pipe()).map(ToString::to_string),
            faults: self.faults,
        }
    }
}

/// Follows the job to its end and says on standard error what must be said.
fn follow(system: &System, mut line: Line, job: Job, report: bool) -> Result<Concluded, Failure> {
    let lines = Lines::new(job.stages.len());
    let mut hands = Person { system, pass: job.origin.pass, ear: line.ear(), printing: None, lines };
    let follower = Follower::new(line.number(), job.clone(), true);
    let watched = Watch::new(&mut line, &mut hands, follower).run();
    hands.lines.clear();
    match watched {
        Watched::Refused { why } => Err(Failure::Refused(why)),
        Watched::Abandoned { code, job, broken } => {
            Ok(Concluded { code, job, failure: broken, ..Concluded::default() })
        }
        Watched::Ended { ending, broken } => {
            let rows = commands::report::rows(&mut line, ending.job).unwrap_or_default();
            let faults = epilogue::tell(&epilogue::Scene { system, job: &job, ending: &ending, rows: &rows }, report);
            if !system.outlives_command() && !job.notify.is_empty() {
                await_notices(&mut line, ending.job);
            }
            let code = broken.as_ref().map_or(ending.outcome.exit_code(), Failure::exit_code);
            Ok(Concluded { code, job: Some(ending.job), ending: Some(ending), failure: broken, faults })
        }
    }
}

/// What could not be delivered is said here, since nobody can ask the system any more.
fn await_notices(line: &mut Line, job: JobId) {
    match notices::delivered(line, job) {
        Ok(0) => {}
        Ok(lost) => screen::remark(&format!(
            "chameleon: {} not delivered: the notify command fails, or has not ended",
            count(lost, "notice was", "notices were")
        )),
        Err(failure) => failure.show(),
    }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The hands of a command with a person behind it: threads that print and spool.
struct Person<'a> {
    system: &'a System,
    pass: Digest,
    ear: Sender<Heard>,
    printing: Option<Sender<Order>>,
    lines: Lines,
}

/// What the printing thread is asked.
enum Order {
    Piece(Release),
    Rest(u64),
}

impl Hands for Person<'_> {
    fn accepted(&mut self, job: JobId) -> Result<(), Failure> {
        let out = self.lines.beside(Raw::stdout()?, io::stdout().is_terminal());
        let err = self.lines.beside(Raw::stderr()?, io::stderr().is_terminal());
        self.system.admit(job, self.pass)?;
        let printer = Printer::new(Packs::new(self.system.home(), job)?, out, err);
        let (orders, ordered) = std::sync::mpsc::channel();
        self.printing = Some(orders);
        let ear = self.ear.clone();
        std::thread::spawn(move || print_all(printer, &ordered, &ear));
        Ok(())
    }

    fn spool(&mut self, job: JobId) {
        let (packs, ear) = (Packs::new(self.system.home(), job), self.ear.clone());
        std::thread::spawn(move || {
            // Nobody listens only once the command is over.
            let told = |length, end| drop(ear.send(Heard::Spooled { length, end }));
            if let Err(failure) = packs.and_then(|packs| stdin::spool(&packs.spool(), told)) {
                let _ = ear.send(Heard::Broken(failure));
            }
        });
    }

    fn print(&mut self, release: Release) {
        self.order(Order::Piece(release));
    }

    fn print_rest(&mut self, length: u64) {
        self.order(Order::Rest(length));
    }

    fn show(&mut self, stage: StageId, decided: u64, tasks: u64, lanes: &[LaneRow]) {
        self.lines.show(stage, decided, tasks, lanes);
    }
}

impl Person<'_> {
    /// A printer that is gone has said why.
    fn order(&mut self, order: Order) {
        if let Some(printing) = &self.printing {
            let _ = printing.send(order);
        }
    }
}

/// Prints what is ordered until something fails or nobody orders any more.
fn print_all(
    mut printer: Printer<Beside<Raw>, Beside<Raw>>,
    ordered: &std::sync::mpsc::Receiver<Order>,
    ear: &Sender<Heard>,
) {
    for order in ordered {
        let printed = match order {
            Order::Piece(release) => printer.print(&release).map(|()| Heard::Printed { upto: printer.position() }),
            Order::Rest(length) => printer.print_rest(length).map(|()| Heard::RestPrinted { upto: printer.position() }),
        };
        let failed = printed.is_err();
        let _ = ear.send(printed.unwrap_or_else(Heard::Broken));
        if failed {
            return;
        }
    }
}
