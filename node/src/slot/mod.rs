//! Slots: the places in which a lane runs its programs, unmodified and isolated.
//!
//! A slot is a shim process (`shim`) that runs programs on a ground (`plan`, `ground`) of which nothing they write
//! reaches the host, or on one that is not so firm, where the system has no better. This end, in the Execution ARMOR,
//! starts programs one after another, takes what they print (`output`), collects what they changed, and reports. The
//! slot dies with the ARMOR and everything in it dies with the slot.
//!
//! ```text
//! open ─► Ready ─► start ─► [Started] ─► Output… ─► Ended ─► start ─► …
//!                     └────► Refused ─► start …            any ─► Lost
//! ```

pub mod blocked;
mod collect;
pub mod control;
pub mod event;
mod ground;
mod layers;
pub mod output;
pub mod pack;
pub mod plan;
mod process;
pub mod program;
pub mod sample;
pub mod shim;
mod spec;

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::job::InjectionKind;
use chameleon_core::names::{Digest, ExecutionId};
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::files::blobs::Blobs;
use crate::files::harvest::Harvest;
use crate::files::tree::{self, Time};
use crate::files::{FilesError, OnPath};
use crate::os::facilities::Facilities;
use crate::os::linux::seccomp::{self, Notice};
use crate::os::readiness::watch;

use blocked::Denied;
pub use chameleon_core::world::BlockedWhy;
use collect::{Collected, Harvesting, Held};
use control::{End, FromShim, ToShim};
pub use event::{Changes, Ended, Exit, Prefix, Region, SlotEvent, Start};
use ground::copied;
use output::Output;
use pack::CHUNK;
use plan::{Plan, as_path};
use process::ShimProcess;
pub use sample::Sample;
pub use spec::{Masked, SlotError, SlotSpec};

/// How long a program is quiet before what it has printed so far is reported.
const QUIET: Duration = Duration::from_millis(20);

/// One place in which one program at a time runs.
pub struct Slot {
    shim: ShimProcess,
    control: AsyncFd<OwnedFd>,
    stdout: Output,
    stderr: Output,
    notices: Option<AsyncFd<OwnedFd>>,
    held: Held,
    blobs: Blobs,
    masked: Masked,
    running: Option<Running>,
    harvest: Option<Harvesting>,
    /// Microseconds that all earlier executions have used.
    used: u64,
    events: VecDeque<SlotEvent>,
    output_held: bool,
    lost: bool,
}

struct Running {
    execution: ExecutionId,
    since: Time,
    reported: u64,
    quiet_at: Option<Instant>,
    denied: Vec<PathBuf>,
}

/// What `Slot::next` was woken by.
enum Turn {
    Heard(io::Result<Option<(FromShim, Vec<OwnedFd>)>>),
    Noticed(Notice),
    Out(io::Result<()>),
    Err(io::Result<()>),
    Quiet,
    Harvested(Result<Collected, FilesError>),
}

impl Slot {
    /// Opens a slot. It must be called from the thread that lives as long as the ARMOR, since the shim dies with it,
    /// and inside a tokio runtime. Takes a few milliseconds; `SlotEvent::Ready` follows.
    pub fn open(spec: &SlotSpec) -> Result<Slot, SlotError> {
        std::fs::create_dir_all(&spec.work).on("make the slot's directory", &spec.work)?;
        let layers = spec.work.join("layers");
        tree::remove(&layers).on("remove what an earlier life left in", &layers)?;
        let blobs = Blobs::at(&spec.blobs);
        let open = |name: &str| {
            let pack = spec.work.join(name);
            Output::open(&pack).map_err(|source| SlotError::Path { path: pack, source })
        };
        let (stdout, stdout_end) = open("out.pack")?;
        let (stderr, stderr_end) = open("err.pack")?;
        let Begun { control, shim, plan, lacking } = begin(spec, [stdout_end.as_fd(), stderr_end.as_fd()])?;
        let held = Held {
            directory: as_path(&plan.directory).to_owned(),
            overlays: plan.overlays,
            work: spec.work.clone(),
            facilities: plan.facilities,
        };
        Ok(Slot {
            shim,
            control: watch(control, Interest::READABLE).map_err(SlotError::Control)?,
            stdout,
            stderr,
            notices: None,
            held,
            blobs,
            masked: Arc::clone(&spec.masked),
            running: None,
            harvest: None,
            used: 0,
            events: lacking.map(|why| SlotEvent::Unconfined { why }).into_iter().collect(),
            output_held: false,
            lost: false,
        })
    }

    /// Starts a program. The one before must have been reported as `Ended` or `Refused`.
    pub fn start(&mut self, start: Start) -> Result<(), SlotError> {
        self.stdout.pack.begin(start.fault == Some(InjectionKind::Flip));
        self.stderr.pack.begin(false);
        self.running = Some(Running {
            execution: start.execution,
            since: Time::now(),
            reported: 0,
            quiet_at: None,
            denied: Vec::new(),
        });
        let treatment = start.treatment();
        let stdin: Vec<_> = start.stdin.iter().map(AsFd::as_fd).collect();
        let message = ToShim::Start { arguments: start.argv, treatment };
        control::send(self.control.get_ref().as_fd(), &message, &stdin).map_err(SlotError::Control)
    }

    /// Kills what runs; `Ended` follows. Harmless if nothing runs.
    pub fn kill(&self) -> Result<(), SlotError> {
        self.tell(&ToShim::Kill)
    }

    /// Stops all that runs, until `resume`.
    pub fn pause(&self) -> Result<(), SlotError> {
        self.tell(&ToShim::Pause)
    }

    pub fn resume(&self) -> Result<(), SlotError> {
        self.tell(&ToShim::Resume)
    }

    /// Asks the shim for a sign of life: `SlotEvent::Pong` follows with the same number.
    pub fn ping(&self, number: u64) -> Result<(), SlotError> {
        self.tell(&ToShim::Ping(number))
    }

    fn tell(&self, message: &ToShim) -> Result<(), SlotError> {
        control::send(self.control.get_ref().as_fd(), message, &[]).map_err(SlotError::Control)
    }

    /// Takes no more output from the program, which comes to a halt when its pipe is full.
    pub fn hold_output(&mut self) {
        self.output_held = true;
    }

    pub fn release_output(&mut self) {
        self.output_held = false;
    }

    /// The digest of the first `len` bytes of stdout of the running or last execution; `None`: it has not so many.
    pub fn digest_at(&self, len: u64) -> Result<Option<Digest>, SlotError> {
        self.stdout.pack.digest_at(len).map_err(SlotError::Control)
    }

    /// Takes the output of the last execution, which has ended, out of the packs again.
    pub fn discard_last(&mut self) -> Result<(), SlotError> {
        for output in [&mut self.stdout, &mut self.stderr] {
            output.pack.discard().map_err(SlotError::Control)?;
        }
        Ok(())
    }

    /// Where in `out.pack` the output of the running or last execution begins.
    #[must_use]
    pub fn output_begins(&self) -> u64 {
        self.stdout.pack.region().offset
    }

    /// What the processes in the slot have used and are doing now.
    #[must_use]
    pub fn sample(&self) -> Sample {
        sample::sample(self.shim.pid, self.used)
    }

    /// The process id of the shim on this host.
    #[must_use]
    pub fn shim_pid(&self) -> u32 {
        self.shim.pid
    }

    /// What happens next. May be dropped and called again at any time without losing anything.
    pub async fn next(&mut self) -> SlotEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if self.lost {
                return pending().await;
            }
            let turn = self.turn().await;
            if let Err(why) = self.take(turn) {
                self.lose(why);
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        let quiet_at = self.running.as_ref().and_then(|running| running.quiet_at);
        tokio::select! {
            biased;
            notice = notice(self.notices.as_ref()) => Turn::Noticed(notice),
            heard = hear(&self.control) => Turn::Heard(heard),
            result = collect::finished(self.harvest.as_mut()) => Turn::Harvested(result),
            read = self.stdout.take(), if !self.output_held => Turn::Out(read),
            read = self.stderr.take(), if !self.output_held => Turn::Err(read),
            () = until(quiet_at) => Turn::Quiet,
        }
    }

    fn take(&mut self, turn: Turn) -> Result<(), String> {
        match turn {
            Turn::Noticed(notice) => {
                self.name_blocked(&notice);
                Ok(())
            }
            Turn::Heard(Ok(Some((message, descriptors)))) => self.heed(message, descriptors),
            Turn::Heard(Ok(None)) => Err("its own process has ended".into()),
            Turn::Heard(Err(error)) => Err(format!("its own process cannot be understood: {error}")),
            Turn::Out(Ok(())) => {
                self.note_output();
                Ok(())
            }
            Turn::Err(Ok(())) => Ok(()),
            Turn::Out(Err(error)) | Turn::Err(Err(error)) => Err(format!("its output cannot be kept: {error}")),
            Turn::Quiet => {
                self.report_output();
                Ok(())
            }
            Turn::Harvested(result) => self.finish_harvest(result),
        }
    }

    fn note_output(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.quiet_at = Some(Instant::now() + QUIET);
        if self.stdout.pack.written().is_multiple_of(CHUNK) {
            self.report_output();
        }
    }

    fn report_output(&mut self) {
        let Some(running) = &mut self.running else { return };
        running.quiet_at = None;
        let output = &self.stdout.pack;
        if output.written() > running.reported {
            running.reported = output.written();
            let event = SlotEvent::Output { execution: running.execution, prefix: output.prefix() };
            self.events.push_back(event);
        }
    }

    /// Names what a call will be denied, and lets it go on.
    fn name_blocked(&mut self, notice: &Notice) {
        let Some(listener) = &self.notices else { return };
        if let Some(running) = self.running.as_mut().filter(|running| running.denied.len() < blocked::MOST)
            && let Some(denied) = blocked::judge(notice)
        {
            let (path, why) = match denied {
                Denied::Address(address) => (address.into(), BlockedWhy::Network),
                Denied::Path(path) if path.starts_with(&self.held.directory) => (path, BlockedWhy::NoFiles),
                Denied::Path(path) => (path, BlockedWhy::ReadOnly),
            };
            if !running.denied.contains(&path) {
                running.denied.push(path.clone());
                self.events.push_back(SlotEvent::Blocked { execution: running.execution, path, why });
            }
        }
        seccomp::let_go_on(listener.get_ref(), notice);
    }

    fn heed(&mut self, message: FromShim, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        match message {
            FromShim::Forked(_) | FromShim::NoNamespaces(_) => {}
            FromShim::Ready => {
                let notices =
                    descriptors.into_iter().next().map(|notices| watch(notices, Interest::READABLE)).transpose();
                self.notices = notices.map_err(|error| format!("its notices cannot be heard: {error}"))?;
                self.events.push_back(SlotEvent::Ready);
            }
            FromShim::Unfit(why) => return Err(format!("its own process failed to {why}")),
            FromShim::Pong(number) => self.events.push_back(SlotEvent::Pong(number)),
            FromShim::Started(_) => {
                let first = sample::first_child(self.shim.pid);
                if let (Some(running), Some(pid)) = (&self.running, first) {
                    self.events.push_back(SlotEvent::Started { execution: running.execution, pid });
                }
            }
            FromShim::Refused(code, why) => {
                if let Some(running) = self.running.take() {
                    self.events.push_back(SlotEvent::Refused { execution: running.execution, code, why });
                }
            }
            FromShim::Ended(end) => self.end(end)?,
        }
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<(), String> {
        let Some(running) = self.running.take() else { return Ok(()) };
        self.used += end.cpu;
        for output in [&mut self.stdout, &mut self.stderr] {
            output.drain().map_err(|error| format!("its output cannot be kept: {error}"))?;
        }
        let ended = Ended {
            execution: running.execution,
            exit: end.exit,
            stdout: self.stdout.pack.region(),
            stderr: self.stderr.pack.region(),
            changes: None,
            cpu: end.cpu,
            max_rss: end.max_rss,
        };
        if end.written {
            self.begin_harvest(ended, running.since);
        } else {
            self.events.push_back(SlotEvent::Ended(Box::new(ended)));
        }
        Ok(())
    }

    /// Collects what was written, away from the event loop: it may take long.
    fn begin_harvest(&mut self, ended: Ended, since: Time) {
        let roots = collect::held_roots(&self.held);
        let job = Harvest { roots, blobs: self.blobs.clone(), since };
        self.harvest = Some(Harvesting::begin(ended, job, self.held.layers(), Arc::clone(&self.masked)));
    }

    fn finish_harvest(&mut self, result: Result<Collected, FilesError>) -> Result<(), String> {
        let Some(Harvesting { mut ended, .. }) = self.harvest.take() else { return Ok(()) };
        let Collected { manifest, changes } =
            result.map_err(|error| format!("what was written cannot be kept: failed to {error}"))?;
        let execution = ended.execution;
        for (paths, why) in [(&manifest.outside, BlockedWhy::Outside), (&manifest.unsupported, BlockedWhy::Unsupported)]
        {
            let blocked = paths.iter().map(|path| SlotEvent::Blocked { execution, path: as_path(path).into(), why });
            self.events.extend(blocked);
        }
        ended.changes = changes;
        self.events.push_back(SlotEvent::Ended(Box::new(ended)));
        Ok(())
    }

    fn lose(&mut self, why: String) {
        self.lost = true;
        self.running = None;
        self.shim.kill();
        self.events.push_back(SlotEvent::Lost { why });
    }
}

/// Ends everything that runs in the slot and removes its layers; the packs and the contents stay.
impl Drop for Slot {
    fn drop(&mut self) {
        self.shim.end();
        // What cannot be removed now is removed when the slot is opened again.
        let _ = tree::remove(&self.held.work.join("layers"));
    }
}

/// A slot's first process, and what it was made for.
struct Begun {
    control: OwnedFd,
    shim: ShimProcess,
    plan: Plan,
    /// Why programs are not kept from the host.
    lacking: Option<String>,
}

/// Starts the slot's first process on the ground that is wished for, or else on the firmest that the system has.
fn begin(spec: &SlotSpec, outputs: [BorrowedFd<'_>; 2]) -> Result<Begun, SlotError> {
    let plan = plan::plan(spec)?;
    if plan.facilities == Facilities::Posix {
        return begin_copied(spec, plan, "it is set to use POSIX facilities alone".to_owned(), outputs);
    }
    match process::start(&spec.shim, &plan, outputs) {
        Ok((control, shim)) => Ok(Begun { control, shim, plan, lacking: None }),
        Err(SlotError::NoNamespaces(why)) if spec.facilities.is_none() => {
            let plan = Plan { facilities: Facilities::Posix, ..plan };
            begin_copied(spec, plan, format!("it failed to {why}"), outputs)
        }
        Err(error) => Err(error),
    }
}

fn begin_copied(spec: &SlotSpec, plan: Plan, why: String, outputs: [BorrowedFd<'_>; 2]) -> Result<Begun, SlotError> {
    copied::refuse_unfit(&plan)?;
    let (control, shim) = process::start(&spec.shim, &plan, outputs)?;
    Ok(Begun { control, shim, plan, lacking: Some(why) })
}

async fn hear(control: &AsyncFd<OwnedFd>) -> io::Result<Option<(FromShim, Vec<OwnedFd>)>> {
    loop {
        let mut ready = control.readable().await?;
        let heard = ready.try_io(|control| control::receive(control.get_ref().as_fd(), RecvFlags::DONTWAIT));
        if let Ok(heard) = heard {
            return heard;
        }
    }
}

/// The next call that waits to go on. Calls of processes that have died meanwhile need no answer.
async fn notice(listener: Option<&AsyncFd<OwnedFd>>) -> Notice {
    let Some(listener) = listener else { return pending().await };
    loop {
        let Ok(mut ready) = listener.readable().await else { return pending().await };
        match ready.try_io(|listener| seccomp::receive(listener.get_ref())) {
            Ok(Ok(notice)) => return notice,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return pending().await,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        None => pending().await,
        Some(time) => tokio::time::sleep_until(time).await,
    }
}
