//! The reign, as daemons see it: each hears who reigns and tells others; that of a candidate's host may raise the FTM.

use crate::armor::{Effect, Moment};
use crate::daemon::{Charge, Daemon, DaemonRecord, DaemonStep, Grant, State};
use crate::elements::candidacy::Act;
use crate::message::{DaemonMessage, Story};
use crate::names::{ArmorName, HostId, Incarnation, Term};
use crate::world::{ProcessCommand, Reign, ReignSight};

impl Daemon {
    /// The FTM says that it reigns.
    pub(super) fn reigns(&mut self, now: Moment, term: Term, fellows: Vec<HostId>) {
        self.reign_heard = Some((term, now.boot));
        if let Some(candidacy) = &mut self.candidacy {
            candidacy.heard(now.boot, term, fellows);
        }
    }

    /// The reign ends by its own will: it is ended here, or the next term is asked for.
    pub(super) fn steps_down(&mut self, now: Moment, term: Term, step: &mut DaemonStep) {
        let Some(candidacy) = &mut self.candidacy else { return };
        candidacy.vacated(now.boot, term);
        match self.raised() == Some(term) {
            true => self.end_ftm(now, step),
            false => self.mind_reign(now, false, step),
        }
    }

    /// Ends the FTM of this host; that it dies is decided, and nothing that anybody need be told of as a death.
    fn end_ftm(&mut self, now: Moment, step: &mut DaemonStep) {
        let Some(ftm) = self.charges.get_mut(&ArmorName::Ftm) else { return };
        if let State::Starting { process, .. } | State::Running { process, .. } = &ftm.state {
            ftm.state = State::Killed { process: process.clone(), lived: ftm.lived(now.boot) };
            let (name, incarnation) = (ArmorName::Ftm, ftm.incarnation);
            step.then(Effect::Process(ProcessCommand::Kill { name, incarnation }));
        }
    }

    /// Another daemon wants to know whether the FTM is heard here.
    pub(super) fn tell_reign(&self, now: Moment, to: ArmorName, step: &mut DaemonStep) {
        if let Some((term, heard)) = self.reign_heard {
            step.send(to, DaemonMessage::HeardReign { term, ago: now.boot.since(heard) });
        }
    }

    /// Looks after the reign, if this host is a candidate; `held_up`: this daemon itself was, and may have missed much.
    pub(super) fn mind_reign(&mut self, now: Moment, held_up: bool, step: &mut DaemonStep) {
        let runs = self.raised();
        let Some(candidacy) = &mut self.candidacy else { return };
        if held_up {
            candidacy.excuse(now.boot);
        }
        let (known, acts) = (candidacy.term(), candidacy.look_after(now.boot, runs));
        self.carry_out(now, acts, step);
        // One that stands still would not notice that it is over.
        let over = life(known.max(self.term));
        if let Some(incarnation) =
            self.charges.get(&ArmorName::Ftm).map(|ftm| ftm.incarnation).filter(|own| *own < over)
        {
            step.then(Effect::Process(ProcessCommand::Kill { name: ArmorName::Ftm, incarnation }));
        }
    }

    /// The store says who reigns.
    pub(super) fn reign_seen(&mut self, now: Moment, sight: &ReignSight, step: &mut DaemonStep) {
        let runs = self.raised();
        let Some(candidacy) = &mut self.candidacy else { return };
        let acts = candidacy.saw(now.boot, sight, runs);
        self.carry_out(now, acts, step);
    }

    /// The term of the FTM that is raised here, or will be when the last one has ended.
    fn raised(&self) -> Option<Term> {
        self.charges.get(&ArmorName::Ftm).map(|charge| Term(charge.incarnation.max(charge.floor).0.into()))
    }

    fn carry_out(&mut self, now: Moment, acts: Vec<Act>, step: &mut DaemonStep) {
        for act in acts {
            match act {
                Act::Look => step.then(Effect::Process(ProcessCommand::LookUpReign)),
                Act::Ask { accused, request, changes } => {
                    step.then(Effect::Process(ProcessCommand::AskReign { accused, request, changes }));
                }
                Act::Inquire { host, term } => step.send(ArmorName::Daemon(host), DaemonMessage::Inquire { term }),
                Act::Raise { term, why } => self.raise_ftm(now, term, why, step),
            }
        }
    }

    /// This host has the reign of that term: its FTM lives once, and another life needs another term.
    fn raise_ftm(&mut self, now: Moment, term: Term, why: String, step: &mut DaemonStep) {
        let host = self.host;
        self.observe(now, ArmorName::Ftm, Story::ReignBegan(Reign { term, host, request: 0 }, why), step);
        let grant = Grant { incarnation: life(term), granted: life(term), mirror: None };
        match self.charges.get(&ArmorName::Ftm) {
            // The one before is still here: it goes first.
            Some(_) => self.install_anew(now, ArmorName::Ftm, grant, step),
            None => {
                self.keep(ArmorName::Ftm, Charge::new(grant), step);
                self.start_waiting(now, step);
            }
        }
    }

    /// The process of an FTM that had its term from the store has ended: that term is over.
    pub(super) fn reign_ended(&mut self, now: Moment, step: &mut DaemonStep) {
        let Some(Charge { incarnation, floor, granted, state, .. }) = self.charges.get(&ArmorName::Ftm).cloned() else {
            return;
        };
        if !matches!(state, State::Killed { .. } | State::Retiring { .. }) {
            self.observe(now, ArmorName::Ftm, Story::ArmorDied { name: ArmorName::Ftm, incarnation }, step);
        }
        self.save(step, DaemonRecord::Retired { name: ArmorName::Ftm });
        // Another reign waits for the end of this one.
        if floor > incarnation {
            self.keep(ArmorName::Ftm, Charge::new(Grant { incarnation: floor, granted, mirror: None }), step);
            return self.start_waiting(now, step);
        }
        if let Some(candidacy) = &mut self.candidacy {
            candidacy.ended(now.boot, Term(incarnation.0.into()));
        }
        self.mind_reign(now, false, step);
    }
}

/// The life of the FTM of this term.
fn life(term: Term) -> Incarnation {
    Incarnation(u32::try_from(term.0).unwrap_or(u32::MAX))
}
