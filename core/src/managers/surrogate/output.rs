//! The decided output of a job, in the order in which a person gets it: stage by stage, task by task,
//! a decided prefix of the next task as soon as there is one.

use std::collections::BTreeSet;

use crate::message::{Release, Verdict};
use crate::names::{ExecutionId, HostId, LaneId, StageId, TaskId};
use crate::world::{Ended, Holder, Piece, Region};

/// What was released, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Everything released so far, in order; nothing is released twice.
    releases: Vec<Release>,
    /// Bytes released in all.
    position: u64,
    /// Bytes of the task that is next, released ahead of its verdict.
    ahead: u64,
    pieces: Vec<Piece>,
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
    pub fn release_verdict(&mut self, verdict: &Verdict) {
        let piece = located(verdict);
        let has_stderr = (piece.stderr.length > 0).then_some(piece.stderr);
        if piece.stdout.length > self.ahead || has_stderr.is_some() {
            let Piece { host, lane, execution, stdout, .. } = piece;
            self.push(host, lane, execution, stdout, has_stderr, piece.others.clone());
        }
        self.note(piece);
        self.ahead = 0;
    }

    /// Notes where the output of a decided task lies.
    pub fn keep(&mut self, verdict: &Verdict) {
        self.note(located(verdict));
    }

    fn note(&mut self, piece: Piece) {
        if piece.stdout.length > 0 || piece.stderr.length > 0 {
            self.pieces.push(piece);
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
        self.releases.push(Release {
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

    /// Releases from number `from` on.
    #[must_use]
    pub fn since(&self, from: usize) -> &[Release] {
        &self.releases[from.min(self.releases.len())..]
    }

    /// Number of the first release that is not wholly before this position.
    #[must_use]
    pub fn number_at(&self, position: u64) -> usize {
        let is_before = |release: &Release| {
            let end = release.position + release.length;
            end < position || (end == position && release.length > 0)
        };
        self.releases.partition_point(is_before)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.releases.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.releases.is_empty()
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

    /// Where the decided output lies.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
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
