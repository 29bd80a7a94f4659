//! A job's life: accepted, given its ARMORs, cancelled, ended, forgotten.

use crate::armor::Moment;
use crate::job::{Job, Promise, check};
use crate::managers::ftm::jobs::{JobEnd, JobRecord};
use crate::managers::ftm::registry::{Decided, Entry};
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{ArmorState, Outcome, Story, SurrogateMessage, UserMessage};
use crate::names::{ArmorName, JobId, Kind, StageId, Term};
use crate::principal::Principal;
use crate::strategy::Redundancy;

impl Ftm {
    /// A user submits a job: once it is on disk it is accepted, and its SM is on its way.
    pub(super) fn submit(&mut self, now: Moment, user: ArmorName, request: u64, mut job: Box<Job>, step: &mut FtmStep) {
        if let Some(job) = self.jobs.requested(request) {
            return self.reply(user, UserMessage::Accepted { request, job }, step);
        }
        if let Some(why) = unsound(&job) {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        let id = JobId(self.jobs.last().0 + 1);
        if let Some(why) = self.impossible(id, &job) {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        let owner = self.users.principal(user).map(Principal::member);
        if let Some(Principal::User(name)) = &owner {
            // Fair shares and hosts' policies go by who it is, not by who it says it is.
            job.needs.user.clone_from(name);
        }
        let (submitted_unix_ms, cancel, end, resolution, token) = (now.unix_ms, None, None, None, 0);
        let record = JobRecord { id, request, job, submitted_unix_ms, cancel, end, resolution, owner, token };
        self.save(step, FtmRecord::Job(record));
        self.note(now, Some(id), Story::Accepted, step);
        self.reply(user, UserMessage::Accepted { request, job: id }, step);
        self.start_jobs(step);
    }

    /// An SM needs ARMORs for its job.
    pub(super) fn want_places(
        &mut self,
        now: Moment,
        surrogate: ArmorName,
        job: JobId,
        names: Vec<ArmorName>,
        step: &mut FtmStep,
    ) {
        let runs = self.jobs.running(job).is_some() && surrogate == ArmorName::Surrogate(job);
        let serves = |name: &ArmorName| {
            runs && name.job() == Some(job) && matches!(name.kind(), Kind::Voter | Kind::Fanout | Kind::Execution)
        };
        let (wanted, refused): (Vec<_>, Vec<_>) = names.into_iter().partition(serves);
        for name in refused {
            let why = if runs { format!("it does not serve {job}") } else { format!("{job} has ended") };
            step.send(surrogate, SurrogateMessage::Unavailable { name, why });
        }
        let new: Vec<ArmorName> = wanted.into_iter().filter(|&name| self.registry.get(name).is_none()).collect();
        self.find_places(now, job, &new, step);
        self.tell_lost(job, step);
        self.grant(job, step);
    }

    /// Tells the SM which of its ARMORs run, once nothing more is on its way.
    pub(super) fn grant(&mut self, job: JobId, step: &mut FtmStep) {
        let mut running = Vec::new();
        let managed = |entry: &&Entry| !matches!(entry.name.kind(), Kind::Surrogate | Kind::Mirror);
        for entry in self.registry.of_job(job).filter(managed) {
            match self.registry.state(entry.name) {
                ArmorState::Requested | ArmorState::Installing => return,
                ArmorState::Running => running.extend(entry.decided.host().map(|host| (entry.name, host))),
                ArmorState::Retiring | ArmorState::Retired | ArmorState::Lost => {}
            }
        }
        if !running.is_empty() {
            step.send(ArmorName::Surrogate(job), SurrogateMessage::Granted(running));
        }
    }

    fn tell_lost(&self, job: JobId, step: &mut FtmStep) {
        for entry in self.registry.of_job(job) {
            if let Decided::Lost { why, .. } = &entry.decided {
                let unavailable = SurrogateMessage::Unavailable { name: entry.name, why: why.clone() };
                step.send(ArmorName::Surrogate(job), unavailable);
            }
        }
    }

    /// All that the SM of a job must know; said whenever it can be reached.
    pub(super) fn tell_surrogate(&mut self, job: JobId, step: &mut FtmStep) {
        let surrogate = ArmorName::Surrogate(job);
        let Some(record) = self.jobs.get(job) else { return };
        if record.end.is_some() {
            return step.send(surrogate, SurrogateMessage::EndKept);
        }
        step.send(surrogate, SurrogateMessage::Begin(record.job.clone()));
        step.send(surrogate, SurrogateMessage::Told { below: self.events.told().next_from(job) });
        if let Some(code) = record.cancel {
            step.send(surrogate, SurrogateMessage::Cancel { code });
        }
        self.tell_lost(job, step);
        self.grant(job, step);
    }

    /// A user waits for the end of a job.
    pub(super) fn wait(&mut self, user: ArmorName, job: JobId, step: &mut FtmStep) {
        let Some(record) = self.jobs.get(job) else { return self.refuse_unknown(user, job, step) };
        self.users.awaits(user, job);
        match &record.end {
            Some(end) => self.reply(user, ended(job, end), step),
            None => {
                // Said so that the way back is open when the job ends: one who waits in silence could
                // not be told from one who is gone.
                let accepted = UserMessage::Accepted { request: record.request, job };
                self.reply(user, accepted, step);
                self.locate_for(user, ArmorName::Surrogate(job), step);
            }
        }
    }

    /// A user ends a job without a result. Its SM does it, unless there is none that could have begun.
    pub(super) fn cancel(&mut self, now: Moment, user: ArmorName, job: JobId, code: u8, step: &mut FtmStep) {
        if let Some(why) = self.jobs.get(job).and_then(|record| self.not_theirs(user, record)) {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        self.wait(user, job, step);
        let Some(mut record) = self.jobs.running(job).cloned() else { return };
        let surrogate = ArmorName::Surrogate(job);
        if !self.registry.may_have_run(surrogate) {
            return self.end(now, job, Outcome::Cancelled { code }, 0, step);
        }
        if record.cancel.is_none() {
            record.cancel = Some(code);
            self.save(step, FtmRecord::Job(record));
        }
        step.send(surrogate, SurrogateMessage::Cancel { code });
    }

    /// The SM of a job cannot be kept running anywhere: the job ends here.
    pub(super) fn end_without_surrogate(&mut self, now: Moment, job: JobId, why: &str, step: &mut FtmStep) {
        let Some(record) = self.jobs.running(job) else { return };
        let once = record.job.stages.iter().any(|stage| stage.promise == Promise::AtMostOnce);
        let outcome = match record.cancel {
            _ if once && self.registry.may_have_run(ArmorName::Surrogate(job)) => {
                let why =
                    format!("the surrogate manager of {job} is gone, with its records of what was started: {why}");
                Outcome::Unknown { why, released: 0 }
            }
            Some(code) => Outcome::Cancelled { code },
            None => Outcome::Failed { why: format!("the surrogate manager of {job} cannot be kept running: {why}") },
        };
        self.end(now, job, outcome, 0, step);
    }

    /// A job has ended: once that is on disk, those who wait are told and its ARMORs are retired.
    /// The first end stands.
    pub(super) fn end(&mut self, now: Moment, job: JobId, outcome: Outcome, length: u64, step: &mut FtmStep) {
        let Some(mut record) = self.jobs.running(job).cloned() else { return };
        let end = JobEnd { unix_ms: now.unix_ms, outcome: outcome.clone(), length };
        record.end = Some(end.clone());
        self.ended.insert(job, now.boot);
        self.save(step, FtmRecord::Job(record));
        if !self.events.tells_end_of(job) {
            self.note(now, Some(job), Story::Ended(outcome), step);
        }
        for user in self.users.waiting_for(job) {
            self.reply(user, ended(job, &end), step);
        }
        self.retire_all(job, step);
        self.recover(now, step);
        self.start_jobs(step);
        for old in self.jobs.surplus() {
            self.forget(old, step);
        }
        self.drop_old_events(step);
    }

    /// Retires the ARMORs of an ended job: the SM when the others are gone, so that it has the time to
    /// say what it still has to say, and the Mirror, without which it could not, at last.
    pub(super) fn retire_all(&mut self, job: JobId, step: &mut FtmStep) {
        let turn = |name: ArmorName| match name.kind() {
            Kind::Surrogate => 1,
            Kind::Mirror => 2,
            _ => 0,
        };
        for now in 0..=2 {
            if self.registry.of_job(job).any(|entry| turn(entry.name) < now) {
                return;
            }
            let due = self.registry.of_job(job).filter(|entry| turn(entry.name) == now);
            due.cloned().collect::<Vec<Entry>>().iter().for_each(|entry| self.retire(entry, step));
        }
    }

    pub(super) fn retire(&mut self, entry: &Entry, step: &mut FtmStep) {
        match entry.decided {
            Decided::Requested => self.save(step, FtmRecord::ArmorGone(entry.name)),
            // Nobody is there to be told; if its host is heard again, it is told then.
            Decided::Installing { host, .. } | Decided::Lost { host, .. }
                if self.is_lost(host) || self.is_shut_out(host) =>
            {
                self.save(step, FtmRecord::ArmorGone(entry.name));
            }
            Decided::Installing { host, .. } | Decided::Lost { host, .. } => {
                self.save(step, FtmRecord::Armor(entry.retiring(host)));
                self.retire_at(host, entry.name, step);
            }
            Decided::Retiring { .. } => {}
        }
    }

    /// A user drops an ended job; answered when its ARMORs are gone and so is the record.
    pub(super) fn forget_for(&mut self, user: ArmorName, job: JobId, step: &mut FtmStep) {
        let Some(record) = self.jobs.get(job) else { return self.refuse_unknown(user, job, step) };
        let not_theirs = self.not_theirs(user, record);
        let why = match () {
            () if not_theirs.is_some() => not_theirs,
            () if record.end.is_none() => {
                Some(format!("{job} has not ended; `cancel {job}` ends it, then it can be forgotten"))
            }
            () if record.is_unresolved() => {
                Some(format!("the outcome of {job} is unknown; `resolve {job}` comes before it can be forgotten"))
            }
            () => None,
        };
        if let Some(why) = why {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        self.forgetting.entry(job).or_default().insert(user);
        self.forget_if_gone(job, step);
    }

    /// Forgets a job that somebody wants forgotten, once none of its ARMORs is left.
    pub(super) fn forget_if_gone(&mut self, job: JobId, step: &mut FtmStep) {
        if self.registry.of_job(job).next().is_some() {
            return;
        }
        let Some(users) = self.forgetting.remove(&job) else { return };
        self.forget(job, step);
        for user in users {
            self.reply(user, UserMessage::Forgotten { job }, step);
        }
    }

    /// Drops an ended job with all that was kept of it, unless some of its ARMORs are still there.
    fn forget(&mut self, job: JobId, step: &mut FtmStep) {
        if self.registry.of_job(job).next().is_some() {
            return;
        }
        self.save_numbers(step);
        for number in self.events.of_job(job) {
            self.save(step, FtmRecord::EventGone(number));
        }
        for number in self.notices.of_job(job) {
            self.save(step, FtmRecord::NoticeGone(number));
        }
        self.save(step, FtmRecord::JobGone(job));
        self.clean(job, step);
    }

    /// Old events go, so that the store does not grow for ever.
    pub(super) fn drop_old_events(&mut self, step: &mut FtmStep) {
        let surplus = self.events.surplus(|job| self.jobs.running(job).is_some());
        if !surplus.is_empty() {
            self.save_numbers(step);
        }
        for number in surplus {
            self.save(step, FtmRecord::EventGone(number));
        }
    }

    /// The numbers that were given, before the records that show it go.
    fn save_numbers(&mut self, step: &mut FtmStep) {
        let record = self.numbers(self.term);
        self.save(step, record);
    }

    pub(super) fn numbers(&self, term: Term) -> FtmRecord {
        let (last_job, last_token, next_event) = (self.jobs.last(), self.jobs.last_token(), self.events.next());
        FtmRecord::Reign { term, last_job, next_event, last_token }
    }
}

fn ended(job: JobId, end: &JobEnd) -> UserMessage {
    UserMessage::Ended { job, outcome: end.outcome.clone(), length: end.length }
}

/// Why this job cannot be run at all, if so: whoever submits it has checked it, but need not be ours.
fn unsound(job: &Job) -> Option<String> {
    if job.stages.is_empty() {
        return Some(format!("the job {:?} has no stage; give it at least one command", job.name));
    }
    if let Some(stage) = job.stages.iter().find(|stage| stage.command.is_empty()) {
        return Some(format!("stage {:?} of the job {:?} has no command", stage.name, job.name));
    }
    let ids = || (0..).map(StageId).take(job.stages.len());
    let promises = ids().zip(&job.stages).map(|(id, stage)| check::promise(stage.promise, job.strategy_of(id)));
    let broken = promises.chain(ids().map(|id| check::handed(&job.stages, id))).find_map(Result::err);
    if let Some(unfit) = broken {
        return Some(unfit.to_string());
    }
    let own = job.stages.iter().filter_map(|stage| stage.strategy.as_ref());
    let strategy = own.chain([&job.strategy]).find(|strategy| !strategy.redundancy.is_sound())?;
    let (strategy, Redundancy { replicas, quorum, .. }) = (&strategy.name, strategy.redundancy);
    Some(format!(
        "the strategy {strategy:?} wants {quorum} of {replicas} lanes to agree; it must be more than half and no more than all of them"
    ))
}
