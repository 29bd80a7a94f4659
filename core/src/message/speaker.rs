//! Who may say what: checked by whoever is told, before it looks at what was said.
//!
//! A name was proved when the link came up. This table says that its bearer may say such a thing at
//! all; what it says must still make sense to the one who is told.

use crate::message::{
    DaemonMessage, ExecutionMessage, FanoutMessage, FtmMessage, Message, SurrogateMessage, VoterMessage,
};
use crate::names::{ArmorName, Kind};

/// Whether this ARMOR may say this.
#[must_use]
pub fn may_say(from: ArmorName, message: &Message) -> bool {
    match message {
        Message::Ftm(message) => to_ftm(from, message),
        Message::Daemon(message) => to_daemon(from, message),
        Message::Surrogate(message) => to_surrogate(from, message),
        Message::Voter(message) => to_voter(from, message),
        Message::Fanout(message) => to_fanout(from, message),
        Message::Execution(message) => to_execution(from, message),
        Message::Init(_) | Message::Heartbeat(_) => from.kind() == Kind::Ftm,
        Message::User(_) => matches!(from.kind(), Kind::Ftm | Kind::Surrogate),
        Message::Pulse(_) => from.kind() == Kind::Daemon,
        Message::Mirror(_) => matches!(from.kind(), Kind::Surrogate | Kind::Voter),
        Message::Copy(_) => from.kind() == Kind::Mirror,
    }
}

/// Whether this may be said by one who has not proved who it is: who wants to be let in.
#[must_use]
pub fn is_application(message: &Message) -> bool {
    matches!(message, Message::Ftm(FtmMessage::Enrol(_) | FtmMessage::Renew { .. }))
}

/// Whether this is said by a process to itself only, and a fraud if it comes over a link.
#[must_use]
pub fn is_own(message: &Message) -> bool {
    matches!(message, Message::Ftm(FtmMessage::Introduced(_)) | Message::Daemon(DaemonMessage::Listening { .. }))
}

fn to_ftm(from: ArmorName, message: &FtmMessage) -> bool {
    match message {
        FtmMessage::Submit { .. }
        | FtmMessage::Ask(_)
        | FtmMessage::Await(_)
        | FtmMessage::Cancel { .. }
        | FtmMessage::Forget(_)
        | FtmMessage::Resolve { .. }
        | FtmMessage::MakeToken { .. }
        | FtmMessage::Enrol(_)
        | FtmMessage::Renew { .. }
        | FtmMessage::Revoke { .. }
        | FtmMessage::Drain { .. }
        | FtmMessage::Pardon { .. }
        | FtmMessage::StepDown { .. }
        | FtmMessage::BackUp { .. }
        | FtmMessage::ReviveBy { .. }
        | FtmMessage::Move { .. }
        | FtmMessage::Introduced(_) => from.kind() == Kind::User,
        FtmMessage::Unmirrored { name, .. } => from == *name,
        FtmMessage::Hears { .. } | FtmMessage::Links(_) => from.kind() == Kind::Heartbeat,
        FtmMessage::Joined { host, .. } | FtmMessage::Candidate { host } => from == ArmorName::Daemon(*host),
        FtmMessage::AskTime { host, .. } | FtmMessage::Profiled { host, .. } | FtmMessage::Tested { host, .. } => {
            from == ArmorName::Init(*host)
        }
        FtmMessage::Running(_)
        | FtmMessage::Gone { .. }
        | FtmMessage::Lost { .. }
        | FtmMessage::Observed { .. }
        | FtmMessage::Reachable { .. } => from.kind() == Kind::Daemon,
        FtmMessage::WantPlaces { job, .. } | FtmMessage::Happened { job, .. } | FtmMessage::Ended { job, .. } => {
            from == ArmorName::Surrogate(*job)
        }
    }
}

fn to_daemon(from: ArmorName, message: &DaemonMessage) -> bool {
    match message {
        DaemonMessage::Install { .. }
        | DaemonMessage::Retire { .. }
        | DaemonMessage::Clean { .. }
        | DaemonMessage::ObservedKept { .. }
        | DaemonMessage::Report { .. }
        | DaemonMessage::Reigns { .. }
        | DaemonMessage::StepsDown { .. }
        | DaemonMessage::Book { .. } => from == ArmorName::Ftm,
        DaemonMessage::Ready { name, .. } => from == *name,
        DaemonMessage::Pong(_) => from.kind() != Kind::User,
        DaemonMessage::Stop => from.kind() == Kind::User,
        DaemonMessage::Unheard { .. } => from.kind() == Kind::Heartbeat,
        DaemonMessage::Listening { .. } | DaemonMessage::Inquire { .. } | DaemonMessage::HeardReign { .. } => {
            from.kind() == Kind::Daemon
        }
    }
}

fn to_surrogate(from: ArmorName, message: &SurrogateMessage) -> bool {
    let by = match message {
        SurrogateMessage::Begin(_)
        | SurrogateMessage::Granted(_)
        | SurrogateMessage::Unavailable { .. }
        | SurrogateMessage::Told { .. }
        | SurrogateMessage::EndKept
        | SurrogateMessage::Cancel { .. } => Kind::Ftm,
        SurrogateMessage::Verdicts { .. }
        | SurrogateMessage::Disputes(_)
        | SurrogateMessage::Recounted { .. }
        | SurrogateMessage::Prefix { .. } => Kind::Voter,
        SurrogateMessage::Noted { .. } => return matches!(from.kind(), Kind::Voter | Kind::Execution),
        SurrogateMessage::Committed { .. } => return matches!(from.kind(), Kind::Execution | Kind::Fanout),
        SurrogateMessage::CannotRun { .. }
        | SurrogateMessage::LaneProgress { .. }
        | SurrogateMessage::LaneDone { .. }
        | SurrogateMessage::Repeated { .. }
        | SurrogateMessage::Prepared { .. }
        | SurrogateMessage::Unclear { .. } => Kind::Execution,
        SurrogateMessage::InputsReady { .. } | SurrogateMessage::InputsRefused { .. } => Kind::Fanout,
        SurrogateMessage::Follow { .. } | SurrogateMessage::Consumed { .. } => Kind::User,
    };
    from.kind() == by
}

fn to_voter(from: ArmorName, message: &VoterMessage) -> bool {
    match message {
        VoterMessage::Convene { .. }
        | VoterMessage::Extend { .. }
        | VoterMessage::Absent { .. }
        | VoterMessage::Recount { .. }
        | VoterMessage::VerdictsKept { .. } => from.kind() == Kind::Surrogate,
        VoterMessage::Ballots { lane, .. } | VoterMessage::Prefix { lane, .. } | VoterMessage::Recall { lane } => {
            matches!(from, ArmorName::Execution(_, own) if own == *lane)
        }
    }
}

fn to_fanout(from: ArmorName, message: &FanoutMessage) -> bool {
    match message {
        FanoutMessage::Distribute(_) | FanoutMessage::Commit { .. } => from.kind() == Kind::Surrogate,
        FanoutMessage::Staged { lane, .. } => matches!(from, ArmorName::Execution(_, own) if own == *lane),
        FanoutMessage::Spooled { .. } => from.kind() == Kind::User,
    }
}

fn to_execution(from: ArmorName, message: &ExecutionMessage) -> bool {
    let by = match message {
        ExecutionMessage::Configure(_)
        | ExecutionMessage::Run { .. }
        | ExecutionMessage::Prepare { .. }
        | ExecutionMessage::StartOnce { .. }
        | ExecutionMessage::Stop { .. }
        | ExecutionMessage::StopTask { .. }
        | ExecutionMessage::Allow { .. }
        | ExecutionMessage::Commit { .. } => Kind::Surrogate,
        ExecutionMessage::BallotsKept { .. } | ExecutionMessage::Voted { .. } | ExecutionMessage::PrefixAt { .. } => {
            Kind::Voter
        }
        ExecutionMessage::Stage { .. } | ExecutionMessage::Feed { .. } => Kind::Fanout,
        ExecutionMessage::LeaseEnded => Kind::Daemon,
    };
    from.kind() == by
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Pulse, Query};
    use crate::names::{HostId, JobId, LaneId, StageId, Term};

    #[test]
    fn nobody_says_what_is_not_theirs_to_say() {
        let (h1, h2, job) = (HostId(1), HostId(2), JobId(1));
        let (user, surrogate) = (ArmorName::User(1), ArmorName::Surrogate(job));
        let joined = Message::from(FtmMessage::Joined { host: h2, units: Vec::new() });
        let retire = Message::from(DaemonMessage::Retire { term: Term(1), name: surrogate });
        let stop = Message::from(ExecutionMessage::Stop { stage: StageId(0) });
        let table = [
            (ArmorName::Daemon(h2), &joined, true),
            (ArmorName::Daemon(h1), &joined, false),
            (user, &joined, false),
            (ArmorName::Ftm, &retire, true),
            (ArmorName::Daemon(h2), &retire, false),
            (user, &retire, false),
            (surrogate, &stop, true),
            (ArmorName::Voter(job), &stop, false),
            (user, &stop, false),
            (user, &Message::from(DaemonMessage::Stop), true),
            (surrogate, &Message::from(DaemonMessage::Stop), false),
            (user, &Message::from(FtmMessage::Ask(Query::Armors)), true),
            (ArmorName::Execution(job, LaneId(0)), &Message::from(Pulse { beat: 1 }), false),
        ];
        for (from, message, expected) in table {
            assert_eq!(may_say(from, message), expected, "{from}: {message:?}");
        }
    }
}
