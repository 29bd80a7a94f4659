//! The Fault Tolerance Manager: accepts jobs, keeps the registry of ARMORs, finds places for them, and
//! remembers what happened. It runs no job itself: each has its surrogate manager (SM).
//!
//! Everything it decides is on disk before it is said. A new FTM reads it, takes the next term, and
//! waits to be spoken to: daemons say what runs, and whoever is owed something is told when the link
//! comes up. Running jobs do not notice that the FTM died, unless they need a place or end.
//!
//! | file | what it answers |
//! |---|---|
//! | [`jobs`] | which jobs there are |
//! | [`registry`] | which ARMORs there are to be, and where |
//! | [`placement`] | which host an ARMOR goes to |
//! | [`events`] | what happened |
//! | [`notices`] | what users' own commands must be told |
//! | `users` | what users' commands are owed |
//! | `lives` | how a job is accepted, cancelled, ended and forgotten |
//! | `hosts` | what daemons say, and what they are told |
//! | [`admission`] | which jobs may start |
//! | `exclusion` | which job holds which mutex |
//! | `places` | what starts where, and what waits for what |
//! | `reign` | what an FTM that several candidates may have does beyond that |
//! | [`ring`] | which host watches which |
//! | [`suspicion`] | what the silence of a host means |
//! | `copies` | where a copy is kept of what SMs and Voters save |
//! | [`links`] | what lies between hosts |
//! | `loss` | what becomes of a lost host and of its ARMORs |
//! | `conduct` | whether a host is trusted, by what is on record of it |
//! | `quarantine` | what becomes of one that is not |
//! | [`recovery`] | how many lanes of lost hosts go on elsewhere at a time |
//! | [`revival`] | how a lost host is tried |
//! | `moves` | what a person has moved to other hosts |
//! | `unresolved` | what a person must look at, and what they say of it |
//! | `profiles` | what each host is, and when it is looked over |
//! | `answers` | what people ask |
//! | [`enrolment`] | who is let into the cluster, and who is no more |
//! | [`restoration`] | what becomes of a store that is put back as it was |

pub mod admission;
mod answers;
mod conduct;
mod copies;
pub mod enrolment;
pub mod events;
pub mod exclusion;
mod hosts;
pub mod jobs;
pub mod links;
mod lives;
mod loss;
mod moves;
pub mod notices;
pub mod placement;
mod places;
mod profiles;
mod quarantine;
mod record;
pub mod recovery;
pub mod registry;
mod reign;
pub mod restoration;
pub mod revival;
pub mod ring;
pub mod suspicion;
#[cfg(test)]
mod tests;
mod unresolved;
mod users;

use std::collections::{BTreeMap, BTreeSet};

pub use record::{FtmRecord, HostRecord, ProfileRecord, Standing, StandingRecord};

use crate::armor::{Armor, Effect, Event, LinkEvent, Moment, Progress, Step, Timer};
use crate::message::{DaemonMessage, FtmMessage, InitMessage, Occurrence, Story, SurrogateMessage, UserMessage};
use crate::names::{ArmorName, HostId, Incarnation, JobId, Kind, Millis, Term};
use crate::shell::{Identity, Place};
use crate::world::ProcessEvent;
use enrolment::Enrolment;
use events::{EventRecord, Events};
use hosts::Host;
use jobs::Jobs;
use links::Links;
use notices::{NoticeRecord, Notices};
use registry::Registry;
use reign::Succession;
use restoration::Past;
use suspicion::Suspicion;
use unresolved::Word;
use users::Users;

/// The FTM.
#[derive(Debug)]
pub struct Ftm {
    host: HostId,
    /// Of its own host; taken for those of a host that is not looked over yet.
    cores: u16,
    incarnation: Incarnation,
    /// Whether its term was given to it by a store that several candidates share, and how often it said so.
    elected: bool,
    beat: u64,
    succession: Succession,
    term: Term,
    /// Drawn for this life, and the one that is kept.
    seed: [u8; 32],
    secret: [u8; 32],
    jobs: Jobs,
    registry: Registry,
    events: Events,
    notices: Notices,
    hosts: BTreeMap<HostId, Host>,
    enrolment: Enrolment,
    users: Users,
    /// ARMORs that can be spoken to.
    linked: BTreeSet<ArmorName>,
    /// Who waits for a job to be forgotten.
    forgetting: BTreeMap<JobId, BTreeSet<ArmorName>>,
    /// Hosts that somebody does not hear, and links that are known to be cut: from whom, to whom.
    suspicions: BTreeMap<HostId, Suspicion>,
    cut_links: BTreeSet<(HostId, HostId)>,
    links: Links,
    /// What the store forgot, if it was put back as it was.
    past: Past,
    /// When this reign began, and when jobs ended in it.
    began: Moment,
    ended: BTreeMap<JobId, Millis>,
}

type FtmStep = Step<FtmRecord>;

impl Ftm {
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        Ftm {
            host: identity.host,
            cores: identity.cores,
            incarnation: identity.incarnation,
            elected: identity.elected,
            succession: Succession::default(),
            beat: 0,
            term: Term::default(),
            seed: identity.seed,
            secret: [0; 32],
            jobs: Jobs::default(),
            registry: Registry::default(),
            events: Events::default(),
            notices: Notices::default(),
            hosts: BTreeMap::new(),
            enrolment: Enrolment::default(),
            users: Users::default(),
            linked: BTreeSet::new(),
            forgetting: BTreeMap::new(),
            suspicions: BTreeMap::new(),
            cut_links: BTreeSet::new(),
            links: Links::default(),
            past: Past::default(),
            began: Moment::default(),
            ended: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    fn save(&mut self, step: &mut FtmStep, record: FtmRecord) {
        step.record_on_disk(self, record);
    }

    fn message(&mut self, now: Moment, from: ArmorName, message: FtmMessage, step: &mut FtmStep) {
        if from.kind() == Kind::User {
            self.confirm(step);
            if self.users.heard(from, now.boot) {
                step.timer(Timer::Flush, users::REACHED_WITHIN);
            }
        }
        if let ArmorName::Daemon(host) = from {
            self.heard_of(host);
        }
        match message {
            FtmMessage::Submit { request, job } => self.submit(now, from, request, job, step),
            FtmMessage::Ask(query) => self.answer(from, query, step),
            FtmMessage::Await(job) => self.wait(from, job, step),
            FtmMessage::Cancel { job, code } => self.cancel(now, from, job, code, step),
            FtmMessage::Forget(job) => self.forget_for(from, job, step),
            FtmMessage::Resolve { job, happened, who, note, force } => {
                self.resolve(now, from, job, Word { happened, who, note, force }, step);
            }
            FtmMessage::Joined { host, units } => self.joined(now, host, &units, step),
            FtmMessage::Running(unit) => self.daemon_says(from, |ftm, host| ftm.sighted(now, host, &unit, step)),
            FtmMessage::Gone { name } => self.daemon_says(from, |ftm, host| ftm.gone(host, name, step)),
            FtmMessage::Lost { name, incarnation, why } => {
                self.daemon_says(from, |ftm, host| ftm.lost(now, host, name, incarnation, &why, step));
            }
            FtmMessage::Observed { name, occurrence, number } => {
                self.daemon_says(from, |ftm, host| ftm.observed(host, name, occurrence, number, step));
            }
            FtmMessage::WantPlaces { job, names } => self.want_places(now, from, job, names, step),
            FtmMessage::Happened { job, first, occurrences } => {
                self.happened(now, from, job, (first, occurrences), step);
            }
            FtmMessage::Ended { job, outcome, length } if from == ArmorName::Surrogate(job) => {
                self.end(now, job, outcome, length, step);
                step.send(from, SurrogateMessage::EndKept);
            }
            FtmMessage::Unmirrored { name, incarnation, why } => self.unmirrored(now, name, incarnation, why, step),
            FtmMessage::Hears { host, hearing } => self.hears(now, from, host, hearing, step),
            FtmMessage::Links(measured) => self.links.heard(from, measured),
            FtmMessage::MakeToken { digest, role, good_for } => {
                self.make_token(now, from, digest, role, good_for, step);
            }
            FtmMessage::Enrol(application) => self.enrol(now, from, &application, step),
            FtmMessage::Renew { member, key } => self.renew(from, &member, key, step),
            FtmMessage::Revoke { name } => self.revoke(now, from, &name, step),
            FtmMessage::Drain { host, drained } => self.drain(now, from, host, drained, step),
            FtmMessage::ReviveBy { host, command } => self.revive_by(from, host, command, step),
            FtmMessage::StepDown { term } => self.step_down(from, term, step),
            FtmMessage::BackUp { number, keys } => self.back_up(from, number, keys, step),
            FtmMessage::Candidate { host } => drop(self.succession.candidates.insert(host)),
            FtmMessage::Pardon { host } => self.pardon(now, from, host, step),
            FtmMessage::Move { name, to } => self.move_armor(now, from, name, to, step),
            FtmMessage::Introduced(principal) => self.introduced(from, principal, step),
            FtmMessage::Reachable { name, address, key } => {
                self.daemon_says(from, |ftm, host| ftm.reachable(host, name, address, key, step));
            }
            FtmMessage::AskTime { number, .. } => {
                step.send(from, InitMessage::Time { number, unix_ms: now.unix_ms });
            }
            FtmMessage::Profiled { host, profile } if from == ArmorName::Init(host) => {
                self.profiled(now, host, profile, step);
            }
            FtmMessage::Tested { host, number, answer } if from == ArmorName::Init(host) => {
                self.tested(now, host, number, answer, step);
            }
            // Only its SM ends a job, and nobody but its Init has looked at a host.
            FtmMessage::Ended { .. } | FtmMessage::Profiled { .. } | FtmMessage::Tested { .. } => {}
        }
        self.deliver(now, step);
    }

    /// What only a daemon can say.
    fn daemon_says(&mut self, from: ArmorName, act: impl FnOnce(&mut Ftm, HostId)) {
        if let ArmorName::Daemon(host) = from {
            act(self, host);
        }
    }

    /// Puts an event on record, and a notice if the job's user wants to be told of such.
    fn record_event(&mut self, job: Option<JobId>, told: Option<u64>, occurrence: Occurrence, step: &mut FtmStep) {
        let text = notices::notable(&occurrence.story);
        let event = EventRecord { number: self.events.next(), job, told, occurrence };
        self.save(step, FtmRecord::Event(event));
        let Some(record) = job.and_then(|job| self.jobs.get(job)).filter(|record| !record.job.notify.is_empty()) else {
            return;
        };
        if let Some(text) = text {
            let text = format!("{} ({}): {text}", record.id, record.job.name);
            let (job, command) = (record.id, record.job.notify.clone());
            let notice = NoticeRecord { number: self.notices.next_number(), job, command, text, failures: 0 };
            self.save(step, FtmRecord::Notice(notice));
        }
    }

    /// Records something that the FTM itself noticed.
    fn note(&mut self, now: Moment, job: Option<JobId>, story: Story, step: &mut FtmStep) {
        let occurrence = Occurrence { unix_ms: now.unix_ms, boot: now.boot, noticed_by: ArmorName::Ftm, story };
        self.record_event(job, None, occurrence, step);
    }

    /// An SM told what happened to its job.
    fn happened(&mut self, now: Moment, from: ArmorName, job: JobId, news: (u64, Vec<Occurrence>), step: &mut FtmStep) {
        let (first, occurrences) = news;
        if self.jobs.get(job).is_none() {
            // The job is forgotten: nobody will ask.
            return step.send(from, SurrogateMessage::Told { below: first + occurrences.len() as u64 });
        }
        if self.past.forgot(job) {
            self.events.reach_told(job, first);
        }
        if let Some(skip) = self.events.told().skip(job, first) {
            for (told, occurrence) in (first..).zip(occurrences).skip(skip) {
                let repeated = matches!(occurrence.story, Story::Ended(_)) && self.events.tells_end_of(job);
                if !repeated {
                    self.charge_for(now, job, &occurrence, step);
                    self.record_event(Some(job), Some(told), occurrence, step);
                }
                self.events.heard(job, told);
            }
            self.drop_old_events(step);
        }
        step.send(from, SurrogateMessage::Told { below: self.events.told().next_from(job) });
    }

    /// Says something to a user's command, now or when it can be reached.
    fn reply(&mut self, user: ArmorName, message: UserMessage, step: &mut FtmStep) {
        self.users.owe(user, &message);
        step.send(user, message);
    }

    fn link_up(&mut self, peer: ArmorName, step: &mut FtmStep) {
        self.linked.insert(peer);
        match peer {
            ArmorName::Daemon(host) => {
                self.tell_host(host, step);
                // What it was told before, of what to retire, may be lost.
                step.send(peer, DaemonMessage::Report { term: self.term });
            }
            ArmorName::Surrogate(job) => self.tell_surrogate(job, step),
            ArmorName::Heartbeat(host) => self.tell_heartbeat(host, step),
            ArmorName::User(_) => {
                let (owed, missed) = self.users.up(peer);
                owed.into_iter().for_each(|message| step.send(peer, message));
                missed.into_iter().for_each(|job| self.wait(peer, job, step));
            }
            // They speak first.
            ArmorName::Ftm
            | ArmorName::Voter(_)
            | ArmorName::Fanout(_)
            | ArmorName::Execution(..)
            | ArmorName::Mirror(_)
            | ArmorName::Init(_) => {}
        }
    }

    fn link_down(&mut self, now: Moment, peer: ArmorName, step: &mut FtmStep) {
        self.linked.remove(&peer);
        if self.users.down(peer, now.boot) {
            step.timer(Timer::Flush, users::REACHED_WITHIN);
        } else if peer.kind() == Kind::User {
            self.forget_user(peer, step);
        }
    }

    fn forget_user(&mut self, user: ArmorName, step: &mut FtmStep) {
        self.users.gone(user);
        for waiting in self.forgetting.values_mut() {
            waiting.remove(&user);
        }
        step.then(Effect::Forget { peer: user });
    }

    /// Commands that were gone before they could be answered are forgotten.
    fn forget_unreached(&mut self, now: Moment, step: &mut FtmStep) {
        let (late, others) = self.users.unreached(now.boot);
        late.into_iter().for_each(|user| self.forget_user(user, step));
        if others {
            step.timer(Timer::Flush, users::REACHED_WITHIN);
        }
    }
}

impl Armor for Ftm {
    type Message = FtmMessage;
    type Record = FtmRecord;

    fn apply(&mut self, record: &FtmRecord) {
        match record {
            FtmRecord::Reign { term, last_job, next_event, last_token } => {
                self.term = *term;
                self.jobs.reach(*last_job, *last_token);
                self.events.reach(*next_event);
            }
            FtmRecord::Job(record) => self.jobs.put(record),
            FtmRecord::JobGone(job) => {
                self.jobs.remove(*job);
                self.ended.remove(job);
                self.events.forget(*job);
            }
            FtmRecord::Armor(entry) => self.registry.put(entry),
            FtmRecord::ArmorGone(name) => self.registry.remove(*name),
            FtmRecord::Event(record) => self.events.put(record),
            FtmRecord::EventGone(number) => self.events.remove(*number),
            FtmRecord::Notice(record) => self.notices.put(record),
            FtmRecord::NoticeGone(number) => self.notices.remove(*number),
            FtmRecord::Beat(beat) => self.beat = *beat,
            FtmRecord::Secret(secret) => self.secret = *secret,
            FtmRecord::Past(past) => self.past = *past,
            FtmRecord::Standing(record) => {
                self.hosts.entry(record.host).or_default().standing = record.standing.clone();
            }
            FtmRecord::Drained { host, drained } => self.hosts.entry(*host).or_default().drained = *drained,
            FtmRecord::Revive { host, command } => self.hosts.entry(*host).or_default().revive.clone_from(command),
            FtmRecord::Conduct { host, conduct } => self.hosts.entry(*host).or_default().conduct = conduct.clone(),
            FtmRecord::Token(record) => self.enrolment.put_token(record),
            FtmRecord::TokenGone(digest) => self.enrolment.remove_token(*digest),
            FtmRecord::Member(record) => self.enrolment.put_member(record),
            FtmRecord::Host(record) => self.hosts.entry(record.host).or_default().record = *record,
            FtmRecord::Profile(record) => self.hosts.entry(record.host).or_default().profile = Some(record.clone()),
        }
    }

    fn handle(&mut self, now: Moment, event: Event<FtmMessage>) -> FtmStep {
        let mut step = Step::none();
        match event {
            Event::Message { from, message } => self.message(now, from, message, &mut step),
            Event::Timer(Timer::Remind) => self.remind(now, &mut step),
            Event::Timer(Timer::Profile) => self.profile_hosts(&mut step),
            Event::Timer(Timer::Reign) => self.say_that_it_reigns(&mut step),
            Event::Timer(Timer::Flush) => self.forget_unreached(now, &mut step),
            Event::Timer(Timer::Revive(host)) => self.revive(now, host, &mut step),
            Event::Timer(Timer::Parole(host)) => self.parole(now, host, &mut step),
            Event::Timer(Timer::Judge(host)) => self.judge(now, host, &mut step),
            Event::Link(LinkEvent::Up { peer, .. }) => self.link_up(peer, &mut step),
            Event::Link(LinkEvent::Down { peer }) => self.link_down(now, peer, &mut step),
            Event::Process(ProcessEvent::Notified { notice, failure }) => {
                self.notified(now, notice, failure, &mut step);
            }
            Event::Process(ProcessEvent::Summoned { host, failure }) => self.summoned(now, host, failure, &mut step),
            Event::Process(ProcessEvent::Signed { to, member, outcome }) => self.signed(to, member, outcome, &mut step),
            Event::Process(ProcessEvent::BackedUp { to, number, failure }) => {
                self.backed_up(to, number, failure, &mut step);
            }
            // What concerns the guardian in its shell, a daemon or a lane.
            Event::Process(_) | Event::Timer(_) | Event::Slot(_) | Event::File(_) | Event::Datagram { .. } => {}
        }
        step
    }

    fn resume(&mut self, now: Moment) -> FtmStep {
        let mut step = Step::none();
        self.began = now;
        let record = self.numbers(self.next_term());
        self.save(&mut step, record);
        if self.secret == [0; 32] {
            let secret = *blake3::keyed_hash(&self.seed, b"what the keys of hosts are made from").as_bytes();
            self.save(&mut step, FtmRecord::Secret(secret));
        }
        self.registry.inherit();
        self.locate_surrogates(&mut step);
        self.revive_lost(&mut step);
        self.take_up(&mut step);
        self.deliver(now, &mut step);
        step
    }

    fn progress(&self) -> Progress {
        Progress { done: self.events.next(), pending: 0 }
    }

    fn place(record: &FtmRecord) -> Place {
        record.place()
    }
}
