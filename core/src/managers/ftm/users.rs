//! Users' commands, and what they are owed. Nothing of this is saved: a command whose FTM was
//! replaced asks again.

use std::collections::{BTreeMap, BTreeSet};

use crate::message::UserMessage;
use crate::names::{ArmorName, JobId, Millis};
use crate::principal::Principal;

/// How long a command may take to be reached: it is there before it asks, so it is gone if it takes longer.
pub const REACHED_WITHIN: Millis = Millis(10_000);

/// One command.
#[derive(Debug, Default)]
struct User {
    linked: bool,
    /// When it was first heard of, or its link broke.
    since: Millis,
    /// Answers that wait for the link.
    owed: Vec<UserMessage>,
    awaits: BTreeSet<JobId>,
    /// Its link broke: what it was told last may be lost.
    broken: bool,
    /// Who is behind it, if not the owner of the FTM's home.
    principal: Option<Principal>,
}

/// All commands that asked for something.
#[derive(Debug, Default)]
pub struct Users {
    known: BTreeMap<ArmorName, User>,
}

impl Users {
    /// A command asks for something; says whether it is new.
    pub fn heard(&mut self, name: ArmorName, now: Millis) -> bool {
        let fresh = !self.known.contains_key(&name);
        self.known.entry(name).or_insert_with(|| User { since: now, ..User::default() });
        fresh
    }

    /// Those that could not be reached in time, and whether others are still awaited.
    #[must_use]
    pub fn unreached(&self, now: Millis) -> (Vec<ArmorName>, bool) {
        let waiting = self.known.iter().filter(|(_, user)| !user.linked);
        let (late, early): (Vec<_>, Vec<_>) = waiting.partition(|(_, user)| now.since(user.since) >= REACHED_WITHIN);
        (late.into_iter().map(|(&name, _)| name).collect(), !early.is_empty())
    }

    /// An answer to a command; kept if it cannot be reached yet.
    pub fn owe(&mut self, name: ArmorName, message: &UserMessage) {
        let user = self.known.entry(name).or_default();
        if !user.linked {
            user.owed.push(message.clone());
        }
    }

    /// The command can be reached: what it is owed, and the jobs of which it may have missed something.
    pub fn up(&mut self, name: ArmorName) -> (Vec<UserMessage>, Vec<JobId>) {
        let user = self.known.entry(name).or_default();
        user.linked = true;
        let missed = if std::mem::take(&mut user.broken) { user.awaits.iter().copied().collect() } else { Vec::new() };
        (std::mem::take(&mut user.owed), missed)
    }

    /// The link to a command broke; says whether it may live. One that waits for a job may: it may even have asked
    /// again, on a link of its own, before this was noticed here.
    pub fn down(&mut self, name: ArmorName, now: Millis) -> bool {
        let Some(user) = self.known.get_mut(&name).filter(|user| !user.awaits.is_empty()) else { return false };
        (user.linked, user.broken, user.since) = (false, true, now);
        true
    }

    /// The command is gone, with all it asked for.
    pub fn gone(&mut self, name: ArmorName) {
        self.known.remove(&name);
    }

    pub fn awaits(&mut self, name: ArmorName, job: JobId) {
        self.known.entry(name).or_default().awaits.insert(job);
    }

    /// Its link proved who is behind a command.
    pub fn introduce(&mut self, name: ArmorName, principal: Principal) {
        self.known.entry(name).or_default().principal = Some(principal);
    }

    /// Who is behind a command; nobody else than the owner of the FTM's home if it is not known.
    #[must_use]
    pub fn principal(&self, name: ArmorName) -> Option<&Principal> {
        self.known.get(&name)?.principal.as_ref()
    }

    /// Those that wait for this job.
    pub fn who_await(&self, job: JobId) -> impl Iterator<Item = ArmorName> {
        self.known.iter().filter(move |(_, user)| user.awaits.contains(&job)).map(|(&name, _)| name)
    }

    /// Those that wait for this job; they do not any more.
    pub fn waiting_for(&mut self, job: JobId) -> Vec<ArmorName> {
        let waiting = self.known.iter_mut().filter_map(|(&name, user)| user.awaits.remove(&job).then_some(name));
        waiting.collect()
    }
}
