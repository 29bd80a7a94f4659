//! The reign of an FTM that several candidates may have: its term was given by the store that they share.
//!
//! It changes something in that store again and again, which the store permits to no other term, and only then says that
//! it reigns: whoever hears it hears one that decides and whose decisions count. Nobody is answered before the store has
//! confirmed the reign in the same step, so that an FTM that was frozen and replaced meanwhile tells nobody what was.

use std::collections::BTreeSet;

use crate::armor::Timer;
use crate::elements::candidacy::FTM_BEAT;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{CandidateRow, DaemonMessage, ReignRow, SurrogateMessage, UserMessage};
use crate::names::{ArmorName, HostId, Term};

/// The most hosts that are told to others as those who may hear it, too.
const FELLOWS: usize = 8;

/// Who may have the FTM next, and when.
#[derive(Debug, Default)]
pub(super) struct Succession {
    /// The hosts that may have it, as far as this reign has heard.
    pub candidates: BTreeSet<HostId>,
    /// Whether this reign is to end by its own will.
    steps_down: bool,
}

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
        if self.succession.steps_down {
            step.send(ArmorName::Daemon(self.host), DaemonMessage::StepsDown { term: self.term });
        }
        step.timer(Timer::Reign, FTM_BEAT);
    }

    /// Who has the FTM, and who may have it.
    pub(super) fn reign_row(&self) -> ReignRow {
        let candidate = |&host: &HostId| CandidateRow { host, reached: self.linked.contains(&ArmorName::Daemon(host)) };
        let candidates = self.succession.candidates.iter().map(candidate).collect();
        ReignRow { host: self.host, term: self.term, since_unix_ms: self.began.unix_ms, candidates }
    }

    /// A person wants the reign of this term to end: other candidates are told that they need not wait for silence, and a beat
    /// later the daemon here that it is to end this process. If that were told at once, the others might not hear it any more.
    pub(super) fn step_down(&mut self, user: ArmorName, term: Term, step: &mut FtmStep) {
        // Whoever asks again heard no answer from the one that it asked first.
        if term < self.term {
            return self.reply(user, UserMessage::SteppedDown { term }, step);
        }
        let told = match self.successors(user, term) {
            Ok(told) => told,
            Err(why) => return self.reply(user, UserMessage::Refused { why }, step),
        };
        self.reply(user, UserMessage::SteppedDown { term }, step);
        self.succession.steps_down = true;
        for host in told {
            step.send(ArmorName::Daemon(host), DaemonMessage::StepsDown { term });
        }
    }

    /// The other candidates that can be told of the end of this reign; else why it cannot end.
    fn successors(&self, user: ArmorName, term: Term) -> Result<Vec<HostId>, String> {
        if let Some(why) = self.may_not_rule(user) {
            return Err(why);
        }
        if !self.elected {
            let why =
                "this system has one FTM, and its store is a file on that host: no other could go on with its jobs";
            return Err(why.to_owned());
        }
        if term > self.term {
            return Err(format!("there is no reign of {term} yet: {} has the FTM under {}", self.host, self.term));
        }
        let is_reached = |host: &HostId| *host != self.host && self.linked.contains(&ArmorName::Daemon(*host));
        let others: Vec<HostId> = self.succession.candidates.iter().copied().filter(is_reached).collect();
        match others.is_empty() {
            true => {
                Err(format!("no other candidate can be reached: {} would only take the next term itself", self.host))
            }
            false => Ok(others),
        }
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
