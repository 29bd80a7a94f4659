//! What the invariants are shown: every step of every ARMOR, and what became of it.

use chameleon_core::armor::Effect;
use chameleon_core::follower::Ending;
use chameleon_core::job::Job;
use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::message::{DaemonMessage, ExecutionMessage, Message, Story};
use chameleon_core::names::{ArmorName, ExecutionId, HostId, JobId, LaneId, Term};
use chameleon_core::shell::{Identity, Input, Output};
use chameleon_core::world::Ended;

use crate::faults::Fault;
use crate::process::Pid;
use crate::programs::Truth;
use crate::user::Fate;

/// Something that happened.
#[derive(Debug)]
pub enum Fact<'a> {
    /// A process became an ARMOR, restored and reachable.
    Born {
        who: &'a Identity,
        pid: Pid,
    },
    Died {
        who: &'a Identity,
        pid: Pid,
    },
    /// An ARMOR or a user's command is about to handle this.
    Handles {
        who: &'a Identity,
        pid: Pid,
        input: &'a Input,
    },
    /// It handled it; `unsaved` of its earlier saves are not confirmed yet.
    Stepped {
        who: &'a Identity,
        pid: Pid,
        input: &'a Input,
        output: &'a Output,
        unsaved: usize,
    },
    /// One effect is carried out.
    Asks {
        who: &'a Identity,
        pid: Pid,
        effect: &'a Effect,
    },
    /// A program was started, or ended.
    Started {
        host: HostId,
        job: JobId,
        lane: LaneId,
        execution: ExecutionId,
    },
    Ended {
        host: HostId,
        job: JobId,
        lane: LaneId,
        execution: ExecutionId,
        ended: &'a Ended,
    },
    /// A user was told the number of its job; `earlier` if it was told one before.
    Accepted {
        user: u64,
        job: JobId,
        earlier: Option<JobId>,
    },
    /// A user saw the end of its job.
    UserEnded {
        user: u64,
        job: &'a Job,
        fate: &'a Fate,
        ending: &'a Ending,
        truth: Option<&'a Truth>,
    },
    /// The store of several candidates gave a term to one; if that was for the silence of the reign before it, so long ago
    /// that had changed something.
    Granted {
        term: Term,
        host: HostId,
        still_us: Option<u64>,
    },
    /// A fault struck this process.
    Struck {
        fault: &'a Fault,
        who: &'a Identity,
    },
    /// A fault struck these whole hosts, or the links between them.
    HostsStruck {
        hosts: &'a [HostId],
    },
    /// Saves take very long from now on.
    DiskSlow,
    /// The FTM cannot ask the store that candidates share, and waits until it can.
    StoreAway,
    PowerLost,
}

impl Fact<'_> {
    /// Where the FTM wants which ARMOR, if this says so.
    #[must_use]
    pub fn installs(&self) -> Option<(HostId, ArmorName)> {
        let Fact::Asks { effect: Effect::Send { to: ArmorName::Daemon(host), message }, .. } = self else {
            return None;
        };
        match message {
            Message::Daemon(DaemonMessage::Install { name, .. }) => Some((*host, *name)),
            _ => None,
        }
    }

    /// Which Execution hears of which job that it is to serve it, if this says so.
    #[must_use]
    pub fn configures(&self) -> Option<(&Identity, &Job)> {
        match self {
            Fact::Handles {
                who,
                input: Input::Message { message: Message::Execution(ExecutionMessage::Configure(orders)), .. },
                ..
            } => Some((who, &orders.job)),
            _ => None,
        }
    }

    /// What the FTM decides here.
    pub fn decisions(&self) -> impl Iterator<Item = FtmRecord> {
        let save = match self {
            Fact::Stepped { who, output, .. } if who.name == ArmorName::Ftm => output.save.as_ref(),
            _ => None,
        };
        let records = save.into_iter().flat_map(|save| &save.records);
        records.filter_map(|record| minicbor::decode(&record.bytes).ok())
    }

    /// What the FTM puts on record here as something that happened.
    pub fn stories(&self) -> impl Iterator<Item = Story> {
        self.decisions().filter_map(|record| match record {
            FtmRecord::Event(event) => Some(event.occurrence.story),
            _ => None,
        })
    }
}

/// A moment of an ARMOR's life that a story can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is about to ask for this.
    About,
    /// It has asked for this.
    Says,
    /// It has handled this; what it saves in consequence is not written yet.
    Hears,
}
