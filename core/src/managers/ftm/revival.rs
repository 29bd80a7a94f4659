//! Lost hosts are tried again: called, and started by a command if a person said by which.
//!
//! Each try waits twice as long as the one before, and there is a last one. A host that comes back by itself ends the
//! tries, as does one that is called with success; a new reign begins them anew.

use crate::armor::{Effect, Moment, Timer};
use crate::job::OsBytes;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{DaemonMessage, Story, Tried, UserMessage};
use crate::names::{ArmorName, HostId, Millis};
use crate::world::ProcessCommand;

/// How long after its loss a host is tried first, and the longest wait between two tries.
const WAIT: (Millis, Millis) = (Millis(5_000), Millis(600_000));
/// A host that was tried so often is left to a person.
const TRIES: u32 = 20;

/// How long it is until the next try, after so many; nothing, after the last.
#[must_use]
pub fn wait(tries: u32) -> Option<Millis> {
    let wait = WAIT.0.0.saturating_mul(1 << tries.min(32)).min(WAIT.1.0);
    (tries < TRIES).then_some(Millis(wait))
}

impl Ftm {
    /// If this host is lost it will be tried, as if it had not been before.
    pub(super) fn revive_later(&mut self, host: HostId, step: &mut FtmStep) {
        if !self.is_lost(host) {
            return;
        }
        if let (Some(known), Some(wait)) = (self.hosts.get_mut(&host), wait(0)) {
            known.tries = 0;
            step.timer(Timer::Revive(host), wait);
        }
    }

    /// A new reign tries all hosts that an earlier one had lost.
    pub(super) fn revive_lost(&mut self, step: &mut FtmStep) {
        let hosts: Vec<HostId> = self.hosts.keys().copied().collect();
        hosts.into_iter().for_each(|host| self.revive_later(host, step));
    }

    /// Tries a lost host, unless a person has drained it: what happens to it then is theirs.
    pub(super) fn revive(&mut self, now: Moment, host: HostId, step: &mut FtmStep) {
        if !self.is_lost(host) || self.is_shut_out(host) || self.is_drained(host) {
            return;
        }
        let Some(known) = self.hosts.get_mut(&host) else { return };
        known.tries += 1;
        let (tries, command) = (known.tries, known.revive.clone());
        let (by_command, again) = (!command.is_empty(), wait(tries));
        // Makes the link if there is none.
        step.send(ArmorName::Daemon(host), DaemonMessage::Report { term: self.term });
        if by_command {
            let text = format!("{host} is lost; this is try {tries}");
            step.then(Effect::Process(ProcessCommand::Summon { host, command, text }));
        }
        self.note(now, None, Story::HostTried(Tried { host, tries, by_command, again }), step);
        if let Some(again) = again {
            step.timer(Timer::Revive(host), again);
        }
    }

    /// The command that was to start a host has ended.
    pub(super) fn summoned(&mut self, now: Moment, host: HostId, failure: Option<String>, step: &mut FtmStep) {
        if let Some(why) = failure {
            self.note(now, None, Story::ReviveFailed(host, why), step);
        }
    }

    /// A person says by what command a host is started when it is lost; an empty one is none. It runs on the FTM's host, as
    /// its owner, who alone may say it.
    pub(super) fn revive_by(&mut self, user: ArmorName, host: HostId, command: Vec<OsBytes>, step: &mut FtmStep) {
        let is_other = self.users.principal(user).is_some();
        let why = match () {
            () if is_other => Some("a command that runs on the FTM's host is set there, by its owner".to_owned()),
            () if !self.hosts.contains_key(&host) => Some(self.unknown_host(host)),
            () if host == self.host && !self.elected => {
                Some(format!("{host} is the FTM's own host: nobody would be there to start it"))
            }
            () => None,
        };
        if let Some(why) = why {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        self.save(step, FtmRecord::Revive { host, command: command.clone() });
        self.reply(user, UserMessage::RevivedBy { host, command }, step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_waits_longer_and_there_is_a_last_one() {
        let waits: Vec<u64> = (0..).map_while(wait).map(|wait| wait.0).collect();
        assert_eq!(waits[..4], [5_000, 10_000, 20_000, 40_000]);
        assert_eq!((waits.len(), waits[waits.len() - 1]), (TRIES as usize, WAIT.1.0));
        assert_eq!(wait(u32::MAX), None);
    }
}
