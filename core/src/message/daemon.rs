//! What a daemon can be told.

use minicbor::{Decode, Encode};

use crate::book::Book;
use crate::job::OsBytes;
use crate::message::Vitals;
use crate::names::{ArmorName, Digest, HostId, Incarnation, JobId, Millis, Term};
use crate::world::{ProcessMark, SecondHome};

/// To a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum DaemonMessage {
    /// FTM → daemon: let this ARMOR run here. Answered by `FtmMessage::Running` or `Lost`, also if the
    /// host's own policy forbids it.
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
        /// For whom; nobody if it serves no job.
        #[n(4)]
        bid: Option<Box<Bid>>,
        /// What it saves is saved by the Mirror of its job as well.
        #[n(61)]
        mirror: Option<SecondHome>,
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
    /// FTM → daemon: say what is here. Answered by `FtmMessage::Joined`.
    #[n(60)]
    Report {
        #[n(0)]
        term: Term,
    },
    /// Heartbeat → daemon of its host: for so long no other host said that it hears this one; 0: one does again. Said
    /// again while it lasts. No answer.
    #[n(140)]
    Unheard {
        #[n(0)]
        silent: Millis,
    },
    /// Daemon → daemon (to itself, it is never taken from outside): other hosts reach this one here.
    /// Passed on to the FTM by `FtmMessage::Reachable`.
    #[n(40)]
    Listening {
        #[n(0)]
        name: String,
        #[n(1)]
        address: String,
        /// BLAKE3 of the host's public key.
        #[n(2)]
        key: Digest,
    },
    /// FTM → daemon: where the hosts are reached, and who is let in no more. Said whenever the link
    /// comes up, and whenever it changes. No answer.
    #[n(41)]
    Book {
        #[n(0)]
        term: Term,
        #[n(1)]
        book: Box<Book>,
    },
    /// FTM → daemon: it reigns, and its store has a change of it that is new. Said again and again by an FTM that several
    /// candidates may have. No answer.
    #[n(130)]
    Reigns {
        #[n(0)]
        term: Term,
        /// Whose daemons it reaches, too; some of them if they are many.
        #[n(1)]
        fellows: Vec<HostId>,
    },
    /// FTM → daemon: its reign ends by its own will. Another host's candidate asks for the next term at once; its own daemon
    /// ends it. No answer.
    #[n(133)]
    StepsDown {
        #[n(0)]
        term: Term,
    },
    /// Daemon → daemon: do you hear the FTM of this term? Answered by `HeardReign`, if it ever did.
    #[n(131)]
    Inquire {
        #[n(0)]
        term: Term,
    },
    /// Daemon → daemon, answering `Inquire`: the FTM of this term, the highest it heard of, said so long ago that it reigns.
    #[n(132)]
    HeardReign {
        #[n(0)]
        term: Term,
        #[n(1)]
        ago: Millis,
    },
}

/// For whom an ARMOR is to run, and what its job needs there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Bid {
    #[n(0)]
    pub user: String,
    /// Bytes that each lane needs, if the job says so.
    #[n(1)]
    pub memory: Option<u64>,
    /// Whether its programs may use the network.
    #[n(2)]
    pub net: bool,
    /// Where its programs run and what they may write, absolute.
    #[n(3)]
    pub paths: Vec<OsBytes>,
}
