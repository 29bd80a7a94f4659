//! The reign of an FTM that several candidates may have: its term was given by the store that they share.
//!
//! It changes something in that store again and again, which the store permits to no other term, and only then says that
//! it reigns: whoever hears it hears one that decides and whose decisions count. Nobody is answered before the store has
//! confirmed the reign in the same step, so that an FTM that was frozen and replaced meanwhile tells nobody what was.

use crate::armor::Timer;
use crate::elements::candidacy::FTM_BEAT;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{DaemonMessage, SurrogateMessage};
use crate::names::{ArmorName, HostId, Term};

/// The most hosts that are told to others as those who may hear it, too.
const FELLOWS: usize = 8;

impl Ftm {
    /// The term of this life: the one it was given, else the next.
    pub(super) fn next_term(&self) -> Term {
        let next = Term(self.term.0 + 1);
        if self.elected { next.max(Term(self.incarnation.0.into())) } else { next }
    }

    /// It is where no FTM was before: everybody is spoken to, since they might wait for the last one to speak.
    pub(super) fn take_up(&mut self, step: &mut FtmStep) {
        if !self.elected {
            return;
        }
        for &host in self.hosts.keys().filter(|&&host| !self.is_shut_out(host)) {
            step.send(ArmorName::Daemon(host), DaemonMessage::Report { term: self.term });
        }
        for job in self.jobs.iter().filter(|record| record.end.is_none()).map(|record| record.id) {
            let below = self.events.told().next_from(job);
            step.send(ArmorName::Surrogate(job), SurrogateMessage::Told { below });
        }
        step.timer(Timer::Reign, FTM_BEAT);
    }

    /// Says that it reigns, once its store has a change of it; the next time is counted from then.
    pub(super) fn say_that_it_reigns(&mut self, step: &mut FtmStep) {
        self.change_something(step);
        let linked = self.linked.iter().filter_map(|peer| match peer {
            ArmorName::Daemon(host) => Some(*host),
            _ => None,
        });
        let hosts: Vec<HostId> = linked.collect();
        for &host in &hosts {
            let fellows = hosts.iter().copied().filter(|fellow| *fellow != host).take(FELLOWS).collect();
            step.send(ArmorName::Daemon(host), DaemonMessage::Reigns { term: self.term, fellows });
        }
        step.timer(Timer::Reign, FTM_BEAT);
    }

    /// What is said in this step is said only if the store still obeys this term.
    pub(super) fn confirm(&mut self, step: &mut FtmStep) {
        if self.elected {
            self.change_something(step);
        }
    }

    /// The store takes this from no other term.
    fn change_something(&mut self, step: &mut FtmStep) {
        self.save(step, FtmRecord::Beat(self.beat + 1));
    }
}
