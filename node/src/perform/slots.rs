//! Carries out what an Execution asks of its slots, and reports what happens in them. Each slot is
//! served by a task of its own on the same thread, so that one that is slow to open holds up no other.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use chameleon_core::job::{OsBytes, Stdin};
use chameleon_core::names::{Digest, ExecutionId, HostId, JobId, SlotId};
use chameleon_core::world::{Changes, End, Ended, Piece, Region, SlotCommand, SlotEvent, SlotPlan, SlotSample};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use crate::bulk::{Roads, shelf};
use crate::event_loop::Reporter;
use crate::files::listing::beneath;
use crate::home::Home;
use crate::os::spawn;
use crate::perform::handed;
use crate::perform::inputs::mirror;
use crate::perform::spool::Feeder;
use crate::process::shims;
use crate::slot::{self, Exit, Slot, SlotSpec, Start};
use crate::timers;

/// All slots of this process.
#[derive(Debug)]
pub struct Slots {
    roads: Roads,
    home: Arc<Home>,
    host: HostId,
    reporter: Reporter,
    slots: BTreeMap<SlotId, Open>,
    /// Those that were closed and may not be gone yet.
    closing: BTreeMap<SlotId, JoinHandle<()>>,
    surroundings: Surroundings,
}

#[derive(Debug)]
struct Open {
    commands: UnboundedSender<SlotCommand>,
    task: JoinHandle<()>,
}

/// Where the lane's programs are looked up.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    pub directory: PathBuf,
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// What stands for the root of the job's origin, on another host.
    pub mirror: Option<PathBuf>,
}

impl Slots {
    #[must_use]
    pub fn new(roads: Roads, host: HostId, reporter: Reporter) -> Self {
        let (slots, closing, surroundings) = Default::default();
        let home = roads.home().clone();
        Slots { roads, home, host, reporter, slots, closing, surroundings }
    }

    pub fn command(&mut self, command: SlotCommand) {
        let slot = match &command {
            SlotCommand::Open { slot, opening, plan } => return self.open(*slot, *opening, plan),
            SlotCommand::Close { slot } => return self.close(*slot),
            SlotCommand::Start { slot, .. }
            | SlotCommand::Kill { slot }
            | SlotCommand::Allow { slot, .. }
            | SlotCommand::Feed { slot, .. }
            | SlotCommand::Prefix { slot, .. }
            | SlotCommand::Sample { slot } => *slot,
        };
        // A slot that is gone has said so; what it was asked meanwhile is of no matter.
        if let Some(open) = self.slots.get(&slot) {
            let _ = open.commands.send(command);
        }
    }

    fn close(&mut self, slot: SlotId) {
        if let Some(open) = self.slots.remove(&slot) {
            self.closing.insert(slot, open.task);
        }
    }

    /// Waits until every slot that was closed before is gone, with all that ran in it.
    pub(super) fn closed(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let closing = std::mem::take(&mut self.closing);
        async move {
            for task in closing.into_values() {
                let _ = task.await;
            }
        }
    }

    pub(super) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    fn open(&mut self, id: SlotId, opening: u64, plan: &SlotPlan) {
        self.close(id);
        let before = self.closing.remove(&id);
        let lane = self.home.lane(self.host, plan.job, plan.lane);
        let work = lane.join(format!("slot-{}", id.0));
        let blobs = self.home.job_on(self.host, plan.job).join("blobs");
        let job = self.home.job_on(self.host, plan.job);
        let mirror = plan.mirrored.then(|| mirror(&job, plan.stage));
        if let Err(error) = shelf::admit(&self.home, self.host, plan.job, plan.origin.pass) {
            let why = format!("failed to write {}: {error}", job.display());
            return self.reporter.slot(SlotEvent::Unavailable { slot: id, opening, why });
        }
        let inputs = Inputs {
            roads: self.roads.clone(),
            host: self.host,
            job: plan.job,
            pass: plan.origin.pass,
            directory: work.clone(),
            mirror: mirror.clone(),
        };
        let (sender, commands) = mpsc::unbounded_channel();
        let reports = Reports { slot: id, opening, reporter: self.reporter.clone() };
        let spec = SlotSpec { facilities: self.home.facilities(self.host), ..spec(work, blobs, mirror.clone(), plan) };
        let path = spec.environment.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
        let path = path.map(|path| OsStr::from_bytes(path).to_owned());
        self.surroundings = Surroundings { directory: spec.directory.clone(), path, mirror };
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            serve(spec, inputs, commands, reports).await;
        });
        self.slots.insert(id, Open { commands: sender, task });
    }
}

fn spec(work: PathBuf, blobs: PathBuf, mirror: Option<PathBuf>, plan: &SlotPlan) -> SlotSpec {
    let path = |bytes: &OsBytes| PathBuf::from(OsString::from_vec(bytes.to_vec()));
    let masks = plan.masks.clone();
    SlotSpec {
        shim: spawn::THIS_PROGRAM.into(),
        work,
        blobs,
        mirror,
        directory: path(&plan.directory),
        files: plan.files,
        outputs: plan.outputs.iter().map(path).collect(),
        inputs: plan.inputs.iter().map(path).collect(),
        program: OsString::from_vec(plan.program.to_vec()),
        environment: plan.environment.iter().map(|entry| OsString::from_vec(entry.to_vec())).collect(),
        umask: plan.umask,
        net: plan.net,
        masked: Arc::new(move |path: &[u8]| masks.iter().any(|mask| mask.covers(path))),
        facilities: None,
    }
}

/// Where a slot's reports go.
struct Reports {
    slot: SlotId,
    opening: u64,
    reporter: Reporter,
}

impl Reports {
    fn tell(&self, event: SlotEvent) {
        self.reporter.slot(event);
    }

    fn unavailable(&self, why: String) {
        self.tell(SlotEvent::Unavailable { slot: self.slot, opening: self.opening, why });
    }
}

/// Where the standard input of programs comes from.
#[derive(Clone)]
pub(super) struct Inputs {
    pub roads: Roads,
    pub host: HostId,
    pub job: JobId,
    pub pass: Digest,
    /// Of the slot.
    pub directory: PathBuf,
    /// What stands for the root of the job's origin, on another host.
    pub mirror: Option<PathBuf>,
}

/// One slot and what runs in it.
struct Served {
    id: SlotId,
    slot: Slot,
    inputs: Inputs,
    /// Whether the view stands: a slot that ends before that cannot be made here.
    is_ready: bool,
    /// What runs, and since when, in microseconds.
    running: Option<(ExecutionId, u64)>,
    feeder: Option<Feeder>,
    /// Output that may be taken, and output that has come.
    allowed: u64,
    length: u64,
    asked: u64,
    answered: u64,
    reports: Reports,
}

async fn serve(spec: SlotSpec, inputs: Inputs, mut commands: UnboundedReceiver<SlotCommand>, reports: Reports) {
    shims::end_earlier(&spec.work).await;
    let slot = match Slot::open(&spec) {
        Ok(slot) => slot,
        Err(error) => return reports.unavailable(format!("failed to {error}")),
    };
    shims::note(&spec.work, slot.shim_pid());
    let id = reports.slot;
    let (is_ready, running, feeder) = (false, None, None);
    let mut served = Served {
        id,
        slot,
        inputs,
        is_ready,
        running,
        feeder,
        allowed: u64::MAX,
        length: 0,
        asked: 0,
        answered: 0,
        reports,
    };
    loop {
        let goes_on = tokio::select! {
            biased;
            command = commands.recv() => match command {
                Some(command) => served.command(command).await,
                None => return,
            },
            event = served.slot.next() => served.report(event),
        };
        if !goes_on {
            return;
        }
    }
}

impl Served {
    /// `false`: the slot is gone.
    async fn command(&mut self, command: SlotCommand) -> bool {
        let done = match command {
            SlotCommand::Start { execution, command, stdin, handed, fault, .. } => {
                let stdin = self.open_stdin(&stdin, handed).await;
                self.start(execution, command, stdin, fault)
            }
            SlotCommand::Kill { .. } => self.slot.kill(),
            SlotCommand::Allow { upto, .. } => {
                self.allowed = upto;
                self.hold_or_release();
                Ok(())
            }
            SlotCommand::Feed { upto, end, .. } => {
                if let Some(feeder) = &self.feeder {
                    feeder.allow(upto, end);
                }
                Ok(())
            }
            SlotCommand::Prefix { execution, offset, .. } => self.prefix(execution, offset),
            SlotCommand::Sample { .. } => self.sample(),
            SlotCommand::Open { .. } | SlotCommand::Close { .. } => Ok(()),
        };
        match done {
            Ok(()) => true,
            Err(error) => self.lost(error.to_string()),
        }
    }

    fn start(
        &mut self,
        execution: ExecutionId,
        argv: Vec<OsBytes>,
        stdin: Result<Option<OwnedFd>, String>,
        fault: Option<chameleon_core::job::InjectionKind>,
    ) -> Result<(), slot::SlotError> {
        let stdin = match stdin {
            Ok(stdin) => stdin,
            Err(why) => {
                self.reports.tell(SlotEvent::Unheld { slot: self.id, execution, why });
                return Ok(());
            }
        };
        self.running = Some((execution, timers::micros()));
        self.length = 0;
        self.allowed = u64::MAX;
        self.hold_or_release();
        self.slot.start(Start { execution, argv, stdin, fault })
    }

    async fn open_stdin(&mut self, stdin: &Stdin, handed: Vec<Piece>) -> Result<Option<OwnedFd>, String> {
        self.feeder = None;
        if !handed.is_empty() {
            // Other hosts may have to be asked for it: nothing else here waits for them.
            let inputs = self.inputs.clone();
            let opened = tokio::task::spawn_blocking(move || handed::open(&inputs, &handed)).await;
            return opened.unwrap_or_else(|error| Err(format!("standard input: {error}"))).map(Some);
        }
        let Inputs { roads, host, job, mirror, .. } = &self.inputs;
        match stdin {
            Stdin::Null => Ok(None),
            Stdin::File(path, offset) => {
                let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
                let path = mirror.as_ref().map_or(path.clone(), |mirror| beneath(mirror, &path));
                let open = || -> std::io::Result<File> {
                    let mut file = File::open(&path)?;
                    file.seek(SeekFrom::Start(*offset))?;
                    Ok(file)
                };
                let file = open().map_err(|error| format!("standard input {}: {error}", path.display()))?;
                Ok(Some(file.into()))
            }
            Stdin::Spool => {
                let spool = roads.home().spool(*host, *job);
                let (feeder, end) = Feeder::start(spool).map_err(|error| format!("standard input: {error}"))?;
                self.feeder = Some(feeder);
                Ok(Some(end))
            }
        }
    }

    fn hold_or_release(&mut self) {
        if self.length >= self.allowed {
            self.slot.hold_output();
        } else {
            self.slot.release_output();
        }
    }

    fn prefix(&mut self, execution: ExecutionId, offset: u64) -> Result<(), slot::SlotError> {
        if let Some(digest) = self.slot.digest_at(offset)? {
            let so_far = self.region(offset, digest);
            self.reports.tell(SlotEvent::Prefix { slot: self.id, execution, so_far });
        }
        Ok(())
    }

    fn region(&self, length: u64, digest: Digest) -> Region {
        Region { slot: self.id, offset: self.slot.output_begins(), length, digest }
    }

    fn sample(&mut self) -> Result<(), slot::SlotError> {
        self.asked += 1;
        self.slot.ping(self.asked)?;
        let sample = self.slot.sample();
        let sample =
            SlotSample { asked: self.asked, answered: self.answered, cpu_us: sample.cpu, stopped: sample.stopped };
        self.reports.tell(SlotEvent::Sampled { slot: self.id, sample });
        Ok(())
    }

    /// `false`: the slot is gone.
    fn report(&mut self, event: slot::SlotEvent) -> bool {
        let slot = self.id;
        match event {
            slot::SlotEvent::Unconfined { why } => {
                self.reports.tell(SlotEvent::Unconfined { slot, opening: self.reports.opening, why });
            }
            slot::SlotEvent::Ready => {
                self.is_ready = true;
                self.reports.tell(SlotEvent::Ready { slot, opening: self.reports.opening });
            }
            slot::SlotEvent::Started { .. } => {}
            slot::SlotEvent::Output { execution, prefix } => {
                self.length = prefix.len;
                self.hold_or_release();
                let so_far = self.region(prefix.len, prefix.digest);
                self.reports.tell(SlotEvent::Output { slot, execution, so_far });
            }
            slot::SlotEvent::Blocked { execution, path, why } => {
                let path = path.into_os_string().into_vec().into();
                self.reports.tell(SlotEvent::Blocked { slot, execution, path, why });
            }
            slot::SlotEvent::Refused { execution, code, why } => return self.refused(execution, code, why),
            slot::SlotEvent::Ended(ended) => self.ended(&ended),
            slot::SlotEvent::Pong(number) => self.answered = number,
            slot::SlotEvent::Lost { why } => return self.lost(why),
        }
        true
    }

    fn refused(&mut self, execution: ExecutionId, code: u8, why: String) -> bool {
        let end = match code {
            127 => End::NotFound,
            126 => End::NotExecutable,
            _ => return self.lost(why),
        };
        let nothing = self.region(0, Digest(*blake3::hash(b"").as_bytes()));
        let ended = Ended { end, stdout: nothing, stderr: nothing, changes: None, cpu_us: 0, wall_us: 0 };
        self.running = None;
        self.reports.tell(SlotEvent::Ended { slot: self.id, execution, ended });
        true
    }

    fn ended(&mut self, ended: &slot::Ended) {
        let region = |region: slot::Region| Region {
            slot: self.id,
            offset: region.offset,
            length: region.len,
            digest: region.digest,
        };
        let end = match ended.exit {
            Exit::Code(code) => End::Exit(code),
            Exit::Signal(number) => End::Signal(number),
        };
        let changes = ended.changes.map(|changes| Changes {
            manifest: changes.manifest,
            voted: changes.vote,
            count: changes.count,
            bytes: changes.bytes,
        });
        let wall_us = self.running.take().map_or(0, |(_, since)| timers::micros().saturating_sub(since));
        let result = Ended {
            end,
            stdout: region(ended.stdout),
            stderr: region(ended.stderr),
            changes,
            cpu_us: ended.cpu,
            wall_us,
        };
        self.feeder = None;
        self.reports.tell(SlotEvent::Ended { slot: self.id, execution: ended.execution, ended: result });
    }

    fn lost(&mut self, why: String) -> bool {
        let execution = self.running.take().map(|(execution, _)| execution);
        match self.is_ready {
            true => self.reports.tell(SlotEvent::Lost { slot: self.id, opening: self.reports.opening, execution, why }),
            false => self.reports.unavailable(why),
        }
        false
    }
}
