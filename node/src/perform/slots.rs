//! The slots of an Execution ARMOR: what it asks of them, and what they report, in the core's terms.
//!
//! Each slot has a task of its own, so that a busy one never makes another wait. A slot ends when it is
//! closed or lost, with whatever runs in it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use chameleon_core::job::{InjectionKind, OsBytes, Stdin};
use chameleon_core::names::{ExecutionId, HostId, SlotId};
use chameleon_core::world::{SlotCommand, SlotEvent, SlotPlan};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::lane::Lane;
use crate::event_loop::Reporter;
use crate::home::Home;
use crate::slot::{Slot, SlotSpec};

/// The slots of one lane.
#[derive(Debug)]
pub struct Slots {
    home: Arc<Home>,
    host: HostId,
    reporter: Reporter,
    open: BTreeMap<SlotId, OpenSlot>,
    /// Slots that were closed and may not be gone yet.
    closing: Vec<JoinHandle<()>>,
    surroundings: Surroundings,
}

/// Where the programs of the lane are looked up.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    pub directory: PathBuf,
    /// The value of PATH.
    pub path: Option<OsString>,
}

#[derive(Debug)]
struct OpenSlot {
    orders: UnboundedSender<Order>,
    task: JoinHandle<()>,
}

/// What an open slot is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Start { execution: ExecutionId, command: Vec<OsBytes>, stdin: Stdin, fault: Option<InjectionKind> },
    Kill,
    Allow { upto: u64 },
    Feed { upto: u64, end: bool },
    Prefix { execution: ExecutionId, offset: u64 },
    Sample,
}

impl Slots {
    #[must_use]
    pub fn new(home: Arc<Home>, host: HostId, reporter: Reporter) -> Slots {
        let (open, closing, surroundings) = Default::default();
        Slots { home, host, reporter, open, closing, surroundings }
    }

    pub fn perform(&mut self, command: SlotCommand) {
        match command {
            SlotCommand::Open { slot, plan } => self.open(slot, plan),
            SlotCommand::Start { slot, execution, command, stdin, fault } => {
                self.order(slot, Order::Start { execution, command, stdin, fault });
            }
            SlotCommand::Kill { slot } => self.order(slot, Order::Kill),
            SlotCommand::Allow { slot, upto } => self.order(slot, Order::Allow { upto }),
            SlotCommand::Feed { slot, upto, end } => self.order(slot, Order::Feed { upto, end }),
            SlotCommand::Prefix { slot, execution, offset } => self.order(slot, Order::Prefix { execution, offset }),
            SlotCommand::Sample { slot } => self.order(slot, Order::Sample),
            SlotCommand::Close { slot } => self.close(slot),
        }
    }

    /// Opened on this thread, with which the slot's processes die.
    fn open(&mut self, slot: SlotId, plan: SlotPlan) {
        self.close(slot);
        let spec = self.spec(slot, &plan);
        let path = spec.environment.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
        let path = path.map(|path| OsStr::from_bytes(path).to_owned());
        self.surroundings = Surroundings { directory: spec.directory.clone(), path };
        match Slot::open(&spec) {
            Ok(opened) => {
                let (orders, receiver) = unbounded_channel();
                let spool = self.home.job(plan.job).join("stdin.spool");
                let lane = Lane::new(slot, opened, spool, self.reporter.clone());
                self.open.insert(slot, OpenSlot { orders, task: tokio::spawn(lane.run(receiver)) });
            }
            Err(error) => self.reporter.slot(SlotEvent::Unavailable { slot, why: format!("cannot {error}") }),
        }
    }

    fn spec(&self, slot: SlotId, plan: &SlotPlan) -> SlotSpec {
        let paths = |paths: &[OsBytes]| paths.iter().map(|path| PathBuf::from(os_string(path))).collect();
        let masks = plan.masks.clone();
        SlotSpec {
            shim: PathBuf::from("/proc/self/exe"),
            work: self.home.lane(self.host, plan.job, plan.lane).join(format!("slot-{}", slot.0)),
            blobs: self.home.blobs(self.host, plan.job),
            directory: PathBuf::from(os_string(&plan.directory)),
            files: plan.files,
            outputs: paths(&plan.outputs),
            inputs: paths(&plan.inputs),
            program: os_string(&plan.program),
            environment: plan.environment.iter().map(os_string).collect(),
            umask: umask(),
            net: plan.net,
            masked: Arc::new(move |path| masks.iter().any(|mask| mask.covers(path))),
        }
    }

    /// A slot that is gone has reported its end, so that nobody waits for an answer.
    fn order(&self, slot: SlotId, order: Order) {
        if let Some(open) = self.open.get(&slot) {
            let _ = open.orders.send(order);
        }
    }

    fn close(&mut self, slot: SlotId) {
        self.closing.retain(|task| !task.is_finished());
        self.closing.extend(self.open.remove(&slot).map(|open| open.task));
    }

    /// Waits, wherever it is awaited, until every slot that was closed so far is gone.
    pub(super) fn closed(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let closing = std::mem::take(&mut self.closing);
        async move {
            for task in closing {
                let _ = task.await;
            }
        }
    }

    pub(super) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }
}

pub(super) fn os_string(bytes: &OsBytes) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// Of this process, which it has from the user's command.
fn umask() -> u32 {
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    mask.as_raw_mode()
}
