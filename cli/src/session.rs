//! A conversation with the ARMORs of one home, as the commands need it: say something, hear the next
//! thing. Signals, the spool of standard input and the printer are heard on the same line, so that a
//! command waits in one place.

use std::time::{Duration, Instant};

use chameleon_core::armor::LinkEvent;
use chameleon_core::message::{FtmMessage, Message, UserMessage};
use chameleon_core::names::ArmorName;

use crate::failure::Failure;

/// What a command can hear.
#[derive(Debug)]
pub enum Heard {
    Link(LinkEvent),
    Message(UserMessage),
    /// A signal that asks to end; the number.
    Signal(u8),
    /// The spool of standard input grew to so many bytes; all of it is there if `end`.
    Spooled {
        length: u64,
        end: bool,
    },
    /// The printer is through with what it was given, up to this byte.
    Printed {
        upto: u64,
    },
    /// And with the rest.
    RestPrinted {
        upto: u64,
    },
    /// The spool or the printer cannot go on.
    Broken(Failure),
}

/// One end of the conversation.
pub trait Session {
    /// Tells an ARMOR. Vanishes if its link is not up; [`LinkEvent::Up`] follows then.
    fn send(&mut self, to: ArmorName, message: Message);

    /// The ARMOR lives elsewhere now: [`LinkEvent::Up`] follows when it can be told again.
    fn renew(&mut self, peer: ArmorName);

    /// The next thing, or nothing once this much time has passed.
    fn next(&mut self, patience: Duration) -> Option<Heard>;
}

/// How long the FTM may take to answer: a restart of every process of the system fits in several times.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks the FTM until an answer comes that `take` accepts.
///
/// # Errors
/// The FTM refused, or said nothing for [`PATIENCE`].
pub fn ask<T>(
    session: &mut dyn Session,
    question: &FtmMessage,
    mut take: impl FnMut(UserMessage) -> Option<T>,
) -> Result<T, Failure> {
    session.send(ArmorName::Ftm, question.clone().into());
    let began = Instant::now();
    while let Some(patience) = PATIENCE.checked_sub(began.elapsed()) {
        match session.next(patience) {
            Some(Heard::Message(UserMessage::Refused { why })) => return Err(Failure::Refused(why)),
            Some(Heard::Message(message)) => {
                if let Some(answer) = take(message) {
                    return Ok(answer);
                }
            }
            Some(Heard::Link(LinkEvent::Up { peer: ArmorName::Ftm, .. })) => {
                session.send(ArmorName::Ftm, question.clone().into());
            }
            Some(Heard::Broken(failure)) => return Err(failure),
            Some(
                Heard::Link(_)
                | Heard::Signal(_)
                | Heard::Spooled { .. }
                | Heard::Printed { .. }
                | Heard::RestPrinted { .. },
            )
            | None => {}
        }
    }
    Err(Failure::System(format!("the FTM did not answer for {} s", PATIENCE.as_secs())))
}
