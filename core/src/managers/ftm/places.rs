//! Places: which jobs start, where their ARMORs go, and what waits for what.
//!
//! A job that may not start yet is one without an entry for its SM in the registry; nothing else is kept
//! of it. Who starts next is decided anew whenever there may be room: a job came or ended, a host joined or
//! was looked over.

use std::collections::BTreeMap;

use crate::armor::Moment;
use crate::job::{Job, Needs};
use crate::managers::ftm::admission::{self, Room, Waiting};
use crate::managers::ftm::jobs::JobRecord;
use crate::managers::ftm::links::Distance;
use crate::managers::ftm::placement::{self, Conditions, Plan, Site};
use crate::managers::ftm::registry::{Decided, Entry};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{Story, SurrogateMessage};
use crate::names::{ArmorName, HostId, JobId, Kind, LaneId};
use crate::strategy::Order;

impl Ftm {
    /// Lets the jobs start for which there is room.
    pub(super) fn start_jobs(&mut self, step: &mut FtmStep) {
        let (admitted, _) = self.admission();
        for job in admitted {
            self.fence(job, step);
            for name in self.first_mirror(job).into_iter().chain([ArmorName::Surrogate(job)]) {
                let plan = self.plan(job, &[name], &[]);
                self.keep_places(&[name], &plan, step);
            }
        }
    }

    /// Who may start, and who is the first that may not.
    fn admission(&self) -> (Vec<JobId>, Option<JobId>) {
        let cores = self.cores_up().map(|(_, cores)| u32::from(cores)).sum();
        let held = self.holders().map(|(mutex, _)| mutex).collect();
        let mut room = Room { cores, held, ..Room::default() };
        let mut waiting = Vec::new();
        for record in self.jobs.iter().filter(|record| record.end.is_none()) {
            let (job, needs) = (record.id, &record.job.needs);
            if self.registry.get(ArmorName::Surrogate(job)).is_some() {
                *room.taken.entry(needs.user.as_str()).or_default() += lanes_at_once(&record.job);
            } else if self.wants_hosts(record).is_none() {
                let (user, priority) = (needs.user.as_str(), needs.priority);
                let (lanes, mutex) = (lanes_at_once(&record.job), needs.mutex.as_deref());
                waiting.push(Waiting { job, user, priority, lanes, mutex });
            }
        }
        admission::admit(waiting, room)
    }

    /// The hosts that take lanes, and their cores.
    pub(super) fn cores_up(&self) -> impl Iterator<Item = (HostId, u16)> {
        let up = self.hosts.iter().filter(|(_, known)| known.takes_lanes());
        up.map(|(&host, known)| (host, known.profile.as_ref().map_or(self.cores, |record| record.profile.cores)))
    }

    /// The hosts that a job waits for before it can start, if its wishes make it wait.
    fn wants_hosts(&self, record: &JobRecord) -> Option<String> {
        let needs = &record.job.needs;
        if needs.wishes.is_none() && needs.memory.is_none() {
            return None;
        }
        let names = lanes_of(record.id, &record.job);
        shortage(&self.plan(record.id, &names, &[]), &names)
    }

    /// Why this job can never start, if so: on no host that has ever joined.
    pub(super) fn impossible(&self, id: JobId, job: &Job) -> Option<String> {
        let (names, none, nowhere, unknown) = (lanes_of(id, job), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let conditions = conditions(job.origin.host, &job.needs, &none, &nowhere, &unknown);
        let plan = placement::feasible(&self.sites(id, &[]), conditions, &names).err()?;
        let (placed, all) = (plan.places.len(), names.len());
        Some(format!(
            "what {:?} wishes of its hosts cannot be had: {placed} of {all} lanes would have a place; {}. Change \
             [placement], memory or the number of replicas, or let a host join that does",
            job.name,
            plan.why()
        ))
    }

    /// What this job waits for, if it waits: a part of a sentence that begins with "for".
    pub(super) fn waits_for(&self, record: &JobRecord) -> Option<String> {
        if record.end.is_some() {
            return None;
        }
        if self.registry.get(ArmorName::Surrogate(record.id)).is_none() {
            let room = || match self.admission().1 {
                Some(first) if first != record.id => format!("for room, behind {first}"),
                _ => format!("for room for {} lanes", lanes_at_once(&record.job)),
            };
            return Some(self.wants_hosts(record).or_else(|| self.waits_for_mutex(record)).unwrap_or_else(room));
        }
        let requested = self.registry.of_job(record.id).filter(|entry| entry.decided == Decided::Requested);
        let names: Vec<ArmorName> = requested.map(|entry| entry.name).collect();
        if names.is_empty() {
            return self.waits_for_turn(record);
        }
        let plan = self.plan(record.id, &names, &[]);
        shortage(&plan, &names).or_else(|| Some(format!("for a host: {}", plan.why())))
    }

    /// Places for these ARMORs of a job; those that find none stay requested, or are refused if they
    /// come on top of what the job began with.
    pub(super) fn find_places(&mut self, now: Moment, job: JobId, names: &[ArmorName], step: &mut FtmStep) {
        let plan = self.plan(job, names, &[]);
        let unplaced = |name: &&ArmorName| !plan.places.iter().any(|placing| placing.name == **name);
        let surplus: Vec<ArmorName> =
            names.iter().filter(unplaced).copied().filter(|&name| self.is_extra(name)).collect();
        for &name in &surplus {
            let why = format!("no host is left for it: {}", plan.why());
            step.send(ArmorName::Surrogate(job), SurrogateMessage::Unavailable { name, why });
        }
        let kept: Vec<ArmorName> = names.iter().copied().filter(|name| !surplus.contains(name)).collect();
        self.keep_places(&kept, &plan, step);
        self.note_spread(now, job, &plan, step);
    }

    /// Whether this is a lane that its job did not begin with.
    fn is_extra(&self, name: ArmorName) -> bool {
        let ArmorName::Execution(job, lane) = name else { return false };
        self.jobs.get(job).is_some_and(|record| lane.0 >= record.job.strategy.redundancy.replicas)
    }

    fn keep_places(&mut self, names: &[ArmorName], plan: &Plan, step: &mut FtmStep) {
        for &name in names {
            let requested = Entry::requested(name);
            let host = plan.places.iter().find(|placing| placing.name == name).map(|placing| placing.host);
            let entry =
                host.map_or_else(|| requested.clone(), |host| requested.installing_after(host, self.past.lives));
            if self.registry.get(name) != Some(&entry) {
                self.save(step, FtmRecord::Armor(entry.clone()));
                self.install(&entry, step);
            }
        }
    }

    /// Where several hosts are, people are told which lanes run on which.
    fn note_spread(&mut self, now: Moment, job: JobId, plan: &Plan, step: &mut FtmStep) {
        let lanes = plan.places.iter().filter_map(|placing| match placing.name {
            ArmorName::Execution(_, lane) => Some((lane, placing.host)),
            _ => None,
        });
        let lanes: Vec<(LaneId, HostId)> = lanes.collect();
        if self.hosts.len() > 1 && !lanes.is_empty() {
            self.note(now, Some(job), Story::Spread { lanes }, step);
        }
    }

    /// Places for what was requested when there was no host that would do.
    pub(super) fn place_requested(&mut self, now: Moment, step: &mut FtmStep) {
        self.recover(now, step);
        let mut requested: BTreeMap<JobId, Vec<ArmorName>> = BTreeMap::new();
        for entry in self.registry.entries().filter(|entry| entry.decided == Decided::Requested) {
            if let Some(job) = entry.name.job() {
                requested.entry(job).or_default().push(entry.name);
            }
        }
        for (job, names) in requested {
            self.find_places(now, job, &names, step);
        }
        self.start_jobs(step);
    }

    /// Where these ARMORs of a job would go, but for hosts that could not keep them.
    pub(super) fn plan(&self, job: JobId, names: &[ArmorName], tried: &[HostId]) -> Plan {
        let none = Needs::default();
        let record = self.jobs.get(job);
        let needs = record.map_or(&none, |record| &record.job.needs);
        let origin = record.map(|record| record.job.origin.host).unwrap_or_default();
        let lanes = self.registry.of_job(job).filter_map(|entry| match (entry.name, &entry.decided) {
            (ArmorName::Execution(_, lane), Decided::Installing { host, .. }) if !names.contains(&entry.name) => {
                Some((lane, *host))
            }
            _ => None,
        });
        let placed = lanes.collect();
        let apart = self.apart(job, names);
        let distances = record.map(|record| self.distances(&record.job)).unwrap_or_default();
        placement::place(&self.sites(job, tried), conditions(origin, needs, &placed, &apart, &distances), names)
    }

    /// All hosts that have ever joined, as far as places are concerned.
    fn sites(&self, job: JobId, tried: &[HostId]) -> Vec<Site<'_>> {
        let loads = self.registry.loads(self.hosts.keys().copied(), job);
        let sites = self.hosts.iter().map(|(&host, known)| Site {
            host,
            load: loads.get(&host).copied().unwrap_or_default(),
            closed: match (known.serves(), tried.contains(&host)) {
                (false, _) if known.drained => Some("is drained"),
                (false, _) => Some("is away"),
                (true, true) => Some("could not keep it running"),
                (true, false) => None,
            },
            no_lanes: (!known.conduct.is_trusted()).then_some("is quarantined"),
            profile: known.profile.as_ref().map(|record| &*record.profile),
        });
        sites.collect()
    }
}

fn conditions<'a>(
    origin: HostId,
    needs: &'a Needs,
    placed: &'a BTreeMap<LaneId, HostId>,
    apart: &'a BTreeMap<HostId, u32>,
    distances: &'a BTreeMap<HostId, Distance>,
) -> Conditions<'a> {
    Conditions { origin, wishes: &needs.wishes, memory: needs.memory, placed, apart, distances }
}

/// The lanes that a job begins with.
fn lanes_of(id: JobId, job: &Job) -> Vec<ArmorName> {
    (0..job.strategy.redundancy.replicas).map(|lane| ArmorName::Execution(id, LaneId(lane))).collect()
}

fn lanes_at_once(job: &Job) -> u32 {
    match job.strategy.redundancy.order {
        Order::Space => u32::from(job.strategy.redundancy.replicas),
        Order::Time => 1,
    }
}

/// Which lanes have no host, and what is wrong with the hosts.
fn shortage(plan: &Plan, names: &[ArmorName]) -> Option<String> {
    let lanes = names.iter().filter(|name| name.kind() == Kind::Execution).count();
    let missing = names.len() - plan.places.len();
    (missing > 0 && lanes > 0).then(|| format!("for {missing} of {lanes} lanes: {}", plan.why()))
}
