//! The first process of a slot: a small single-threaded process that makes the ground, starts one program after
//! another, and sees to it that nothing of one is left when the next begins.
//!
//! It dies with its Execution ARMOR (the end of the control socket, and on Linux a parent-death signal), and its end is
//! that of all that runs in the slot: by its PID namespace, or because whoever finds it dead ends the group that it
//! has noted. It decides nothing: it carries out and reports.

use std::ffi::{CString, OsStr};
use std::io::{self, Stdin};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::net::RecvFlags;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::control::{End, Exit, FromShim, ToShim, Treatment, receive, send};
use super::ground::{self, Entered, Ground, confined};
use super::plan::Plan;
use super::program::{Unfound, look_up};
use crate::os::facilities::Facilities;
use crate::os::linux::launch::{self, Forked};
use crate::os::process::{self, Children, First, RawExit, Reaped, StringArray};

/// How long a program runs before its start is reported on its own.
const NOTEWORTHY: Duration = Duration::from_millis(2);
/// When a program that is to be killed on purpose is killed.
const KILL_AFTER: Duration = Duration::from_millis(5);
/// A program that is slowed down runs this long, then is stopped for `SLOW_STOPS`.
const SLOW_RUNS: Duration = Duration::from_millis(1);
const SLOW_STOPS: Duration = Duration::from_millis(9);

/// Runs as a shim: the control socket is the standard input. Never returns to a caller that could go on.
pub fn main() -> std::process::ExitCode {
    match serve() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chameleon slot: failed to {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let wrong = |error: io::Error| format!("serve as a slot, which only Chameleon itself starts: {error}");
    let control = io::stdin();
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| format!("open /dev/null: {error}"))?;
    let Some((ToShim::Setup(plan), outputs)) = receive(control.as_fd(), RecvFlags::empty()).map_err(wrong)? else {
        return Err("begin as a slot: the first message was not its setup".into());
    };
    let Ok([stdout, stderr]) = <[OwnedFd; 2]>::try_from(outputs) else {
        return Err("begin as a slot: the setup came without its outputs".into());
    };
    match plan.facilities {
        Facilities::Linux => fork_first(plan, control, [null, stdout, stderr]),
        Facilities::Posix => {
            tell(&control, &FromShim::Forked(std::process::id().cast_signed()))?;
            be_first(plan, control, [null, stdout, stderr])
        }
    }
}

/// Leaves the host, and has a process go on as the first of a PID namespace.
fn fork_first(plan: Plan, control: Stdin, stdio: [OwnedFd; 3]) -> Result<(), String> {
    if let Err(why) = confined::leave_host(&plan) {
        return tell(&control, &FromShim::NoNamespaces(why));
    }
    match launch::fork_first_of_namespace() {
        Ok(Forked::Parent { child, pidfd }) => {
            send(control.as_fd(), &FromShim::Forked(child), &[pidfd.as_fd()]).map_err(|error| error.to_string())
        }
        Ok(Forked::Child) => {
            set_parent_process_death_signal(Some(Signal::KILL))
                .map_err(|error| format!("die with its parent: {error}"))?;
            be_first(plan, control, stdio)
        }
        Err(error) => tell(&control, &FromShim::NoNamespaces(format!("start a process in a PID namespace: {error}"))),
    }
}

fn tell(control: &Stdin, message: &FromShim) -> Result<(), String> {
    send(control.as_fd(), message, &[]).map_err(|error| format!("report: {error}"))
}

fn be_first(plan: Plan, control: Stdin, stdio: [OwnedFd; 3]) -> Result<(), String> {
    // From here on a parent's death is noticed; one that came before shows as the end of the control socket.
    match receive(control.as_fd(), RecvFlags::empty()) {
        Ok(Some((ToShim::Begin, _))) => {}
        _ => return Err("begin as a slot: its Execution ARMOR is gone".into()),
    }
    let _ = rustix::process::setsid();
    let environment = StringArray::new(plan.environment.iter().filter_map(|entry| c_string(entry)).collect());
    match ground::enter(plan) {
        Ok(Entered { ground, ended, notices }) => {
            let descriptors: Vec<_> = notices.iter().map(AsFd::as_fd).collect();
            send(control.as_fd(), &FromShim::Ready, &descriptors).map_err(|error| format!("report: {error}"))?;
            drop(notices);
            Shim { control, ended, stdio, ground, environment, known: None }.run()
        }
        Err(error) => tell(&control, &FromShim::Unfit(error.to_string())),
    }
}

fn c_string(bytes: &[u8]) -> Option<CString> {
    CString::new(bytes).ok()
}

struct Shim {
    control: Stdin,
    /// Readable when a child has ended.
    ended: OwnedFd,
    stdio: [OwnedFd; 3],
    ground: Box<dyn Ground>,
    environment: StringArray,
    /// The last command, and the program that it meant: most tasks of a stage run the same.
    known: Option<(CString, CString)>,
}

/// A program that runs, and what has been used by those of its descendants that have ended.
struct Running {
    pid: i32,
    treatment: Treatment,
    /// When something is due next: to report the start, or to treat the program.
    due: Option<Instant>,
    reported: bool,
    paused: bool,
    slowed: bool,
    exit: Option<RawExit>,
    cpu: u64,
    max_rss: u64,
}

impl Shim {
    fn run(mut self) -> Result<(), String> {
        while let Some((message, descriptors)) = self.hear(RecvFlags::empty())? {
            match message {
                ToShim::Start { arguments, treatment } => {
                    let arguments = arguments.iter().filter_map(|argument| c_string(argument)).collect();
                    let stdin = descriptors.into_iter().next();
                    let first = if treatment == Treatment::Stop { First::Stop } else { First::Execute };
                    match self.start(StringArray::new(arguments), stdin, first) {
                        Ok(pid) => self.attend(Running::new(pid, treatment))?,
                        Err((code, why)) => self.tell(&FromShim::Refused(code, why))?,
                    }
                }
                ToShim::Ping(number) => self.tell(&FromShim::Pong(number))?,
                ToShim::Setup(_) | ToShim::Begin | ToShim::Kill | ToShim::Pause | ToShim::Resume => {}
            }
        }
        Ok(())
    }

    fn hear(&self, flags: RecvFlags) -> Result<Option<(ToShim, Vec<OwnedFd>)>, String> {
        receive(self.control.as_fd(), flags).map_err(|error| format!("hear from its Execution ARMOR: {error}"))
    }

    fn tell(&self, message: &FromShim) -> Result<(), String> {
        tell(&self.control, message)
    }

    /// Starts a program, or says with which exit code it is refused and why.
    fn start(&mut self, arguments: StringArray, stdin: Option<OwnedFd>, first: First) -> Result<i32, (u8, String)> {
        self.ground.make_fresh().map_err(|error| (125, error.to_string()))?;
        let stdio = self.prepare_stdio(stdin.as_ref());
        let command = arguments.strings().first().cloned().unwrap_or_default();
        if let Some((known, program)) = &self.known
            && *known == command
            && let Ok(pid) = self.ground.start(&self.environment.program(program, &arguments, stdio, first))
        {
            return Ok(pid);
        }
        let name = OsStr::from_bytes(command.to_bytes());
        let path = self.environment.strings().iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
        let program = look_up(name, Path::new(""), path.map(OsStr::from_bytes)).map_err(|unfound| match unfound {
            Unfound::Missing => (127, format!("execute {}: no such program", name.display())),
            Unfound::NotExecutable => (126, format!("execute {}: permission denied", name.display())),
        })?;
        let program = c_string(program.as_os_str().as_bytes()).unwrap_or_default();
        let started = match self.ground.start(&self.environment.program(&program, &arguments, stdio, first)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => self.start_script(program, &arguments, stdio),
            Err(error) => Err(error),
            Ok(pid) => {
                self.known = Some((command.clone(), program));
                Ok(pid)
            }
        };
        started.map_err(|error| (126, format!("execute {}: {error}", name.display())))
    }

    /// A file that is no program is a shell script, as for `execvp`.
    fn start_script(&mut self, script: CString, arguments: &StringArray, stdio: [RawFd; 3]) -> io::Result<i32> {
        let rest = arguments.strings().iter().skip(1).cloned();
        let arguments = StringArray::new([c"/bin/sh".to_owned(), script].into_iter().chain(rest).collect());
        self.ground.start(&self.environment.program(c"/bin/sh", &arguments, stdio, First::Execute))
    }

    /// The three standard descriptors of the next program. An earlier one may have changed the flags of the outputs.
    fn prepare_stdio(&self, stdin: Option<&OwnedFd>) -> [RawFd; 3] {
        for output in &self.stdio[1..] {
            let _ = rustix::fs::fcntl_setfl(output, OFlags::empty());
        }
        [stdin.unwrap_or(&self.stdio[0]).as_raw_fd(), self.stdio[1].as_raw_fd(), self.stdio[2].as_raw_fd()]
    }

    /// Attends to a program until it has ended and nothing of it is left.
    fn attend(&mut self, mut running: Running) -> Result<(), String> {
        while running.exit.is_none() {
            let waited_for = [self.ended.as_raw_fd(), self.control.as_raw_fd()];
            let [ended, spoken] = process::wait_readable(waited_for, running.time_left());
            if ended {
                // What it says may be of several: it is only emptied.
                let _ = rustix::io::read(&self.ended, &mut [0; 512]);
                running.count_ended(&mut *self.ground);
            }
            if spoken {
                match self.hear(RecvFlags::DONTWAIT)? {
                    Some((message, _)) => self.heed(&message, &mut running)?,
                    // Its Execution ARMOR is gone, and so is all that runs here.
                    None => {
                        self.ground.signal(libc::SIGKILL);
                        std::process::exit(0)
                    }
                }
            }
            if running.exit.is_none() && running.time_left() == Some(Duration::ZERO) {
                self.do_what_is_due(&mut running)?;
            }
        }
        self.ground.end_rest().into_iter().for_each(|reaped| running.count(reaped));
        let written = self.ground.settle().map_err(|error| error.to_string())?;
        self.tell(&FromShim::Ended(running.end(written)))
    }

    fn heed(&self, message: &ToShim, running: &mut Running) -> Result<(), String> {
        match message {
            ToShim::Kill => {
                self.ground.signal(libc::SIGKILL);
            }
            ToShim::Pause => {
                running.paused = true;
                self.ground.signal(libc::SIGSTOP);
            }
            ToShim::Resume => {
                running.paused = false;
                self.ground.signal(libc::SIGCONT);
            }
            ToShim::Ping(number) => self.tell(&FromShim::Pong(*number))?,
            ToShim::Setup(_) | ToShim::Begin | ToShim::Start { .. } => {}
        }
        Ok(())
    }

    fn do_what_is_due(&self, running: &mut Running) -> Result<(), String> {
        if !running.reported {
            running.reported = true;
            self.tell(&FromShim::Started(running.pid))?;
        }
        running.due = match running.treatment {
            Treatment::None | Treatment::Stop => None,
            Treatment::Kill => {
                self.ground.signal(libc::SIGKILL);
                None
            }
            Treatment::Slow => {
                running.slowed = !running.slowed;
                let signal = if running.slowed || running.paused { libc::SIGSTOP } else { libc::SIGCONT };
                self.ground.signal(signal);
                Some(Instant::now() + if running.slowed { SLOW_STOPS } else { SLOW_RUNS })
            }
        };
        Ok(())
    }
}

impl Running {
    fn new(pid: i32, treatment: Treatment) -> Running {
        let first = match treatment {
            Treatment::None | Treatment::Stop => NOTEWORTHY,
            Treatment::Kill => KILL_AFTER,
            Treatment::Slow => SLOW_RUNS,
        };
        Running {
            pid,
            treatment,
            due: Some(Instant::now() + first),
            reported: false,
            paused: false,
            slowed: false,
            exit: None,
            cpu: 0,
            max_rss: 0,
        }
    }

    fn time_left(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Counts all that have ended.
    fn count_ended(&mut self, ground: &mut dyn Ground) {
        while let Children::Ended(reaped) = ground.reap_ended() {
            self.count(reaped);
        }
    }

    fn count(&mut self, reaped: Reaped) {
        self.cpu += reaped.cpu;
        self.max_rss = self.max_rss.max(reaped.max_rss);
        if reaped.pid == self.pid {
            self.exit = Some(reaped.exit);
        }
    }

    fn end(&self, written: bool) -> End {
        let exit = match (self.treatment, self.exit) {
            (Treatment::Kill, _) | (_, None) => Exit::Signal(libc::SIGKILL as u8),
            (_, Some(RawExit::Code(code))) => Exit::Code(code),
            (_, Some(RawExit::Signal(signal))) => Exit::Signal(signal),
        };
        End { exit, cpu: self.cpu, max_rss: self.max_rss, written }
    }
}
