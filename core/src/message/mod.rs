//! Every message there is, one enum for each recipient, in a file of the recipient's name.
//!
//! Each variant says who sends it and what answers it. All of them may arrive twice or late; none may
//! be needed exactly once. `docs/protocol.md` is this module as a table.

mod conduct;
mod daemon;
mod evidence;
mod execution;
mod fanout;
mod ftm;
mod heartbeat;
mod init;
mod mirror;
mod occurrence;
mod outcome;
mod speaker;
mod surrogate;
mod user;
mod voter;

use minicbor::{Decode, Encode};

use crate::armor::Progress;
use crate::names::Incarnation;

pub use conduct::{Conduct, Incident, Quarantine, Tried};
pub use daemon::{Bid, DaemonMessage};
pub use evidence::{Diagnosis, Evidence, Why};
pub use execution::{ExecutionMessage, LaneOrders, Purpose};
pub use fanout::{FanoutMessage, Supply};
pub use ftm::{Application, ArmorState, FtmMessage, Query, Unit};
pub use heartbeat::{Datagram, Hearing, HeartbeatMessage, HostFault, Measured, PairKey};
pub use init::InitMessage;
pub use mirror::{CopyMessage, MirrorMessage, RecordBytes, Unmirrored};
pub use occurrence::{Occurrence, Story};
pub use outcome::{Outcome, Resolution};
pub use speaker::{is_application, is_own, may_say};
pub use surrogate::SurrogateMessage;
pub use user::{
    Admission, ArmorRow, CandidateRow, EventRow, HostRow, HostState, JobRow, LaneRow, LinkRow, ReignRow, Release,
    UserMessage,
};
pub use voter::{Ballot, Dispute, Rule, Seal, Value, Verdict, VoterMessage, Witness};

/// A message on its way, with the kind of its recipient.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Message {
    #[n(0)]
    Ftm(#[n(0)] FtmMessage),
    #[n(1)]
    Daemon(#[n(0)] DaemonMessage),
    #[n(2)]
    Surrogate(#[n(0)] SurrogateMessage),
    #[n(3)]
    Voter(#[n(0)] VoterMessage),
    #[n(4)]
    Fanout(#[n(0)] FanoutMessage),
    #[n(5)]
    Execution(#[n(0)] ExecutionMessage),
    #[n(6)]
    User(#[n(0)] UserMessage),
    /// To an ARMOR of any kind.
    #[n(7)]
    Pulse(#[n(0)] Pulse),
    #[n(60)]
    Heartbeat(#[n(0)] HeartbeatMessage),
    #[n(61)]
    Mirror(#[n(0)] MirrorMessage),
    /// To an SM or a Voter, from its Mirror.
    #[n(62)]
    Copy(#[n(0)] CopyMessage),
    #[n(80)]
    Init(#[n(0)] InitMessage),
}

impl Message {
    /// Whether it is heard although its sender has a later life by now: a ballot takes its lane's vote
    /// if none was cast, whichever life cast it (D10).
    #[must_use]
    pub fn counts_late(&self) -> bool {
        matches!(self, Message::Voter(VoterMessage::Ballots { .. }))
    }
}

/// Daemon → any ARMOR of its host: how do you fare? Answered by [`DaemonMessage::Pong`], after all
/// that came before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Pulse {
    #[n(0)]
    pub beat: u64,
}

/// What an ARMOR says of itself to the daemon of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Vitals {
    #[n(0)]
    pub incarnation: Incarnation,
    #[n(1)]
    pub beat: u64,
    #[n(2)]
    pub progress: Progress,
}

/// A message that reached an ARMOR of the wrong kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message for {expected} was delivered to somebody else")]
pub struct Misdelivered {
    pub expected: &'static str,
}

macro_rules! recipients {
    ($($variant:ident($inner:ty)),*) => {$(
        impl From<$inner> for Message {
            fn from(message: $inner) -> Message {
                Message::$variant(message)
            }
        }

        impl TryFrom<Message> for $inner {
            type Error = Misdelivered;

            fn try_from(message: Message) -> Result<Self, Misdelivered> {
                match message {
                    Message::$variant(message) => Ok(message),
                    _ => Err(Misdelivered { expected: stringify!($variant) }),
                }
            }
        }
    )*};
}

recipients!(
    Ftm(FtmMessage),
    Daemon(DaemonMessage),
    Surrogate(SurrogateMessage),
    Voter(VoterMessage),
    Fanout(FanoutMessage),
    Execution(ExecutionMessage),
    User(UserMessage),
    Pulse(Pulse),
    Heartbeat(HeartbeatMessage),
    Mirror(MirrorMessage),
    Copy(CopyMessage),
    Init(InitMessage)
);
