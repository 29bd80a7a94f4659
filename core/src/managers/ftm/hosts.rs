//! Hosts: what their daemons say, what they are told, and how the registry is made to agree with them.

use crate::armor::{Effect, Moment};
use crate::managers::ftm::placement::{self, Placing};
use crate::managers::ftm::registry::{Decided, Entry, Sighting};
use crate::managers::ftm::ring::Watching;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep, HostRecord, Standing};
use crate::message::{DaemonMessage, Occurrence, Story, SurrogateMessage, Unit};
use crate::names::{ArmorName, HostId, Incarnation, JobId, Millis};

/// What the FTM knows of a host.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// What its daemons observed with a number below this is on record. Durable.
    pub observed: u64,
    /// Whether it gets ARMORs. Durable.
    pub standing: Standing,
    /// What its Heartbeat is to do.
    pub watching: Watching,
    /// When its daemon joined last.
    pub joined: Option<Millis>,
    /// Its daemon, once it has joined this FTM.
    pub daemon: Option<Unit>,
    /// The FTM itself, on the host where it lives.
    pub ftm: Option<Unit>,
    /// Jobs whose files are to go when the daemon can be reached.
    pub clean: Vec<JobId>,
}

impl Ftm {
    /// A daemon says who it is and what is in its charge: the registry and the host are made to agree.
    pub(super) fn joined(&mut self, now: Moment, host: HostId, units: &[Unit], step: &mut FtmStep) {
        let known = self.hosts.entry(host).or_default();
        known.joined = Some(now.boot);
        let observed = known.observed;
        if known.daemon.is_none() {
            let name = ArmorName::Daemon(host);
            let unknown = Unit { name, incarnation: Incarnation::default(), pid: 0, restored_after_ms: None };
            known.daemon = Some(unknown);
            self.save(step, FtmRecord::Host(HostRecord { host, observed }));
        }
        self.welcome_back(now, host, step);
        for name in self.registry.missing(host, units) {
            self.reinstall(now, host, name, step);
        }
        for unit in units {
            self.sighted(now, host, unit, step);
        }
        self.tell_host(host, step);
        self.place_requested(step);
        self.watch_hosts(step);
        self.mirror_all(step);
    }

    /// Whether there is to be an ARMOR of this name: one that serves a job, until that has ended.
    pub(super) fn is_needed(&self, name: ArmorName) -> bool {
        name.job().is_none_or(|job| self.jobs.running(job).is_some())
    }

    /// A host has forgotten an ARMOR that ran there: it gets new lives, so that the old ones count no more.
    fn reinstall(&mut self, now: Moment, host: HostId, name: ArmorName, step: &mut FtmStep) {
        let needed = self.is_needed(name);
        let Some(entry) = self.registry.get(name).filter(|_| needed).map(|entry| entry.installing(host)) else {
            return;
        };
        let entry = entry.mirrored(self.mirror_for(name, host), false);
        self.registry.unsee(name);
        self.save(step, FtmRecord::Armor(entry));
        let why = format!("{host} does not know it any more; it is installed there again");
        self.note(now, name.job(), Story::ArmorLost { name, why }, step);
    }

    /// A daemon says that this unit is in its charge.
    pub(super) fn sighted(&mut self, now: Moment, host: HostId, unit: &Unit, step: &mut FtmStep) {
        match unit.name {
            ArmorName::Daemon(_) => self.hosts.entry(host).or_default().daemon = Some(unit.clone()),
            ArmorName::Ftm => self.hosts.entry(host).or_default().ftm = Some(unit.clone()),
            ArmorName::Surrogate(_)
            | ArmorName::Voter(_)
            | ArmorName::Fanout(_)
            | ArmorName::Execution(..)
            | ArmorName::Heartbeat(_) => match self.registry.sight(host, unit) {
                Sighting::Known => {}
                Sighting::Began => self.began(unit.name, step),
                Sighting::Stray => {
                    if self.registry.get(unit.name).is_none() {
                        let why = format!("nobody needs it on {host}; it is retired there");
                        self.note(now, unit.name.job(), Story::ArmorLost { name: unit.name, why }, step);
                    }
                    self.retire_at(host, unit.name, step);
                }
            },
            ArmorName::User(_) => {}
        }
    }

    /// An ARMOR runs: its SM is given its job, or told that it has its place. If there is no link yet,
    /// this one makes it, and all is said again when it is up.
    fn began(&mut self, name: ArmorName, step: &mut FtmStep) {
        match (name, name.job()) {
            (ArmorName::Heartbeat(host), _) => self.tell_heartbeat(host, step),
            (ArmorName::Surrogate(job), _) => self.tell_surrogate(job, step),
            (_, Some(job)) => self.grant(job, step),
            (_, None) => {}
        }
    }

    /// What the daemon of this host must know; said whenever it can be reached.
    pub(super) fn tell_host(&mut self, host: HostId, step: &mut FtmStep) {
        let here: Vec<Entry> =
            self.registry.entries().filter(|entry| entry.decided.host() == Some(host)).cloned().collect();
        for entry in here {
            let needed = self.is_needed(entry.name);
            match entry.decided {
                Decided::Installing { .. } if needed && !self.registry.runs(entry.name) => self.install(&entry, step),
                Decided::Retiring { .. } => self.retire_at(host, entry.name, step),
                Decided::Requested | Decided::Installing { .. } | Decided::Lost { .. } => {}
            }
        }
        let daemon = ArmorName::Daemon(host);
        if self.linked.contains(&daemon) {
            let jobs = self.hosts.get_mut(&host).map(|host| std::mem::take(&mut host.clean)).unwrap_or_default();
            for job in jobs {
                step.send(daemon, DaemonMessage::Clean { term: self.term, job });
            }
        }
    }

    pub(super) fn install(&self, entry: &Entry, step: &mut FtmStep) {
        if let Decided::Installing { host, incarnation, granted, mirror, from_copy } = entry.decided {
            let (term, name) = (self.term, entry.name);
            let install = DaemonMessage::Install { term, name, incarnation, granted, mirror, from_copy };
            step.send(ArmorName::Daemon(host), install);
        }
    }

    pub(super) fn retire_at(&self, host: HostId, name: ArmorName, step: &mut FtmStep) {
        step.send(ArmorName::Daemon(host), DaemonMessage::Retire { term: self.term, name });
    }

    /// Deletes what a job kept on every host.
    pub(super) fn clean(&mut self, job: JobId, step: &mut FtmStep) {
        for (&host, known) in &mut self.hosts {
            let daemon = ArmorName::Daemon(host);
            if !self.linked.contains(&daemon) {
                known.clean.push(job);
            }
            // Makes the link if there is none.
            step.send(daemon, DaemonMessage::Clean { term: self.term, job });
        }
    }

    /// Hosts that have joined this FTM and serve, but for these.
    pub(super) fn hosts_but(&self, tried: &[HostId]) -> Vec<HostId> {
        let serves = |host: &Host| host.daemon.is_some() && host.standing == Standing::Serving;
        let joined = self.hosts.iter().filter(|(_, host)| serves(host));
        joined.map(|(&host, _)| host).filter(|host| !tried.contains(host)).collect()
    }

    /// Places for these ARMORs of a job, as far as there are hosts; the others stay requested.
    pub(super) fn find_places(&mut self, job: JobId, names: &[ArmorName], step: &mut FtmStep) {
        let plan = placement::place(self.registry.loads(self.hosts_but(&[]), job), names);
        for &name in names {
            let requested = Entry::requested(name);
            let host = plan.iter().find(|placing| placing.name == name).map(|placing| placing.host);
            let placed = |host| requested.installing(host).mirrored(self.mirror_for(name, host), false);
            let entry = host.map_or_else(|| requested.clone(), placed);
            self.save(step, FtmRecord::Armor(entry.clone()));
            self.install(&entry, step);
        }
    }

    /// Places for what was requested when there was no host.
    fn place_requested(&mut self, step: &mut FtmStep) {
        let mut requested: Vec<(JobId, Vec<ArmorName>)> = Vec::new();
        for entry in self.registry.entries().filter(|entry| entry.decided == Decided::Requested) {
            let Some(job) = entry.name.job() else { continue };
            match requested.iter_mut().find(|(known, _)| *known == job) {
                Some((_, names)) => names.push(entry.name),
                None => requested.push((job, vec![entry.name])),
            }
        }
        for (job, names) in requested {
            self.find_places(job, &names, step);
        }
    }

    /// A retired ARMOR is gone from this host.
    pub(super) fn gone(&mut self, host: HostId, name: ArmorName, step: &mut FtmStep) {
        let Some(Decided::Retiring { host: expected }) = self.registry.get(name).map(|entry| &entry.decided) else {
            return;
        };
        if *expected == host {
            self.retired(name, step);
        }
    }

    /// A retired ARMOR is gone for good.
    pub(super) fn retired(&mut self, name: ArmorName, step: &mut FtmStep) {
        self.save(step, FtmRecord::ArmorGone(name));
        if let ArmorName::Surrogate(_) = name {
            self.linked.remove(&name);
            step.then(Effect::Forget { peer: name });
        }
        if let Some(job) = name.job() {
            self.retire_all(job, step);
            self.forget_if_gone(job, step);
        }
        // Copies of what it saved may be on any host that was its mirror.
        for daemon in self.copiers(name) {
            step.send(daemon, DaemonMessage::Retire { term: self.term, name });
        }
    }

    /// A host cannot keep an ARMOR running: another one gets it, or it is given up.
    pub(super) fn lost(
        &mut self,
        now: Moment,
        host: HostId,
        name: ArmorName,
        incarnation: Incarnation,
        why: &str,
        step: &mut FtmStep,
    ) {
        let Some(entry) = self.registry.get(name).cloned() else { return self.retire_at(host, name, step) };
        match entry.decided {
            Decided::Installing { host: expected, .. } if expected != host => self.retire_at(host, name, step),
            Decided::Installing { incarnation: lowest, .. } if incarnation < lowest => self.install(&entry, step),
            Decided::Installing { .. } => self.move_or_give_up(now, host, &entry, why, step),
            Decided::Lost { host: known, .. } if known == host => {}
            Decided::Requested | Decided::Retiring { .. } | Decided::Lost { .. } => self.retire_at(host, name, step),
        }
    }

    fn move_or_give_up(&mut self, now: Moment, host: HostId, entry: &Entry, why: &str, step: &mut FtmStep) {
        let name = entry.name;
        let Some(job) = name.job() else { return self.reinstall(now, host, name, step) };
        if self.jobs.running(job).is_none() {
            // It has done its part.
            self.save(step, FtmRecord::Armor(entry.retiring(host)));
            return self.retire_at(host, name, step);
        }
        let tried: Vec<HostId> = entry.tried.iter().copied().chain([host]).collect();
        let plan = placement::place(self.registry.loads(self.successors(entry, &tried), job), &[name]);
        let Some(Placing { host: to, .. }) = plan.first().copied() else {
            return self.give_up(now, host, entry, why, step);
        };
        let from_copy = self.registry.needs_its_memory(name);
        let moved = entry.moved(host, to).mirrored(self.mirror_for(name, to), from_copy);
        self.save(step, FtmRecord::Armor(moved.clone()));
        let why = format!("{why}; it is installed on {to} instead");
        self.note(now, Some(job), Story::ArmorLost { name, why }, step);
        self.retire_at(host, name, step);
        self.install(&moved, step);
    }

    pub(super) fn give_up(&mut self, now: Moment, host: HostId, entry: &Entry, why: &str, step: &mut FtmStep) {
        let (name, why) = (entry.name, why.to_owned());
        self.save(step, FtmRecord::Armor(entry.lost(host, why.clone())));
        self.note(now, name.job(), Story::ArmorLost { name, why: why.clone() }, step);
        match name {
            ArmorName::Surrogate(job) => self.end_without_surrogate(now, job, &why, step),
            _ => {
                if let Some(job) = name.job() {
                    step.send(ArmorName::Surrogate(job), SurrogateMessage::Unavailable { name, why });
                    self.grant(job, step);
                }
            }
        }
    }

    /// A daemon tells what happened to an ARMOR.
    pub(super) fn observed(
        &mut self,
        host: HostId,
        name: ArmorName,
        occurrence: Occurrence,
        number: u64,
        step: &mut FtmStep,
    ) {
        let expected = self.hosts.entry(host).or_default().observed;
        let first_of_a_later_life = number > expected && number.trailing_zeros() >= 32;
        if number == expected || first_of_a_later_life {
            self.save(step, FtmRecord::Host(HostRecord { host, observed: number + 1 }));
            let job = name.job().filter(|&job| self.jobs.get(job).is_some());
            self.record_event(job, None, occurrence, step);
        }
        let below = self.hosts.get(&host).map_or(0, |host| host.observed);
        step.send(ArmorName::Daemon(host), DaemonMessage::ObservedKept { below });
    }
}
