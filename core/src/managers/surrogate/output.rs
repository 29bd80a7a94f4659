//! The decided output of a job, in the order in which a person gets it: stage by stage, task by task,
//! a decided prefix of the next task as soon as there is one.

use std::collections::{BTreeSet, VecDeque};

use crate::message::{Release, Verdict};
use crate::names::{ExecutionId, HostId, LaneId, StageId, TaskId};
use crate::world::{Ended, Holder, Piece, Region};

/// Releases that are kept for followers that come late or come back: whoever is further behind finds the rest in the
/// index, when the job is over.
pub(super) const KEPT: usize = 1 << 12;

/// What was released, and what comes next. Of an array of very many tasks it keeps no more than it must.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// What was released last, in order; nothing is released twice.
    releases: VecDeque<Release>,
    /// Releases before those.
    forgotten: u64,
    /// Bytes released in all.
    position: u64,
    /// Bytes of the task that is next, released ahead of its verdict.
    ahead: u64,
    /// Where decided output lies that is not in the index yet, and how long that is.
    unindexed: Vec<Piece>,
    indexed: u64,
    /// What other stages read.
    handed: Vec<Piece>,
}

impl Output {
    /// Releases a decided prefix of the task that is next, which these lanes have. `false`: nothing new.
    pub fn release_prefix(&mut self, stage: StageId, task: TaskId, holders: &[(HostId, LaneId, Region)]) -> bool {
        let Some((&(host, lane, region), others)) = holders.split_first() else { return false };
        if region.length <= self.ahead {
            return false;
        }
        let execution = ExecutionId { stage, task, attempt: Default::default() };
        let holder =
            |&(host, lane, stdout): &(HostId, LaneId, Region)| Holder { host, lane, stdout, stderr: Region::default() };
        self.push(host, lane, execution, region, None, elsewhere(host, others.iter().map(holder)));
        self.ahead = region.length;
        true
    }

    /// Releases the rest of the task that is next, whose verdict this is.
    pub fn release_verdict(&mut self, verdict: &Verdict, is_read: bool) {
        let piece = located(verdict);
        let has_stderr = (piece.stderr.length > 0).then_some(piece.stderr);
        if piece.stdout.length > self.ahead || has_stderr.is_some() {
            let Piece { host, lane, execution, stdout, .. } = piece;
            self.push(host, lane, execution, stdout, has_stderr, piece.others.clone());
        }
        self.note(piece, is_read);
        self.ahead = 0;
    }

    /// Notes where the output of a decided task lies; `is_read`: by another stage.
    pub fn keep(&mut self, verdict: &Verdict, is_read: bool) {
        self.note(located(verdict), is_read);
    }

    fn note(&mut self, piece: Piece, is_read: bool) {
        if piece.stdout.length > 0 || piece.stderr.length > 0 {
            self.handed.extend(is_read.then(|| piece.clone()));
            self.unindexed.push(piece);
        }
    }

    fn push(
        &mut self,
        host: HostId,
        lane: LaneId,
        execution: ExecutionId,
        region: Region,
        stderr: Option<Region>,
        others: Vec<Holder>,
    ) {
        let length = region.length.saturating_sub(self.ahead);
        if self.releases.len() == KEPT {
            self.releases.pop_front();
            self.forgotten += 1;
        }
        self.releases.push_back(Release {
            position: self.position,
            host,
            lane,
            execution,
            offset: self.ahead,
            length,
            digest: region.digest,
            slot: region.slot,
            begins: region.offset,
            stderr,
            others,
        });
        self.position += length;
    }

    /// Releases from number `from` on, as far as they are kept.
    pub fn since(&self, from: u64) -> impl Iterator<Item = &Release> {
        let skipped = usize::try_from(from.saturating_sub(self.forgotten)).unwrap_or(usize::MAX);
        self.releases.range(skipped.min(self.releases.len())..)
    }

    /// Number of the first kept release that is not wholly before this position.
    #[must_use]
    pub fn number_at(&self, position: u64) -> u64 {
        let is_before = |release: &Release| {
            let end = release.position + release.length;
            end < position || (end == position && release.length > 0)
        };
        self.forgotten + self.releases.partition_point(is_before) as u64
    }

    /// The number of the first release that is kept from this one on.
    #[must_use]
    pub fn number_of_next(&self, from: u64) -> u64 {
        from.max(self.forgotten)
    }

    /// Bytes released in all.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes released of the task that is next.
    #[must_use]
    pub fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Where decided output lies that is not in the index yet.
    #[must_use]
    pub fn unindexed(&self) -> &[Piece] {
        &self.unindexed
    }

    /// Bytes of the index.
    #[must_use]
    pub fn indexed(&self) -> u64 {
        self.indexed
    }

    /// The first so many pieces are in the index, which is so long now.
    pub fn index_grew(&mut self, pieces: u64, length: u64) {
        let known = usize::try_from(pieces).unwrap_or(usize::MAX).min(self.unindexed.len());
        self.unindexed.drain(..known);
        self.indexed = length;
    }

    /// Where the output lies that other stages read.
    #[must_use]
    pub fn handed(&self) -> &[Piece] {
        &self.handed
    }
}

/// Where the output of a decided task lies.
fn located(verdict: &Verdict) -> Piece {
    let lane = verdict.winners.first().copied().unwrap_or_default();
    let copy = |(lane, host, ended): &(LaneId, HostId, Ended)| Holder {
        host: *host,
        lane: *lane,
        stdout: ended.stdout,
        stderr: ended.stderr,
    };
    let ballot = &verdict.ballot;
    let execution = ExecutionId { stage: verdict.stage, task: verdict.task, attempt: ballot.attempt };
    let (stdout, stderr) = (ballot.ended.stdout, ballot.ended.stderr);
    Piece { host: ballot.host, lane, execution, stdout, stderr, others: verdict.copies.iter().map(copy).collect() }
}

/// Those on another host than the first, one for each host.
fn elsewhere(first: HostId, holders: impl Iterator<Item = Holder>) -> Vec<Holder> {
    let mut hosts = BTreeSet::from([first]);
    holders.filter(|holder| hosts.insert(holder.host)).collect()
}
