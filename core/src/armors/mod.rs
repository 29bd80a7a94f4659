//! The common ARMORs, one file each, and the table of all kinds.

pub mod execution;
pub mod fanout;
pub mod voter;

use crate::armor::Armor;
use crate::daemon::Daemon;
use crate::managers::ftm::Ftm;
use crate::managers::surrogate::Surrogate;
use crate::names::ArmorName;
use crate::shell::{Identity, Running, Shell};

/// Makes an ARMOR of the kind that its name says, with no past.
///
/// # Panics
/// If the name is a user's: a user's command is no ARMOR.
#[must_use]
pub fn raise(identity: Identity) -> Box<dyn Running> {
    fn shelled<A: Armor + 'static>(identity: Identity, armor: A) -> Box<dyn Running>
    where
        A::Record: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
    {
        Box::new(Shell::new(identity, armor))
    }
    match identity.name {
        ArmorName::Ftm => shelled(identity.clone(), Ftm::new(&identity)),
        ArmorName::Daemon(_) => shelled(identity.clone(), Daemon::new(&identity)),
        ArmorName::Surrogate(job) => shelled(identity, Surrogate::new(job)),
        ArmorName::Voter(job) => shelled(identity, voter::Voter::new(job)),
        ArmorName::Fanout(job) => shelled(identity, fanout::Fanout::new(job)),
        ArmorName::Execution(job, lane) => {
            shelled(identity.clone(), execution::Execution::new(&identity, job, lane))
        }
        ArmorName::User(_) => unreachable!("a user's command is no ARMOR"),
    }
}
