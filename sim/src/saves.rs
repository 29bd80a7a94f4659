//! Saves on their way to the disk: under way, written, synced, and then the ARMOR is told.

use chameleon_core::names::ArmorName;
use chameleon_core::shell::{Input, SaveRequest};

use crate::process::{Arrival, Pid, Process, Saving};
use crate::world::{Next, World};

/// How long it usually takes to write and to sync, in microseconds.
const WRITE_US: u64 = 60;
const SYNC_US: u64 = 1_500;

impl World {
    /// An ARMOR asks for a save.
    pub fn save(&mut self, pid: Pid, request: SaveRequest) {
        let delay_us = self.chance.delay_us(WRITE_US) * self.standing.slow_saves;
        let now_us = self.agenda.now_us();
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.written_us = process.written_us.max(now_us) + delay_us;
        let (at_us, number) = (process.written_us, request.number);
        process.unsaved.push(number);
        process.saves.push_back(Saving { request, position: None, synced: false });
        self.agenda.at(at_us, &mut self.chance, Next::Written { by: pid, number });
    }

    pub(crate) fn written(&mut self, pid: Pid, number: u64) {
        let Some(who) = self.processes.get(&pid).and_then(Process::identity).cloned() else { return };
        if who.elected && who.name == ArmorName::Ftm && self.waits_for_another(pid, number) {
            return self.write_again(pid, number);
        }
        match self.commits(&who) {
            Some(true) => {}
            Some(false) => {
                self.tell(|| format!("the store obeys {} {} no more", who.name, who.incarnation));
                return self.kill(pid);
            }
            None => return self.write_again(pid, number),
        }
        let owner = self.owner(who.host, who.name);
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let Some(saving) = process.saves.iter_mut().find(|saving| saving.request.number == number) else { return };
        let records = std::mem::take(&mut saving.request.records);
        saving.position = Some(self.disk.write(owner, records));
        if saving.request.to_disk {
            self.later(SYNC_US * self.standing.slow_saves, Next::Synced { by: pid, number });
        }
        self.confirm(pid);
    }

    /// Whether a save before this one is not written yet.
    fn waits_for_another(&self, pid: Pid, number: u64) -> bool {
        let saves = self.processes.get(&pid).into_iter().flat_map(|process| &process.saves);
        saves.take_while(|saving| saving.request.number != number).any(|saving| saving.position.is_none())
    }

    pub(crate) fn synced(&mut self, pid: Pid, number: u64) {
        let Some(name) = self.processes.get(&pid).and_then(Process::name) else { return };
        let owner = self.owner(self.host_of(pid), name);
        let Some(process) = self.processes.get_mut(&pid) else { return };
        for saving in process.saves.iter_mut().filter(|saving| saving.request.number <= number) {
            saving.synced = true;
            self.disk.sync(owner, saving.position.unwrap_or_default());
        }
        self.confirm(pid);
    }

    /// Tells the ARMOR of the saves that have completed, in order.
    fn confirm(&mut self, pid: Pid) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let mut last = None;
        while process.saves.front().is_some_and(Saving::is_complete) {
            last = process.saves.pop_front().map(|saving| saving.request.number);
        }
        if let Some(number) = last {
            self.later(10, Next::Arrive { at: pid, what: Arrival::Input(Input::Saved(number)) });
        }
    }
}
