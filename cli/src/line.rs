//! The real session: messages from the links, signals, the spool and the printer on one line.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use chameleon_core::message::Message;
use chameleon_core::names::ArmorName;

use crate::failure::Failure;
use crate::session::{Heard, Session};

/// Tells an ARMOR of the home.
pub type Mouth = Box<dyn FnMut(ArmorName, Message) + Send>;

/// A session with the ARMORs of a home.
pub struct Line {
    number: u64,
    mouth: Mouth,
    heard: Receiver<Heard>,
    ear: Sender<Heard>,
}

impl Line {
    /// `open` is given what the other end says things into, and returns our number and how to speak
    /// to it.
    ///
    /// # Errors
    /// The session cannot be opened.
    pub fn new(open: impl FnOnce(Sender<Heard>) -> Result<(u64, Mouth), Failure>) -> Result<Self, Failure> {
        let (ear, heard) = channel();
        let (number, mouth) = open(ear.clone())?;
        Ok(Line { number, mouth, heard, ear })
    }

    /// This user's own number, drawn afresh by each command: also fit to number its request.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where else things can be heard from.
    pub fn ear(&self) -> Sender<Heard> {
        self.ear.clone()
    }
}

impl Session for Line {
    fn send(&mut self, to: ArmorName, message: Message) {
        (self.mouth)(to, message);
    }

    fn next(&mut self, patience: Duration) -> Option<Heard> {
        match self.heard.recv_timeout(patience) {
            Ok(heard) => Some(heard),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("the line keeps an ear of its own"),
        }
    }
}
