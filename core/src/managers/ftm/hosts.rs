//! Hosts: what their daemons say, what they are told, and how the registry is made to agree with them.

use crate::armor::{Effect, Moment};
use crate::job::{Job, OsBytes};
use crate::managers::ftm::registry::{Decided, Entry, Sighting};
use crate::managers::ftm::ring::Watching;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep, HostRecord, ProfileRecord, Standing};
use crate::message::{Bid, Conduct, DaemonMessage, Incident, Occurrence, Story, SurrogateMessage, Unit, UserMessage};
use crate::names::{ArmorName, HostId, Incarnation, JobId, Kind, Millis};

/// What the FTM knows of a host.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Durable, and so is the profile.
    pub record: HostRecord,
    pub profile: Option<ProfileRecord>,
    /// Whether it gets ARMORs. Durable.
    pub standing: Standing,
    /// Whether a person wants nothing more there. Durable.
    pub drained: bool,
    /// What is on record of it. Durable.
    pub conduct: Conduct,
    /// By what command it is started when it is lost. Durable.
    pub revive: Vec<OsBytes>,
    /// How often it was tried since it is lost.
    pub tries: u32,
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

impl Host {
    /// Whether ARMORs can be placed there.
    pub fn serves(&self) -> bool {
        self.daemon.is_some() && self.standing == Standing::Serving && !self.drained
    }

    /// Whether lanes can be placed there, too.
    pub fn takes_lanes(&self) -> bool {
        self.serves() && self.conduct.is_trusted()
    }

    /// Whether it was looked over in this life of its daemon.
    pub fn is_looked_over(&self) -> bool {
        self.profile.as_ref().is_some_and(|record| record.daemon == self.record.daemon)
    }
}

impl Ftm {
    /// A daemon says who it is and what is in its charge: the registry and the host are made to agree.
    pub(super) fn joined(&mut self, now: Moment, host: HostId, units: &[Unit], step: &mut FtmStep) {
        if self.is_forgotten(now, host, step) {
            return;
        }
        self.hosts.entry(host).or_default().joined = Some(now.boot);
        self.greet(now, host, units, step);
        self.welcome_back(now, host, step);
        for name in self.registry.missing(host, units) {
            self.reinstall(now, host, name, step);
        }
        for unit in units {
            self.sighted(now, host, unit, step);
        }
        self.tell_host(host, step);
        self.place_requested(now, step);
        self.watch_hosts(step);
        self.parole_soon(now, host, step);
    }

    /// A life of its daemon that joins for the first time is put on record, and its host will be looked over.
    fn greet(&mut self, now: Moment, host: HostId, units: &[Unit], step: &mut FtmStep) {
        let name = ArmorName::Daemon(host);
        let unknown = Unit { name, incarnation: Incarnation::default(), pid: 0, restored_after_ms: None };
        let unit = units.iter().find(|unit| unit.name == name).cloned().unwrap_or(unknown);
        let daemon = unit.incarnation;
        let known = self.hosts.entry(host).or_default();
        known.daemon.get_or_insert(unit);
        let record = known.record;
        if record.host != host || record.daemon != daemon {
            let since_unix_ms = now.unix_ms;
            self.save(step, FtmRecord::Host(HostRecord { host, daemon, since_unix_ms, ..record }));
            if record.host == host && !self.is_lost(host) {
                self.charge(now, host, Incident::DaemonDied, step);
            }
        }
        self.profile_soon(host, step);
    }

    /// A host has forgotten an ARMOR that ran there: it gets new lives, so that the old ones count no more.
    fn reinstall(&mut self, now: Moment, host: HostId, name: ArmorName, step: &mut FtmStep) {
        let Some(entry) = self.registry.get(name).filter(|_| self.needs(name)).map(|entry| entry.installing(host))
        else {
            return;
        };
        self.registry.unsee(name);
        self.save(step, FtmRecord::Armor(entry));
        let why = format!("{host} does not know it any more; it is installed there again");
        self.note(now, name.job(), Story::ArmorLost { name, why }, step);
        self.copy_again(name, step);
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
            | ArmorName::Mirror(_)
            | ArmorName::Heartbeat(_) => match self.registry.sight(host, unit) {
                Sighting::Known => {}
                Sighting::Began => {
                    self.began(unit.name, step);
                    self.recover(now, step);
                }
                Sighting::Stray => {
                    if self.registry.get(unit.name).is_none() {
                        let why = format!("nobody needs it on {host}; it is retired there");
                        self.note(now, unit.name.job(), Story::ArmorLost { name: unit.name, why }, step);
                    }
                    self.retire_at(host, unit.name, step);
                }
            },
            ArmorName::Init(_) => {
                if self.registry.sight(host, unit) == Sighting::Stray {
                    self.retire_at(host, unit.name, step);
                }
            }
            ArmorName::User(_) => {}
        }
    }

    /// Whether anybody has a use for this ARMOR: a job that runs, or the system itself.
    pub(super) fn needs(&self, name: ArmorName) -> bool {
        match name.job() {
            Some(job) => self.jobs.running(job).is_some(),
            None => matches!(name, ArmorName::Init(_) | ArmorName::Heartbeat(_)),
        }
    }

    /// An ARMOR runs: its SM is given its job, or told that it has its place. If there is no link yet,
    /// this one makes it, and all is said again when it is up.
    fn began(&mut self, name: ArmorName, step: &mut FtmStep) {
        self.tell_moved(name, step);
        match (name, name.job()) {
            (ArmorName::Heartbeat(host), _) => self.tell_heartbeat(host, step),
            (ArmorName::Surrogate(job), _) => self.tell_surrogate(job, step),
            (ArmorName::Mirror(job), _) => self.install_savers(job, step),
            (_, Some(job)) => self.grant(job, step),
            (_, None) => {}
        }
    }

    /// Those who follow a job speak to its SM and its Fanout, perhaps to a life on a frozen host that closes no link. They
    /// are told of a later one when it can be reached.
    fn tell_moved(&mut self, name: ArmorName, step: &mut FtmStep) {
        let (ArmorName::Surrogate(job) | ArmorName::Fanout(job)) = name else { return };
        if self.registry.get(name).is_some_and(Entry::is_later_life) {
            let following: Vec<ArmorName> = self.users.who_await(job).collect();
            following.into_iter().for_each(|user| self.reply(user, UserMessage::Moved { name }, step));
        }
    }

    /// What the daemon of this host must know; said whenever it can be reached.
    pub(super) fn tell_host(&mut self, host: HostId, step: &mut FtmStep) {
        let here: Vec<Entry> = self.registry.on_host(host).cloned().collect();
        for entry in here {
            match entry.decided {
                Decided::Installing { .. } if self.needs(entry.name) && !self.registry.runs(entry.name) => {
                    self.install(&entry, step)
                }
                Decided::Retiring { .. } => self.retire_at(host, entry.name, step),
                Decided::Requested | Decided::Installing { .. } | Decided::Lost { .. } => {}
            }
        }
        self.tell_book_to(host, step);
        let daemon = ArmorName::Daemon(host);
        if self.linked.contains(&daemon) {
            let jobs = self.hosts.get_mut(&host).map(|host| std::mem::take(&mut host.clean)).unwrap_or_default();
            for job in jobs {
                step.send(daemon, DaemonMessage::Clean { term: self.term, job });
            }
        }
    }

    pub(super) fn install(&self, entry: &Entry, step: &mut FtmStep) {
        if let Decided::Installing { host, incarnation, granted, .. } = entry.decided
            && !self.awaits_mirror(entry.name)
        {
            let bid = entry.name.job().and_then(|job| self.jobs.get(job)).map(|record| Box::new(bid_of(&record.job)));
            let (term, name) = (self.term, entry.name);
            let mirror = self.second_home(entry);
            let install = DaemonMessage::Install { term, name, incarnation, granted, bid, mirror };
            step.send(ArmorName::Daemon(host), install);
            self.locate(entry.name, host, step);
        }
    }

    /// SMs are spoken to by the FTM and by those who follow their jobs.
    fn locate(&self, name: ArmorName, host: HostId, step: &mut FtmStep) {
        let ArmorName::Surrogate(job) = name else { return };
        step.then(Effect::Locate { name, host });
        for user in self.users.who_await(job) {
            self.locate_for(user, name, step);
        }
    }

    /// Tells a follower on another machine where the SM of its job is reached.
    pub(super) fn locate_for(&self, user: ArmorName, name: ArmorName, step: &mut FtmStep) {
        let host = self.registry.get(name).and_then(|entry| entry.decided.host());
        let book = self.enrolment.book(self.host);
        if let Some((host, address)) = host.and_then(|host| Some((host, book.address(host)?.to_owned()))) {
            step.send(user, UserMessage::Located { name, host, address });
        }
    }

    /// A new life of the FTM looks up where its SMs are.
    pub(super) fn locate_surrogates(&self, step: &mut FtmStep) {
        for entry in self.registry.entries().filter(|entry| entry.name.kind() == Kind::Surrogate) {
            if let Some(host) = entry.decided.host() {
                self.locate(entry.name, host, step);
            }
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

    /// A retired ARMOR is gone from this host.
    pub(super) fn gone(&mut self, host: HostId, name: ArmorName, step: &mut FtmStep) {
        let Some(entry) = self.registry.get(name) else { return };
        match entry.decided {
            Decided::Retiring { host: expected } if expected == host => self.retired(name, step),
            // A life that was left behind there had to go first.
            Decided::Installing { host: expected, .. }
                if expected == host && !self.registry.runs(name) && self.needs(name) =>
            {
                self.install(entry, step);
            }
            Decided::Retiring { .. } | Decided::Installing { .. } | Decided::Requested | Decided::Lost { .. } => {}
        }
    }

    /// A retired ARMOR is gone for good.
    pub(super) fn retired(&mut self, name: ArmorName, step: &mut FtmStep) {
        self.save(step, FtmRecord::ArmorGone(name));
        // Those that are spoken to: a link that is wanted is tried for ever.
        if let ArmorName::Surrogate(_) | ArmorName::Init(_) | ArmorName::Heartbeat(_) = name {
            self.linked.remove(&name);
            step.then(Effect::Forget { peer: name });
        }
        if let Some(job) = name.job() {
            self.retire_all(job, step);
            self.release(job, step);
            self.forget_if_gone(job, step);
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
        self.recover(now, step);
    }

    fn move_or_give_up(&mut self, now: Moment, host: HostId, entry: &Entry, why: &str, step: &mut FtmStep) {
        let name = entry.name;
        if let ArmorName::Heartbeat(_) = name {
            return self.reinstall(now, host, name, step);
        }
        let Some(job) = name.job().filter(|_| self.needs(name)) else {
            // It has done its part, or is of no use anywhere else.
            self.save(step, FtmRecord::Armor(entry.retiring(host)));
            return self.retire_at(host, name, step);
        };
        let tried: Vec<HostId> = entry.tried.iter().copied().chain([host]).collect();
        let Some(to) = self.other_host(name, &tried) else { return self.give_up(now, host, entry, why, step) };
        let moved = self.carried(entry.moved(host, to));
        self.save(step, FtmRecord::Armor(moved.clone()));
        let why = self.why_there(name, to, &format!("{why}; it is installed on {to} instead"));
        self.note(now, Some(job), Story::ArmorLost { name, why }, step);
        self.retire_at(host, name, step);
        self.install(&moved, step);
        self.copy_again(name, step);
    }

    pub(super) fn give_up(&mut self, now: Moment, host: HostId, entry: &Entry, why: &str, step: &mut FtmStep) {
        let (name, why) = (entry.name, why.to_owned());
        self.save(step, FtmRecord::Armor(entry.lost(host, why.clone())));
        self.note(now, name.job(), Story::ArmorLost { name, why: why.clone() }, step);
        match name {
            ArmorName::Surrogate(job) => self.end_without_surrogate(now, job, &why, step),
            ArmorName::Mirror(job) => self.without_mirror(now, job, &why, step),
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
        let record = self.hosts.entry(host).or_default().record;
        let expected = record.observed;
        let first_of_a_later_life = number > expected && number.trailing_zeros() >= 32;
        if number == expected || first_of_a_later_life {
            self.save(step, FtmRecord::Host(HostRecord { host, observed: number + 1, ..record }));
            let job = name.job().filter(|&job| self.jobs.get(job).is_some());
            self.record_event(job, None, occurrence, step);
        }
        let below = self.hosts.get(&host).map_or(0, |host| host.record.observed);
        step.send(ArmorName::Daemon(host), DaemonMessage::ObservedKept { below });
    }
}

/// What a host is told of the job that an ARMOR is for.
fn bid_of(job: &Job) -> Bid {
    let outputs = job.stages.iter().flat_map(|stage| &stage.outputs);
    let paths = std::iter::once(&job.directory).chain(outputs).cloned().collect();
    Bid { user: job.needs.user.clone(), memory: job.needs.memory, net: job.net, paths }
}
