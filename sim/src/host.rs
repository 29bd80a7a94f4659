//! An invented host: its daemon, its processes, and what the daemon asks of the system.
//!
//! A blank process ends with the daemon that made it; an ARMOR outlives its daemon; the slots of an
//! Execution end with it. Only one process at a time holds the name of an ARMOR on a host.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chameleon_core::message::DaemonMessage;
use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId};
use chameleon_core::profile::{Numeric, Profile};
use chameleon_core::shell::{Identity, Input};
use chameleon_core::world::{ProcessCommand, ProcessEvent, ProcessMark};

use crate::faults::{Fault, HostFault};
use crate::history::Fact;
use crate::process::{Arrival, Body, Condition, Pid, Process};
use crate::world::{Next, World};

/// CPUs of an invented host.
pub const CORES: u16 = 2;
/// How long it usually takes to start a process, to restore an ARMOR, and to learn of a death, in microseconds.
const START_US: u64 = 2_000;
const RESTORE_US: u64 = 800;
const NOTICE_US: u64 = 100;
/// How long it takes until a machine that is switched on can be reached, in microseconds.
const POWER_ON_US: u64 = 3_000_000;
/// How long it takes, at most, until links find the FTM that was elected elsewhere, in microseconds.
const FOLLOW_US: u64 = 200_000;
/// How often the unit looks, in microseconds.
const UNIT_US: u64 = 2_000_000;

/// What an invented host is: those of an odd number are of one kind, the others of another.
fn profile(host: HostId) -> Profile {
    let is_odd = host.0 % 2 == 1;
    let class = if is_odd { "odd" } else { "even" };
    Profile {
        system: "Invented".to_owned(),
        architecture: if is_odd { "x86_64" } else { "aarch64" }.to_owned(),
        cores: CORES,
        memory: 1 << 32,
        numeric: Numeric { class: class.to_owned(), findings: Vec::new() },
        ..Profile::default()
    }
}

/// A host.
#[derive(Debug, Default)]
pub struct Host {
    /// Daemons that have lived here.
    daemons: u32,
    /// Times that it booted.
    pub(crate) boots: u32,
}

impl World {
    // ---- births ----

    pub(crate) fn new_pid(&mut self) -> Pid {
        self.standing.processes += 1;
        Pid(100 + self.standing.processes)
    }

    fn mark(&self, host: HostId, pid: Pid) -> ProcessMark {
        let boots = self.hosts.get(&host).map(|host| host.boots).unwrap_or_default();
        ProcessMark { pid: pid.0, start_time: self.agenda.now_us() / 10_000, boot_id: format!("boot {boots}") }
    }

    pub(crate) fn identity(&mut self, name: ArmorName, incarnation: Incarnation, host: HostId) -> Identity {
        let mut seed = [0; 32];
        seed.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.chance.number().to_le_bytes()));
        let elected = self.is_elected(name, host);
        Identity { name, incarnation, host, cores: CORES, seed, mirror: None, elected }
    }

    /// Starts a daemon on this host, unless one lives.
    pub(crate) fn revive(&mut self, host: HostId) {
        let name = ArmorName::Daemon(host);
        if self.alive(name).is_some() || self.fabric.is_down(host) || self.fabric.is_frozen(host) {
            return;
        }
        let pid = self.new_pid();
        let mark = self.mark(host, pid);
        let Some(place) = self.hosts.get_mut(&host) else { return };
        place.daemons += 1;
        let incarnation = Incarnation(place.daemons);
        let body = Body::Restoring(self.identity(name, incarnation, host));
        self.processes.insert(pid, Process::new(host, mark, body, None, self.agenda.now_us()));
        self.later(RESTORE_US, Next::Arrive { at: pid, what: Arrival::Restored });
    }

    pub(crate) fn blank(&mut self, host: HostId, watcher: Pid) {
        if !self.processes.contains_key(&watcher) || self.fabric.is_frozen(host) {
            return;
        }
        let pid = self.new_pid();
        let process = Process::new(host, self.mark(host, pid), Body::Blank, Some(watcher), self.agenda.now_us());
        let event = ProcessEvent::Blank { process: process.mark.clone() };
        self.processes.insert(pid, process);
        self.report(watcher, event);
    }

    /// An ARMOR has read what its earlier lives saved, and begins.
    pub(crate) fn restored(&mut self, pid: Pid) {
        let Some(identity) = self.processes.get(&pid).and_then(Process::identity).cloned() else { return };
        let holder = self.bound.get(&identity.name).and_then(|holder| self.processes.get(holder));
        if holder.is_some_and(|holder| holder.host == identity.host) {
            self.tell(|| format!("{} {} finds its name taken", identity.name, identity.incarnation));
            return self.kill(pid);
        }
        if self.commits(&identity) != Some(true) {
            self.tell(|| format!("the store obeys {} {} no more", identity.name, identity.incarnation));
            return self.kill(pid);
        }
        let records = self.disk.records(self.owner(identity.host, identity.name));
        let Some(mut armor) = self.raise(identity.clone()) else { return };
        let moment = self.agenda.moment();
        let begun = catch_unwind(AssertUnwindSafe(|| armor.restore(&records).map(|()| armor.resume(moment))));
        let output = match begun {
            Ok(Ok(output)) => output,
            Ok(Err(bad)) => return self.violate("an ARMOR can read what it saved", bad.to_string()),
            Err(_panic) => {
                return self.violate(
                    "an ARMOR breaks none of its own rules",
                    format!("{} panicked when it was restored", identity.name),
                );
            }
        };
        let (name, lives, past) = (identity.name, identity.incarnation, records.len());
        self.tell(|| {
            if past == 0 {
                format!("{name} {lives} begins")
            } else {
                format!("{name} {lives} begins, from {past} records")
            }
        });
        self.observe(&Fact::Born { who: &identity, pid });
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.body = Body::Armor(armor);
        if !self.has_later_life(&identity) {
            self.bound.insert(identity.name, pid);
        }
        if identity.name == ArmorName::Ftm && identity.elected {
            self.after(FOLLOW_US, Next::FollowReign);
        }
        self.take_step(pid, &identity, &Input::Saved(u64::MAX), 0, output);
        if identity.name == ArmorName::Daemon(identity.host) {
            if let Some(text) = self.policies.get(&identity.host) {
                let text = Ok(Some(text.as_bytes().to_vec()));
                self.arrive(pid, Arrival::Input(Input::Process(ProcessEvent::PolicyRead(text))));
            }
            self.know_oneself(pid, &identity);
            self.know_where(pid, &identity);
        } else {
            self.dial_daemon(pid, identity.host);
        }
    }

    /// A daemon is told which process it is itself.
    fn know_oneself(&mut self, pid: Pid, identity: &Identity) {
        let (name, incarnation) = (identity.name, identity.incarnation);
        let Some(process) = self.processes.get(&pid) else { return };
        let ready = DaemonMessage::Ready { name, incarnation, process: process.mark.clone() };
        let input = Input::Message { from: name, incarnation, message: ready.into() };
        self.later(50, Next::Arrive { at: pid, what: Arrival::Input(input) });
    }

    /// Every ARMOR keeps a link to the daemon of its host.
    fn dial_daemon(&mut self, pid: Pid, host: HostId) {
        let daemon = ArmorName::Daemon(host);
        let delay_us = self.chance.delay_us(60);
        self.network.send(pid, daemon, self.agenda.now_us(), delay_us);
        self.later(60, Next::Dial { from: pid, to: daemon });
    }

    /// An ARMOR that reaches the daemon of its host says who it is.
    pub(crate) fn present(&mut self, pid: Pid, peer: ArmorName) {
        let Some(process) = self.processes.get(&pid) else { return };
        let (Some(identity), ArmorName::Daemon(host)) = (process.identity(), peer) else { return };
        if identity.host != host || !matches!(process.body, Body::Armor(_)) || identity.name == peer {
            return;
        }
        let (name, incarnation) = (identity.name, identity.incarnation);
        let ready = DaemonMessage::Ready { name, incarnation, process: process.mark.clone() };
        self.send(pid, peer, ready.into());
    }

    // ---- what is asked of the system ----

    pub(crate) fn process_command(&mut self, pid: Pid, command: ProcessCommand) {
        let Some(host) = self.processes.get(&pid).map(|process| process.host) else { return };
        match command {
            ProcessCommand::Stock { blanks } => self.stock(pid, host, blanks),
            ProcessCommand::Assign { pid: blank, name, incarnation, mirror } => {
                let identity = Identity { mirror, ..self.identity(name, incarnation, host) };
                self.assign(pid, Pid(blank), identity);
            }
            ProcessCommand::Adopt { name, incarnation, process } => self.adopt(pid, name, incarnation, &process),
            ProcessCommand::Kill { name, incarnation } => match self.find(host, name, incarnation) {
                Some(found) => {
                    self.tell(|| format!("{name} {incarnation} is killed by Chameleon"));
                    self.kill(found);
                }
                None => self.report(pid, ProcessEvent::Exited { name, incarnation }),
            },
            ProcessCommand::Sample { name, incarnation } => {
                let now_us = self.agenda.now_us();
                if let Some(process) =
                    self.find(host, name, incarnation).and_then(|found| self.processes.get_mut(&found))
                {
                    let sample = process.sample(now_us);
                    self.report(pid, ProcessEvent::Sampled { name, incarnation, sample });
                }
            }
            ProcessCommand::Clean { name, job } => self.clean(host, name, job),
            ProcessCommand::Notify { notice, text, .. } => {
                self.tell(|| format!("the user is notified: {text}"));
                self.report(pid, ProcessEvent::Notified { notice, failure: None });
            }
            ProcessCommand::Summon { host: lost, .. } => {
                self.report(pid, ProcessEvent::Summoned { host: lost, failure: None });
                self.later(POWER_ON_US, Next::Fault(Fault::Host(lost, HostFault::Returns)));
            }
            ProcessCommand::Stop => self.standing.stopping = true,
            ProcessCommand::Revive => self.later(1_000, Next::Revive { host }),
            ProcessCommand::Knock { host } => self.knock(pid, host),
            // Certificates mean nothing in a world that cannot lie about who is who.
            ProcessCommand::Sign { to, member, .. } => {
                self.report(pid, ProcessEvent::Signed { to, member, outcome: Ok(Vec::new()) });
            }
            ProcessCommand::BackUp { to, number, .. } => {
                self.report(pid, ProcessEvent::BackedUp { to, number, failure: None });
            }
            // Bytes take no time in an invented world.
            ProcessCommand::Transfers => self.report(pid, ProcessEvent::Transfers(Vec::new())),
            ProcessCommand::KeepBook(book) => self.keep_book(host, &book),
            ProcessCommand::LookUpReign => self.seek_reign(pid, None),
            ProcessCommand::AskReign { accused, request, changes } => {
                self.seek_reign(pid, Some((accused, request, changes)));
            }
            ProcessCommand::Profile => self.report(pid, ProcessEvent::Profiled(Box::new(profile(host)))),
        }
    }

    fn report(&mut self, to: Pid, event: ProcessEvent) {
        self.later(NOTICE_US, Next::Arrive { at: to, what: Arrival::Input(Input::Process(event)) });
    }

    fn stock(&mut self, watcher: Pid, host: HostId, blanks: u16) {
        let waiting = self
            .processes
            .values()
            .filter(|process| matches!(process.body, Body::Blank) && process.watcher == Some(watcher));
        let missing = usize::from(blanks).saturating_sub(waiting.count());
        for _ in 0..missing {
            self.later(START_US, Next::Blank { host, watcher });
        }
    }

    fn assign(&mut self, daemon: Pid, blank: Pid, identity: Identity) {
        let Identity { name, incarnation, .. } = identity;
        match self.processes.get_mut(&blank).filter(|process| matches!(process.body, Body::Blank)) {
            Some(process) => {
                process.body = Body::Restoring(identity);
                self.later(RESTORE_US, Next::Arrive { at: blank, what: Arrival::Restored });
            }
            None => self.report(daemon, ProcessEvent::Exited { name, incarnation }),
        }
    }

    fn adopt(&mut self, daemon: Pid, name: ArmorName, incarnation: Incarnation, mark: &ProcessMark) {
        let process = self.processes.get_mut(&Pid(mark.pid)).filter(|process| process.mark == *mark);
        let event = match process {
            Some(process) => {
                process.watcher = Some(daemon);
                ProcessEvent::Adopted { name, incarnation }
            }
            None => ProcessEvent::Exited { name, incarnation },
        };
        self.report(daemon, event);
    }

    fn clean(&mut self, host: HostId, name: Option<ArmorName>, job: Option<JobId>) {
        if let Some(name) = name {
            self.disk.delete(self.owner(host, name));
        }
        if let Some(job) = job {
            let of_job: Vec<_> =
                self.disk.owners().filter(|(at, name)| *at == host && name.job() == Some(job)).collect();
            of_job.into_iter().for_each(|owner| self.disk.delete(owner));
            self.lanes.clean(host, job);
        }
    }

    // ---- who lives ----

    /// Whether its name belongs to a later life, on another host: nobody is to reach this one.
    fn has_later_life(&self, identity: &Identity) -> bool {
        let holder = self.bound.get(&identity.name).and_then(|holder| self.processes.get(holder));
        holder.and_then(Process::identity).is_some_and(|holder| holder.incarnation > identity.incarnation)
    }

    /// The process of this name, reachable or about to be.
    #[must_use]
    pub fn alive(&self, name: ArmorName) -> Option<Pid> {
        let bound = self.bound.get(&name).copied();
        bound.or_else(|| self.processes.iter().find(|(_, process)| process.name() == Some(name)).map(|(&pid, _)| pid))
    }

    fn find(&self, host: HostId, name: ArmorName, incarnation: Incarnation) -> Option<Pid> {
        let is_it = |process: &Process| {
            let any = incarnation == Incarnation::default() && name == ArmorName::Daemon(host);
            let same = |own: &Identity| own.name == name && (any || own.incarnation == incarnation);
            process.host == host && process.identity().is_some_and(same)
        };
        self.processes.iter().find(|(_, process)| is_it(process)).map(|(&pid, _)| pid)
    }

    /// The process fares differently from now on.
    pub fn fare(&mut self, pid: Pid, condition: Condition) {
        let now_us = self.agenda.now_us();
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.fare(condition, now_us);
        while let Some(process) = self.processes.get_mut(&pid) {
            let Some(arrival) = process.held.pop_front() else { return };
            if !process.looks_at(&arrival) {
                process.held.push_front(arrival);
                return;
            }
            self.arrive(pid, arrival);
        }
    }

    /// What heals itself needs somebody well: a host where nobody is gets a new daemon from the unit
    /// that Chameleon is shipped with (DESIGN D3).
    pub(crate) fn unit(&mut self) {
        let is_there = |host: &HostId| !self.fabric.is_down(*host) && !self.fabric.is_frozen(*host);
        let hosts: Vec<HostId> = self.hosts.keys().copied().filter(is_there).collect();
        for host in hosts {
            let is_well =
                |process: &Process| process.condition == Condition::Well && matches!(process.body, Body::Armor(_));
            if !self.processes.values().any(|process| process.host == host && is_well(process)) {
                if let Some(hung) = self.alive(ArmorName::Daemon(host)) {
                    self.kill(hung);
                }
                self.revive(host);
            }
        }
        self.after(UNIT_US, Next::Unit);
    }

    // ---- deaths ----

    /// A process dies at once, as by kill -9.
    pub fn kill(&mut self, pid: Pid) {
        let Some(process) = self.processes.remove(&pid) else { return };
        let identity = process.identity().cloned();
        if let Some(identity) = &identity {
            if self.bound.get(&identity.name) == Some(&pid) {
                self.bound.remove(&identity.name);
            }
            self.observe(&Fact::Died { who: identity, pid });
        }
        self.lanes.end(pid);
        for (connection, from, to) in self.network.gone(pid, &mut self.chance) {
            self.cut(connection, from, to, process.host);
        }
        if let Some(watcher) = process.watcher {
            let event = match identity {
                Some(identity) => ProcessEvent::Exited { name: identity.name, incarnation: identity.incarnation },
                None => ProcessEvent::BlankLost { pid: pid.0 },
            };
            self.report(watcher, event);
        }
        let orphans =
            self.processes.iter().filter(|(_, other)| matches!(other.body, Body::Blank) && other.watcher == Some(pid));
        let orphans: Vec<Pid> = orphans.map(|(&orphan, _)| orphan).collect();
        orphans.into_iter().for_each(|orphan| drop(self.processes.remove(&orphan)));
    }

    /// The power fails, and comes back: nothing lives, and the disk has what it was made to keep.
    pub fn lose_power(&mut self) {
        self.tell(|| "the power fails".to_owned());
        let users = self.users_here();
        let all: Vec<Pid> = self.processes.keys().copied().collect();
        for pid in all {
            self.kill(pid);
        }
        self.disk.lose_power(&mut self.chance);
        self.agenda.boot();
        self.observe(&Fact::PowerLost);
        let hosts: Vec<HostId> = self.hosts.keys().copied().collect();
        for host in hosts {
            self.hosts.entry(host).and_modify(|host| host.boots += 1);
            self.later(100_000, Next::Revive { host });
        }
        for number in users {
            self.later(400_000, Next::UserComes { number });
        }
    }
}
