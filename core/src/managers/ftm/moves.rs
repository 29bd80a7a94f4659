//! Moves that a person asks for: one ARMOR to another host, or all of a host that is to be empty.
//!
//! What is moved is ended where it was, by its daemon, and begins elsewhere with lives above all earlier ones: a ballot
//! that was heard before counts, and what an earlier life says later counts only if it casts the lane's first vote (D10).
//! The same holds for the loss of a host, but for one thing: here the old life is told to end.

use crate::armor::{Effect, Moment};
use crate::job::Promise;
use crate::managers::ftm::placement::{Placing, Plan};
use crate::managers::ftm::registry::Entry;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{Story, UserMessage};
use crate::names::{ArmorName, HostId, JobId, Kind};

impl Ftm {
    /// Nothing more is placed on this host, and what can go on elsewhere does; or it is used again.
    pub(super) fn drain(&mut self, now: Moment, user: ArmorName, host: HostId, drained: bool, step: &mut FtmStep) {
        let refusal =
            self.may_not_rule(user).or_else(|| (!self.hosts.contains_key(&host)).then(|| self.unknown_host(host)));
        if let Some(why) = refusal {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        if self.is_drained(host) != drained {
            self.save(step, FtmRecord::Drained { host, drained });
            self.note(now, None, Story::HostDrained { host, drained }, step);
        }
        let (mut moved, mut stays) = (Vec::new(), Vec::new());
        if drained {
            let here = self.registry.on_host(host).filter(|entry| self.at_work(entry).is_some());
            for entry in here.cloned().collect::<Vec<_>>() {
                let name = entry.name;
                match self.move_away(now, host, &entry, None, &format!("{host} is drained"), step) {
                    Ok(to) => moved.push((name, to)),
                    Err(why) => stays.push((name, why)),
                }
            }
        } else {
            self.revive_later(host, step);
            self.place_requested(now, step);
        }
        self.reply(user, UserMessage::Drained { host, drained, moved, stays }, step);
    }

    /// One ARMOR of a job that runs goes on on this host.
    pub(super) fn move_armor(&mut self, now: Moment, user: ArmorName, name: ArmorName, to: HostId, step: &mut FtmStep) {
        let answer = match self.try_move(now, user, name, to, step) {
            Ok(from) => UserMessage::Moving { name, from, to },
            Err(why) => UserMessage::Refused { why },
        };
        self.reply(user, answer, step);
    }

    fn try_move(
        &mut self,
        now: Moment,
        user: ArmorName,
        name: ArmorName,
        to: HostId,
        step: &mut FtmStep,
    ) -> Result<HostId, String> {
        if let Some(why) = self.may_not_rule(user) {
            return Err(why);
        }
        if !self.hosts.contains_key(&to) {
            return Err(self.unknown_host(to));
        }
        let at_work = self.registry.get(name).and_then(|entry| Some((entry.clone(), self.at_work(entry)?)));
        let Some((entry, from)) = at_work else {
            return Err(format!("{name} is no ARMOR of a job that runs; `chameleon armors` lists them"));
        };
        if from == to {
            return Err(format!("{name} is on {to} already"));
        }
        self.move_away(now, from, &entry, Some(to), "a person moved it", step)?;
        Ok(from)
    }

    /// The host on which an ARMOR of a job that runs is to be.
    fn at_work(&self, entry: &Entry) -> Option<HostId> {
        entry.placed().filter(|_| entry.name.job().is_some() && self.needs(entry.name))
    }

    /// Ends an ARMOR here and begins it on that host, or on the best one; the error says why it stays.
    fn move_away(
        &mut self,
        now: Moment,
        from: HostId,
        entry: &Entry,
        to: Option<HostId>,
        why: &str,
        step: &mut FtmStep,
    ) -> Result<HostId, String> {
        let name = entry.name;
        let job = name.job().ok_or_else(|| format!("{name} serves its host"))?;
        if let Some(why) = self.bound(job, name, from) {
            return Err(why);
        }
        let tried: Vec<HostId> = match to {
            Some(to) => self.hosts.keys().copied().filter(|host| *host != to).collect(),
            None => entry.tried.iter().copied().chain([from]).collect(),
        };
        let plan = self.plan(job, &[name], &tried);
        let Some(Placing { host: to, .. }) = plan.places.first().copied() else { return Err(no_place(&plan, to)) };
        self.retire_at(from, name, step);
        let why = self.why_there(name, to, why);
        self.go_on(now, entry, to, Story::ArmorTransferred { name, from, to, why }, step);
        Ok(to)
    }

    /// Why an ARMOR cannot leave its host while that is there, if so.
    fn bound(&self, job: JobId, name: ArmorName, host: HostId) -> Option<String> {
        let record = self.jobs.get(job)?;
        let promised_once = || record.job.stages.iter().any(|stage| stage.promise == Promise::AtMostOnce);
        match name.kind() {
            Kind::Execution if promised_once() => Some("its program is started at most once".to_owned()),
            Kind::Fanout if record.job.origin.host == host => Some("the files of its job are there".to_owned()),
            Kind::Mirror if self.is_mirror_needed(job) => Some("its job may depend on what it has".to_owned()),
            _ if !self.can_move(name) => Some("what it knows is kept there".to_owned()),
            _ => None,
        }
    }

    /// The next lives of an ARMOR are on another host, for the reason told; those where it was count no more.
    pub(super) fn go_on(&mut self, now: Moment, entry: &Entry, to: HostId, story: Story, step: &mut FtmStep) {
        let (name, job) = (entry.name, entry.name.job());
        let moved = self.carried(entry.installing(to));
        self.save(step, FtmRecord::Armor(moved.clone()));
        self.note(now, job, story, step);
        self.linked.remove(&name);
        step.then(Effect::Forget { peer: name });
        self.install(&moved, step);
        self.copy_again(name, step);
    }

    pub(super) fn is_drained(&self, host: HostId) -> bool {
        self.hosts.get(&host).is_some_and(|known| known.drained)
    }
}

/// Why no host, or not this one, can have it.
fn no_place(plan: &Plan, to: Option<HostId>) -> String {
    let named = to.and_then(|to| plan.missing.iter().find(|fault| fault.host == to));
    match named {
        Some(fault) => format!("{} {}", fault.host, fault.why),
        None => plan.why(),
    }
}
