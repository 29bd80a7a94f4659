//! The real session: messages from the links, signals, the spool and the printer on one line.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use chameleon_core::message::Message;
use chameleon_core::names::ArmorName;

use crate::failure::Failure;
use crate::session::{Heard, Session};

/// Does something with the link to an ARMOR of the home. Dropping it ends the conversation.
pub type Mouth = Box<dyn FnMut(ArmorName, Deed) + Send>;

/// What is done with a link.
#[derive(Debug)]
pub enum Deed {
    Tell(Message),
    Renew,
}

/// The other end of a line.
pub struct Partner {
    /// The number under which ARMORs know us.
    pub number: u64,
    pub mouth: Mouth,
    /// Says the last things once the mouth is dropped.
    pub thread: JoinHandle<()>,
}

/// A session with the ARMORs of a home.
pub struct Line {
    /// `None` only while it is dropped.
    partner: Option<Partner>,
    heard: Receiver<Heard>,
    ear: Sender<Heard>,
}

impl Line {
    /// `open` is given what the other end says things into.
    ///
    /// # Errors
    /// The session cannot be opened.
    pub fn new(open: impl FnOnce(Sender<Heard>) -> Result<Partner, Failure>) -> Result<Self, Failure> {
        let (ear, heard) = channel();
        Ok(Line { partner: Some(open(ear.clone())?), heard, ear })
    }

    /// This user's own number, drawn afresh by each command: also fit to number its request.
    pub fn number(&self) -> u64 {
        self.partner.as_ref().map_or(0, |partner| partner.number)
    }

    /// Where else things can be heard from.
    pub fn ear(&self) -> Sender<Heard> {
        self.ear.clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(Partner { mouth, thread, .. }) = self.partner.take() {
            drop(mouth);
            let _ = thread.join();
        }
    }
}

impl Session for Line {
    fn send(&mut self, to: ArmorName, message: Message) {
        if let Some(partner) = &mut self.partner {
            (partner.mouth)(to, Deed::Tell(message));
        }
    }

    fn renew(&mut self, peer: ArmorName) {
        if let Some(partner) = &mut self.partner {
            (partner.mouth)(peer, Deed::Renew);
        }
    }

    fn next(&mut self, patience: Duration) -> Option<Heard> {
        match self.heard.recv_timeout(patience) {
            Ok(heard) => Some(heard),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("the line keeps an ear of its own"),
        }
    }
}
