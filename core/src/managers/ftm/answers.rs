//! What people ask, and what they are answered.

use std::collections::BTreeSet;

use crate::managers::ftm::jobs::JobRecord;
use crate::managers::ftm::{Ftm, FtmStep};
use crate::message::{ArmorRow, ArmorState, HostRow, HostState, JobRow, Query, UserMessage};
use crate::names::{ArmorName, HostId, JobId, Kind};
use crate::word::listing;

impl Ftm {
    /// Answers a question; nothing changes.
    pub(super) fn answer(&mut self, user: ArmorName, query: Query, step: &mut FtmStep) {
        let answer = match query {
            Query::Jobs { all } => {
                let listed = self.jobs.iter().filter(|record| all || record.end.is_none());
                UserMessage::Jobs(listed.map(|record| self.job_row(record)).collect())
            }
            Query::Unresolved => {
                let listed = self.jobs.iter().filter(|record| record.is_unresolved());
                UserMessage::Jobs(listed.map(|record| record.row()).collect())
            }
            Query::Armors => UserMessage::Armors(self.armor_rows()),
            Query::Job(job) => match self.jobs.get(job) {
                Some(record) => UserMessage::Jobs(vec![self.job_row(record)]),
                None => return self.refuse_unknown(user, job, step),
            },
            Query::Submitted(job) => match self.jobs.get(job) {
                Some(record) => UserMessage::Submitted(Box::new(record.job.without_pass())),
                None => return self.refuse_unknown(user, job, step),
            },
            Query::Notices(job) if self.jobs.get(job).is_none() => return self.refuse_unknown(user, job, step),
            Query::Notices(job) => UserMessage::Notices { job, waiting: self.notices.of_job(job).len() as u64 },
            Query::Events { job: Some(job), .. } if self.jobs.get(job).is_none() => {
                return self.refuse_unknown(user, job, step);
            }
            Query::Hosts => UserMessage::Hosts(self.hosts.keys().map(|&host| self.host_row(host)).collect()),
            Query::Reign => UserMessage::Reign(self.reign_row()),
            Query::Links => UserMessage::Links(self.links.rows()),
            Query::Host(host) => match self.hosts.get(&host) {
                Some(known) => UserMessage::Host {
                    row: self.host_row(host),
                    profile: known.profile.as_ref().map(|record| record.profile.clone()),
                    conduct: Box::new(known.conduct.clone()),
                    revive: known.revive.clone(),
                },
                None => UserMessage::Refused { why: self.unknown_host(host) },
            },
            Query::Events { job, from } => UserMessage::Events(self.events.rows(job, from)),
        };
        self.reply(user, answer, step);
    }

    pub(super) fn refuse_unknown(&mut self, user: ArmorName, job: JobId, step: &mut FtmStep) {
        let why = self.past.why_forgotten(job).unwrap_or_else(|| self.jobs.unknown(job));
        self.reply(user, UserMessage::Refused { why }, step);
    }

    /// A line of `ps`.
    fn job_row(&self, record: &JobRecord) -> JobRow {
        JobRow { waits_for: self.waits_for(record), ..record.row() }
    }

    /// A line of `hosts`.
    fn host_row(&self, host: HostId) -> HostRow {
        let serving = self.registry.on_host(host).map(|entry| entry.name).filter(|name| name.job().is_some());
        let here: Vec<ArmorName> = serving.collect();
        let lanes = here.iter().filter(|name| name.kind() == Kind::Execution).count();
        let jobs: BTreeSet<JobId> = here.iter().filter_map(|name| name.job()).collect();
        let known = self.hosts.get(&host);
        let profile = known.and_then(|known| known.profile.as_ref()).map(|record| &record.profile);
        let state = match self.linked.contains(&ArmorName::Daemon(host)) {
            _ if self.is_lost(host) => HostState::Lost,
            true if self.is_drained(host) => HostState::Drained,
            true if self.is_quarantined(host) => HostState::Quarantined,
            true => HostState::Up,
            false => HostState::Away,
        };
        HostRow {
            host,
            state,
            since_unix_ms: known.map_or(0, |known| known.record.since_unix_ms),
            jobs: counted(jobs.len()),
            armors: counted(here.len()),
            lanes: counted(lanes),
            cores: profile.map_or(0, |profile| profile.cores),
            platform: profile.map_or_else(String::new, |profile| profile.platform()),
            numeric_class: profile.map_or_else(String::new, |profile| profile.numeric.class.clone()),
            entry: self.enrolment.entry(host),
        }
    }

    pub(super) fn unknown_host(&self, host: HostId) -> String {
        let known: Vec<String> = self.hosts.keys().map(ToString::to_string).collect();
        format!("there is no host {host}; expected {}", listing(known.iter().map(String::as_str)))
    }

    /// The FTM, the daemons, then the ARMORs of jobs, in order of names.
    fn armor_rows(&self) -> Vec<ArmorRow> {
        let own = self.hosts.get(&self.host).and_then(|host| host.ftm.as_ref());
        let ftm = ArmorRow {
            name: ArmorName::Ftm,
            host: self.host,
            pid: own.map_or(0, |unit| unit.pid),
            incarnation: self.incarnation,
            state: ArmorState::Running,
        };
        let daemons = self.hosts.iter().filter_map(|(&host, known)| {
            let daemon = known.daemon.as_ref()?;
            let state = ArmorState::Running;
            Some(ArmorRow { name: daemon.name, host, pid: daemon.pid, incarnation: daemon.incarnation, state })
        });
        let served = self.registry.entries().map(|entry| {
            let (pid, incarnation) = self.registry.process(entry.name);
            let host = entry.decided.host().unwrap_or(HostId(0));
            let state = match self.is_stranded(entry) {
                true => ArmorState::Requested,
                false => self.registry.state(entry.name),
            };
            ArmorRow { name: entry.name, host, pid, incarnation, state }
        });
        std::iter::once(ftm).chain(daemons).chain(served).collect()
    }
}

fn counted(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
