//! What people ask, and what they are answered.

use crate::managers::ftm::{Ftm, FtmStep};
use crate::message::{ArmorRow, ArmorState, Query, UserMessage};
use crate::names::{ArmorName, HostId, JobId};

impl Ftm {
    /// Answers a question; nothing changes.
    pub(super) fn answer(&mut self, user: ArmorName, query: Query, step: &mut FtmStep) {
        let answer = match query {
            Query::Jobs { all } => {
                let listed = self.jobs.iter().filter(|record| all || record.end.is_none());
                UserMessage::Jobs(listed.map(|record| record.row()).collect())
            }
            Query::Unresolved => {
                let listed = self.jobs.iter().filter(|record| record.is_unresolved());
                UserMessage::Jobs(listed.map(|record| record.row()).collect())
            }
            Query::Armors => UserMessage::Armors(self.armor_rows()),
            Query::Job(job) => match self.jobs.get(job) {
                Some(record) => UserMessage::Jobs(vec![record.row()]),
                None => return self.refuse_unknown(user, job, step),
            },
            Query::Submitted(job) => match self.jobs.get(job) {
                Some(record) => UserMessage::Submitted(record.job.clone()),
                None => return self.refuse_unknown(user, job, step),
            },
            Query::Notices(job) if self.jobs.get(job).is_none() => return self.refuse_unknown(user, job, step),
            Query::Notices(job) => UserMessage::Notices { job, waiting: self.notices.of_job(job).len() as u64 },
            Query::Events { job: Some(job), .. } if self.jobs.get(job).is_none() => {
                return self.refuse_unknown(user, job, step);
            }
            Query::Events { job, from } => UserMessage::Events(self.events.rows(job, from)),
        };
        self.reply(user, answer, step);
    }

    pub(super) fn refuse_unknown(&mut self, user: ArmorName, job: JobId, step: &mut FtmStep) {
        let why = self.jobs.unknown(job);
        self.reply(user, UserMessage::Refused { why }, step);
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
            ArmorRow { name: entry.name, host, pid, incarnation, state: self.registry.state(entry.name) }
        });
        std::iter::once(ftm).chain(daemons).chain(served).collect()
    }
}
