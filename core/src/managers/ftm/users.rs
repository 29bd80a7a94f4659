//! Users' commands, and what they are owed. Nothing of this is saved: a command whose FTM was
//! replaced asks again.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::UserMessage;
use crate::names::{ArmorName, JobId};

/// One command.
#[derive(Debug, Default)]
struct User {
    linked: bool,
    /// Answers that wait for the link.
    owed: Vec<UserMessage>,
    awaits: BTreeSet<JobId>,
}

/// All commands that asked for something.
#[derive(Debug, Default)]
pub struct Users {
    known: BTreeMap<ArmorName, User>,
}

impl Users {
    /// An answer to a command; kept if it cannot be reached yet.
    pub fn owe(&mut self, name: ArmorName, message: &UserMessage) {
        let user = self.known.entry(name).or_default();
        if !user.linked {
            user.owed.push(message.clone());
        }
    }

    /// The command can be reached: what it is owed.
    pub fn up(&mut self, name: ArmorName) -> Vec<UserMessage> {
        let user = self.known.entry(name).or_default();
        user.linked = true;
        std::mem::take(&mut user.owed)
    }

    /// The command is gone, with all it asked for.
    pub fn down(&mut self, name: ArmorName) {
        self.known.remove(&name);
    }

    pub fn awaits(&mut self, name: ArmorName, job: JobId) {
        self.known.entry(name).or_default().awaits.insert(job);
    }

    /// Those that wait for this job; they do not any more.
    pub fn waiting_for(&mut self, job: JobId) -> Vec<ArmorName> {
        let waiting = self.known.iter_mut().filter_map(|(&name, user)| user.awaits.remove(&job).then_some(name));
        waiting.collect()
    }
}
