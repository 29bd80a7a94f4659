//! The store that several candidates share, invented: who reigns, how much that reign has changed, and what of a
//! transaction its asker learns.
//!
//! Its members are on the hosts of the candidates: whoever reaches most of those reaches the store. What is asked may take
//! effect late, and the answer may be lost, so that the asker does not know whether it was done.

use std::collections::BTreeSet;

use chameleon_core::names::{ArmorName, HostId, Term};
use chameleon_core::shell::{Identity, Input};
use chameleon_core::world::{ProcessEvent, Reign, ReignSight};

use crate::history::Fact;
use crate::process::{Arrival, Pid};
use crate::world::{Next, World};

/// How long a transaction usually takes, one way, in microseconds.
const WAY_US: u64 = 700;
/// How long the asker waits for an answer, and how late what it asked for may take effect.
const PATIENCE_US: u64 = 1_000_000;
const LATE_US: u64 = 2_000_000;
/// Between two attempts to reach it.
const AGAIN_US: u64 = 50_000;
/// Where its records lie: on no host.
pub const NOWHERE: HostId = HostId(0);

/// The store.
#[derive(Debug)]
pub struct Polls {
    candidates: BTreeSet<HostId>,
    reign: Reign,
    changes: u64,
    /// When the reign changed something last, in microseconds.
    changed_us: u64,
    /// Of a thousand answers, so many are lost, and of a thousand questions so many are late.
    pub lost_per_mille: u64,
}

/// What a candidate asks for: the term behind the accused one, by this request, if no more was changed than that.
pub type Question = Option<(Term, u64, Option<u64>)>;

impl Polls {
    /// One in which nobody reigned yet.
    #[must_use]
    pub fn new(candidates: u32) -> Polls {
        let candidates = (1..=candidates).map(HostId).collect();
        Polls { candidates, reign: Reign::default(), changes: 0, changed_us: 0, lost_per_mille: 0 }
    }

    fn sight(&self) -> ReignSight {
        ReignSight::Seen { reign: self.reign, changes: self.changes }
    }
}

impl World {
    /// Whether this ARMOR has to do with several candidates.
    pub(crate) fn is_elected(&self, name: ArmorName, host: HostId) -> bool {
        self.polls.as_ref().is_some_and(|polls| match name {
            ArmorName::Daemon(_) => polls.candidates.contains(&host),
            ArmorName::Ftm => true,
            _ => false,
        })
    }

    /// Where the records of this ARMOR lie.
    pub(crate) fn owner(&self, host: HostId, name: ArmorName) -> (HostId, ArmorName) {
        let shared = name == ArmorName::Ftm && self.polls.is_some();
        (if shared { NOWHERE } else { host }, name)
    }

    /// Whether most members of the store can be reached from there.
    fn reaches_store(&self, host: HostId) -> bool {
        let Some(polls) = &self.polls else { return false };
        let is_well = |member: &HostId| !self.fabric.is_down(*member) && !self.fabric.is_frozen(*member);
        let reached = |member: &&HostId| is_well(member) && self.fabric.connects(host, **member);
        polls.candidates.iter().filter(reached).count() * 2 > polls.candidates.len()
    }

    /// A candidate asks the store something.
    pub(crate) fn seek_reign(&mut self, pid: Pid, question: Question) {
        let lost = self.polls.as_ref().map_or(0, |polls| polls.lost_per_mille);
        let late = lost > 0 && self.chance.per_mille(lost);
        if late {
            let late_us = self.chance.within(0, LATE_US);
            self.after(late_us, Next::Polled { by: pid, question, heard: false });
            self.after(PATIENCE_US, Next::Unanswered { by: pid });
        } else {
            self.later(WAY_US, Next::Polled { by: pid, question, heard: true });
        }
    }

    /// What a candidate asked for takes effect, perhaps when it does not wait any more.
    pub(crate) fn polled(&mut self, pid: Pid, question: Question, heard: bool) {
        let host = self.host_of(pid);
        if host == HostId::default() || !self.reaches_store(host) {
            return if heard {
                self.after(PATIENCE_US, Next::Unanswered { by: pid })
            };
        }
        if let Some((accused, request, changes)) = question {
            self.grant(host, accused, request, changes);
        }
        let Some(polls) = &self.polls else { return };
        let (sight, lost) = (polls.sight(), polls.lost_per_mille);
        match lost > 0 && self.chance.per_mille(lost) {
            true if heard => self.after(PATIENCE_US, Next::Unanswered { by: pid }),
            false if heard => self.answer_candidate(pid, WAY_US, sight),
            _ => {}
        }
    }

    fn grant(&mut self, host: HostId, accused: Term, request: u64, changes: Option<u64>) {
        let now_us = self.agenda.now_us();
        let Some(polls) = &mut self.polls else { return };
        if polls.reign.term != accused || changes.is_some_and(|changes| changes != polls.changes) {
            return;
        }
        let term = Term(accused.0 + 1);
        polls.reign = Reign { term, host, request };
        let still_us = changes.map(|_| now_us - polls.changed_us);
        self.tell(|| format!("the store grants {term} to {host}"));
        self.observe(&Fact::Granted { term, host, still_us });
    }

    /// Nothing was heard of the store for as long as anybody waits.
    pub(crate) fn unanswered_by_store(&mut self, pid: Pid) {
        self.answer_candidate(pid, 0, ReignSight::Nothing);
    }

    fn answer_candidate(&mut self, pid: Pid, after_us: u64, sight: ReignSight) {
        let what = Arrival::Input(Input::Process(ProcessEvent::ReignSeen(sight)));
        self.later(after_us, Next::Arrive { at: pid, what });
    }

    /// Whether what this ARMOR saves counts now; `None`: nobody knows yet, and it is to be tried again.
    pub(crate) fn commits(&mut self, who: &Identity) -> Option<bool> {
        if who.name != ArmorName::Ftm || self.polls.is_none() {
            return Some(true);
        }
        if !self.reaches_store(who.host) {
            self.observe(&Fact::StoreAway);
            return None;
        }
        let now_us = self.agenda.now_us();
        let polls = self.polls.as_mut()?;
        let reigns = polls.reign.term.0 == u64::from(who.incarnation.0) && polls.reign.host == who.host;
        if reigns {
            polls.changes += 1;
            polls.changed_us = now_us;
        }
        Some(reigns)
    }

    /// Tries again to save what the store could not be asked to.
    pub(crate) fn write_again(&mut self, pid: Pid, number: u64) {
        self.later(AGAIN_US, Next::Written { by: pid, number });
    }
}
