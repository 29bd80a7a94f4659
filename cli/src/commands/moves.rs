//! `chameleon move ARMOR HOST`: one ARMOR of a running job goes on on another host.

use chameleon_core::message::{FtmMessage, UserMessage};
use chameleon_core::names::{ArmorName, HostId};

use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Move {
    /// An ARMOR as `chameleon armors` names it, such as execution-j1-l0
    armor: ArmorName,
    /// The host on which it is to go on, such as h2
    host: HostId,
}

impl Move {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let from = moved(&mut place.standing()?.connect()?, self.armor, self.host)?;
        screen::print(&format!("{} goes on on {} instead of {from}", self.armor, self.host))?;
        Ok(0)
    }
}

/// The host where it was.
fn moved(session: &mut dyn Session, armor: ArmorName, host: HostId) -> Result<HostId, Failure> {
    ask(session, &FtmMessage::Move { name: armor, to: host }, |answer| match answer {
        UserMessage::Moving { name, from, to } => ((name, to) == (armor, host)).then_some(from),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chameleon_core::names::{JobId, LaneId};

    use crate::scripted::Scripted;

    #[test]
    fn a_move_says_where_it_was() {
        let name = ArmorName::Execution(JobId(1), LaneId(0));
        let answer = |to| UserMessage::Moving { name, from: HostId(1), to };
        let mut session = Scripted::answering(vec![answer(HostId(2))]);
        assert_eq!(moved(&mut session, name, HostId(2)).unwrap(), HostId(1));
    }
}
