//! The common ARMORs, one file each, and the table of all kinds.

pub mod execution;
pub mod fanout;
pub mod heartbeat;
pub mod init;
pub mod mirror;
pub mod voter;

use crate::daemon::Daemon;
use crate::managers::ftm::Ftm;
use crate::managers::surrogate::Surrogate;
use crate::names::ArmorName;
use crate::shell::{Identity, Running, Shell};

/// Makes the ARMOR of this name, without a past. A user's command is none: `None`.
///
/// | ARMOR | made of (beside the guardian and the shell that all share) |
/// |---|---|
/// | ftm | inbox, registry, placement, notices |
/// | daemon | restart, pulse watch, outbox |
/// | surrogate | inbox, outbox, task set, ladder, inquiries, output; copying |
/// | voter | inbox, outbox, seal, task set, tally, prefixes; copying |
/// | fanout | distribution |
/// | execution | outbox, seal, task set, slots, restart |
/// | heartbeat | detector |
/// | mirror | the other side of copying |
/// | init | nothing |
#[must_use]
pub fn raise(identity: Identity) -> Option<Box<dyn Running>> {
    Some(match identity.name {
        ArmorName::Ftm => {
            let ftm = Ftm::new(&identity);
            Box::new(Shell::new(identity, ftm))
        }
        ArmorName::Daemon(_) => {
            let daemon = Daemon::new(&identity);
            Box::new(Shell::new(identity, daemon))
        }
        ArmorName::Surrogate(job) => {
            let surrogate = Surrogate::new(&identity, job);
            Box::new(Shell::new(identity, surrogate))
        }
        ArmorName::Voter(job) => {
            let voter = voter::Voter::new(job, identity.incarnation);
            Box::new(Shell::new(identity, voter))
        }
        ArmorName::Fanout(job) => {
            let fanout = fanout::Fanout::new(&identity, job);
            Box::new(Shell::new(identity, fanout))
        }
        ArmorName::Execution(job, lane) => {
            let execution = execution::Execution::new(&identity, job, lane);
            Box::new(Shell::new(identity, execution))
        }
        ArmorName::Heartbeat(_) => {
            let heartbeat = heartbeat::Heartbeat::new(&identity);
            Box::new(Shell::new(identity, heartbeat))
        }
        ArmorName::Mirror(job) => Box::new(Shell::new(identity, mirror::Mirror::new(job))),
        ArmorName::Init(host) => Box::new(Shell::new(identity, init::Init::new(host))),
        ArmorName::User(_) => return None,
    })
}
