//! A session whose other end is a script, for tests.

use std::collections::VecDeque;
use std::time::Duration;

use chameleon_core::message::{Message, UserMessage};
use chameleon_core::names::ArmorName;

use crate::session::{Heard, Session};

/// Says what the script says; remembers what it was told.
#[derive(Default)]
pub struct Scripted {
    script: VecDeque<Heard>,
    pub told: Vec<(ArmorName, Message)>,
}

impl Scripted {
    pub fn new(script: impl IntoIterator<Item = Heard>) -> Self {
        Scripted { script: script.into_iter().collect(), told: vec![] }
    }

    /// Answers with these messages, in order.
    pub fn answering(messages: Vec<UserMessage>) -> Self {
        Scripted::new(messages.into_iter().map(Heard::Message))
    }
}

impl Session for Scripted {
    fn send(&mut self, to: ArmorName, message: Message) {
        self.told.push((to, message));
    }

    fn renew(&mut self, _peer: ArmorName) {}

    fn next(&mut self, _patience: Duration) -> Option<Heard> {
        Some(self.script.pop_front().expect("the script goes on"))
    }
}
