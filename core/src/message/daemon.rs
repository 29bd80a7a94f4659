//! What a daemon can be told.

use minicbor::{Decode, Encode};

use crate::message::Vitals;
use crate::names::{ArmorName, HostId, Incarnation, JobId, Term};
use crate::world::{ProcessMark, RecordBytes};

/// To a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DaemonMessage {
    /// FTM → daemon: let this ARMOR run here. Answered by `FtmMessage::Running` or `Lost`.
    /// The daemon may restart it in place up to incarnation `granted` without asking.
    #[n(0)]
    Install {
        #[n(0)]
        term: Term,
        #[n(1)]
        name: ArmorName,
        #[n(2)]
        incarnation: Incarnation,
        #[n(3)]
        granted: Incarnation,
        /// The host that is to have a copy of what it saves.
        #[n(60)]
        mirror: Option<HostId>,
        /// It had lives elsewhere: it goes on from the copy that is here, or not at all.
        #[n(61)]
        from_copy: bool,
    },
    /// FTM → daemon: end this ARMOR and delete what it kept here. Answered by `FtmMessage::Gone`,
    /// also if it never ran.
    #[n(1)]
    Retire {
        #[n(0)]
        term: Term,
        #[n(1)]
        name: ArmorName,
    },
    /// FTM → daemon: delete all that a job kept on this host. No answer.
    #[n(2)]
    Clean {
        #[n(0)]
        term: Term,
        #[n(1)]
        job: JobId,
    },
    /// Any ARMOR → daemon of its host: it runs, has restored its state and can be reached.
    /// Also said by survivors to a daemon that has just started (re-adoption), and by the daemon to
    /// itself, so that it can tell its own process.
    #[n(3)]
    Ready {
        #[n(0)]
        name: ArmorName,
        #[n(1)]
        incarnation: Incarnation,
        #[n(2)]
        process: ProcessMark,
    },
    /// Any ARMOR → daemon of its host, answering `Pulse`.
    #[n(4)]
    Pong(#[n(0)] Vitals),
    /// User → daemon: the whole system of this home ends. Answered by the end of the link.
    #[n(5)]
    Stop,
    /// FTM → daemon: what was observed with a number below this is on disk.
    #[n(6)]
    ObservedKept {
        #[n(0)]
        below: u64,
    },
    /// SM or Voter → daemon of its mirror host: what it saves, numbered from 0 in each life. The first
    /// `base` records are what that life was restored from; with them the copy is whole. Answered by
    /// [`Copied`](crate::message::Copied).
    #[n(61)]
    Mirror {
        #[n(0)]
        life: Incarnation,
        #[n(1)]
        base: u64,
        /// Number of the first one.
        #[n(2)]
        first: u64,
        #[n(3)]
        records: Vec<RecordBytes>,
    },
    /// FTM → daemon: say what is here. Answered by `FtmMessage::Joined`.
    #[n(60)]
    Report {
        #[n(0)]
        term: Term,
    },
}
