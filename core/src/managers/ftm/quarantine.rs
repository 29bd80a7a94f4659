//! Hosts that fail again and again: no new lanes for a while, then test tasks, then lanes again.
//!
//! What a host is charged with is told here by whoever finds it out; what follows is decided in
//! [`conduct`](super::conduct). The test tasks are done by an Init ARMOR on that host, which takes the road of any
//! ARMOR: through the daemon, a process and a link. One host stays trusted in any case, or nothing would run at all.

use crate::armor::{Effect, Moment, Timer};
use crate::managers::ftm::registry::Decided;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{Conduct, Diagnosis, Incident, InitMessage, Occurrence, Story, UserMessage};
use crate::names::{ArmorName, Digest, HostId, JobId, Millis};
use crate::test_task;

/// How long a host may take for a test task, the Init's begin included.
const TESTED_WITHIN: Millis = Millis(10_000);
/// When it is looked again whether an earlier Init is gone.
const LOOK_AGAIN: Millis = Millis(1_000);

impl Ftm {
    pub(super) fn is_quarantined(&self, host: HostId) -> bool {
        self.hosts.get(&host).is_some_and(|known| !known.conduct.is_trusted())
    }

    /// Something speaks against a host. What happens while a person has drained it is theirs.
    pub(super) fn charge(&mut self, now: Moment, host: HostId, incident: Incident, step: &mut FtmStep) {
        let Some(known) = self.hosts.get(&host).filter(|known| !known.drained) else { return };
        let mut conduct = known.conduct.clone();
        conduct.put_down(now.unix_ms, incident);
        let trusted = self.hosts.iter().filter(|(other, known)| **other != host && known.takes_lanes()).count();
        let is_flaky = conduct.is_flaky(now.unix_ms) && (trusted > 0 || !conduct.is_trusted());
        if is_flaky {
            conduct.quarantine(now.unix_ms);
        }
        self.save(step, FtmRecord::Conduct { host, conduct });
        if is_flaky {
            self.note_quarantine(now, host, step);
            self.retire_init(host, step);
            self.parole_soon(now, host, step);
        }
    }

    /// What an SM tells may speak against the host of a lane.
    pub(super) fn charge_for(&mut self, now: Moment, job: JobId, occurrence: &Occurrence, step: &mut FtmStep) {
        let Story::Diagnosed { diagnosis: Diagnosis::LaneFaulty { lane, .. }, .. } = occurrence.story else { return };
        let entry = self.registry.get(ArmorName::Execution(job, lane));
        if let Some(host) = entry.and_then(|entry| entry.decided.host()) {
            self.charge(now, host, Incident::Blamed(job), step);
        }
    }

    /// Puts something down on the record of a host.
    fn keep_conduct(&mut self, host: HostId, step: &mut FtmStep, put_down: impl FnOnce(&mut Conduct)) {
        let Some(mut conduct) = self.hosts.get(&host).map(|known| known.conduct.clone()) else { return };
        put_down(&mut conduct);
        self.save(step, FtmRecord::Conduct { host, conduct });
    }

    fn note_quarantine(&mut self, now: Moment, host: HostId, step: &mut FtmStep) {
        let Some(conduct) = self.hosts.get(&host).map(|known| &known.conduct) else { return };
        let Some(wait) = conduct.wait(now.unix_ms) else { return };
        let since = conduct.counts_from_unix_ms;
        let why = conduct.incidents.iter().filter(|(at, _)| *at >= since).map(|(_, what)| *what).collect();
        let times = conduct.times;
        self.note(now, None, Story::HostQuarantined { host, times, wait, why }, step);
    }

    /// Looks after a host in quarantine once its time has come, or its tests take too long.
    pub(super) fn parole_soon(&self, now: Moment, host: HostId, step: &mut FtmStep) {
        let Some(known) = self.hosts.get(&host).filter(|known| !known.conduct.is_trusted()) else { return };
        step.timer(Timer::Parole(host), known.conduct.wait(now.unix_ms).unwrap_or(TESTED_WITHIN));
    }

    pub(super) fn parole(&mut self, now: Moment, host: HostId, step: &mut FtmStep) {
        let Some(known) = self.hosts.get(&host).filter(|known| !known.conduct.is_trusted()) else { return };
        match known.conduct.wait(now.unix_ms) {
            // When it joins, this is asked again.
            Some(_) if known.daemon.is_none() || self.is_lost(host) => {}
            Some(Millis(0)) => self.begin_parole(now, host, step),
            Some(wait) => step.timer(Timer::Parole(host), wait),
            None => self.charge(now, host, Incident::TestFailed, step),
        }
    }

    fn begin_parole(&mut self, now: Moment, host: HostId, step: &mut FtmStep) {
        let init = self.registry.get(ArmorName::Init(host));
        if init.is_some_and(|entry| !matches!(entry.decided, Decided::Installing { .. })) {
            return step.timer(Timer::Parole(host), LOOK_AGAIN);
        }
        let is_there = init.is_some();
        self.keep_conduct(host, step, Conduct::parole);
        self.note(now, None, Story::HostOnParole(host, test_task::TASKS), step);
        if !is_there {
            self.send_init(host, step);
        }
        step.timer(Timer::Parole(host), TESTED_WITHIN);
    }

    /// The test task that a host on parole is to do next, if it is on parole.
    fn test(&self, host: HostId) -> Option<u32> {
        self.hosts.get(&host)?.conduct.quarantine?.parole
    }

    /// An Init has reported what its host is: it goes on with test tasks, or has done its part.
    pub(super) fn test_or_retire(&mut self, host: HostId, step: &mut FtmStep) {
        match self.test(host) {
            Some(number) => step.send(ArmorName::Init(host), InitMessage::Test { number }),
            None => self.retire_init(host, step),
        }
    }

    fn retire_init(&mut self, host: HostId, step: &mut FtmStep) {
        if let Some(entry) = self.registry.get(ArmorName::Init(host)).cloned() {
            self.retire(&entry, step);
        }
    }

    /// A test task is done.
    pub(super) fn tested(&mut self, now: Moment, host: HostId, number: u32, answer: Digest, step: &mut FtmStep) {
        if self.test(host) != Some(number) {
            return;
        }
        if !test_task::is_right(number, answer) {
            return self.charge(now, host, Incident::TestFailed, step);
        }
        if number + 1 >= test_task::TASKS {
            return self.trust(now, host, false, step);
        }
        self.keep_conduct(host, step, |conduct| {
            if let Some(quarantine) = &mut conduct.quarantine {
                quarantine.parole = Some(number + 1);
            }
        });
        step.timer(Timer::Parole(host), TESTED_WITHIN);
        self.test_or_retire(host, step);
    }

    /// A host serves again, on the strength of its tests or of a person's word.
    fn trust(&mut self, now: Moment, host: HostId, pardoned: bool, step: &mut FtmStep) {
        self.keep_conduct(host, step, |conduct| match pardoned {
            true => conduct.pardon(now.unix_ms),
            false => conduct.trust(now.unix_ms),
        });
        self.note(now, None, Story::HostTrusted { host, pardoned }, step);
        step.then(Effect::CancelTimer { timer: Timer::Parole(host) });
        if self.hosts.get(&host).is_some_and(|known| known.is_looked_over()) {
            self.retire_init(host, step);
        }
        self.place_requested(now, step);
    }

    /// A person says that a host is to be trusted again.
    pub(super) fn pardon(&mut self, now: Moment, user: ArmorName, host: HostId, step: &mut FtmStep) {
        let is_unknown = !self.hosts.contains_key(&host);
        if let Some(why) = self.may_not_rule(user).or_else(|| is_unknown.then(|| self.unknown_host(host))) {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        let was_quarantined = self.is_quarantined(host);
        if was_quarantined {
            self.trust(now, host, true, step);
        }
        self.reply(user, UserMessage::Pardoned { host, was_quarantined }, step);
    }
}
