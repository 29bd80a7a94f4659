//! What an SM says to the ARMORs of its job, and says again whenever a link comes up.

use crate::armor::Step;
use crate::job::{Job, Stage, Stdin};
use crate::managers::surrogate::stage::Phase;
use crate::managers::surrogate::{Surrogate, SurrogateRecord};
use crate::message::{
    ExecutionMessage, FanoutMessage, FtmMessage, LaneOrders, LaneRow, Purpose, Release, Rule, Supply, UserMessage,
    VoterMessage,
};
use crate::names::{ArmorName, HostId, LaneId, StageId, TaskId};
use crate::strategy::Order;
use crate::world::{ChangeSet, Input, Piece, Whereabouts};

/// Most releases in one message to a follower.
const RELEASES_AT_ONCE: usize = 256;

impl Surrogate {
    pub(super) fn link_up(&mut self, peer: ArmorName, step: &mut Step<SurrogateRecord>) {
        match peer {
            ArmorName::Ftm => {
                let names: Vec<ArmorName> = self.asked.iter().copied().collect();
                if !names.is_empty() {
                    step.send(peer, FtmMessage::WantPlaces { job: self.id, names });
                }
                self.ledger.occurrences.repeat();
                self.say_outcome(step);
            }
            ArmorName::User(_) => {
                // What was released before the link was up is lost.
                if let Some(follower) = self.followers.get_mut(&peer) {
                    follower.next = self.ledger.output.number_at(follower.consumed);
                }
                self.say_releases(step);
                self.say_end(peer, step);
            }
            ArmorName::Voter(_) | ArmorName::Fanout(_) | ArmorName::Execution(..) => self.say_all(peer, step),
            ArmorName::Daemon(_) | ArmorName::Surrogate(_) | ArmorName::Heartbeat(_) | ArmorName::Init(_) => {}
            // Its shell speaks with it.
            ArmorName::Mirror(_) => {}
        }
    }

    /// Says all that an ARMOR of the job must know now.
    pub(super) fn say_all(&mut self, peer: ArmorName, step: &mut Step<SurrogateRecord>) {
        if self.is_over() {
            return;
        }
        match peer {
            ArmorName::Voter(job) if job == self.id => self.say_to_voter(step),
            ArmorName::Fanout(job) if job == self.id => {
                self.say_to_fanout(step);
                let commits = self.ledger.stage.as_ref().is_some_and(|run| run.phase == Phase::Committing);
                if commits && self.committer() == Some(peer) {
                    self.say_commit(step);
                }
            }
            ArmorName::Execution(job, lane) if job == self.id => self.say_to_lane(lane, step),
            _ => {}
        }
    }

    fn say_to_voter(&mut self, step: &mut Step<SurrogateRecord>) {
        // The question may be lost; it is asked again when it matters.
        self.recount.asked = self.recount.answered;
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        let (stage, voter) = (run.stage, self.voter());
        let stream = job.streams(stage);
        step.send(voter, VoterMessage::Convene { stage, rule: run.rule, stream });
        for extension in &run.extensions {
            let tasks: Vec<TaskId> = run.open(&extension.tasks).iter().collect();
            if !tasks.is_empty() {
                step.send(voter, VoterMessage::Extend { stage, tasks, rule: extension.rule });
            }
        }
        for &lane in &run.dropped {
            step.send(voter, VoterMessage::Absent { stage, lane, tasks: Vec::new() });
        }
        self.say_verdicts_kept(step);
    }

    pub(super) fn say_to_fanout(&mut self, step: &mut Step<SurrogateRecord>) {
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        let Some(stage) = job.stages.get(usize::from(run.stage.0)) else { return };
        let reads_stdin = run.stage.0 == 0 && stage.tasks.is_none();
        let lanes: Vec<LaneId> = run.active_lanes().collect();
        let place = |lane: &LaneId| Some((*lane, self.elsewhere(*lane)?));
        let supply = Supply {
            stage: run.stage,
            inputs: stage.inputs.iter().cloned().map(Input::Path).collect(),
            spooled: reads_stdin && job.stdin == Stdin::Spool,
            elsewhere: lanes.iter().filter_map(place).collect(),
            bundle: bundle(job, stage, reads_stdin),
            whereabouts: Whereabouts::of(job),
            places: self.places(|name| matches!(name, ArmorName::Execution(..))),
            lanes,
        };
        step.send(self.fanout(), FanoutMessage::Distribute(Box::new(supply)));
    }

    /// The host where a lane runs, if that is known and what it needs must be fetched there.
    pub(super) fn elsewhere(&self, lane: LaneId) -> Option<HostId> {
        let job = self.ledger.job.as_ref()?;
        self.ledger.hosts.get(&self.execution(lane)).copied().filter(|host| job.is_mirrored_on(*host))
    }

    fn say_to_lane(&mut self, lane: LaneId, step: &mut Step<SurrogateRecord>) {
        if let Some(run) = &mut self.ledger.stage {
            // It may be another than the one that prepared something.
            run.preparing.remove(&lane);
            run.prepared.remove(&lane);
        }
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        let sharing = match run.order {
            Order::Space => run.rule.lanes,
            Order::Time => 1,
        };
        let places = self.places(|name| matches!(name, ArmorName::Voter(_) | ArmorName::Fanout(_)));
        let orders = LaneOrders { lane, job: job.clone(), sharing, handed: self.handed(run.stage), places };
        let name = self.execution(lane);
        step.send(name, ExecutionMessage::Configure(Box::new(orders)));
        if let Some(started) = run.started.get(&lane) {
            let ranges = started.ranges();
            self.say_run(lane, ranges, step);
        }
        self.say_repeats(Some(lane), step);
        let Some(run) = &self.ledger.stage else { return };
        if run.dropped.contains(&lane) {
            step.send(name, ExecutionMessage::Stop { stage: run.stage });
        }
        if run.phase == Phase::Committing && self.committer() == Some(name) {
            self.say_commit(step);
        }
        if self.allowed > 0 {
            self.say_allowed(lane, step);
        }
    }

    /// Where the output lies that the programs of a stage read.
    fn handed(&self, stage: StageId) -> Vec<Piece> {
        let source = self.ledger.job.as_ref().and_then(|job| job.stages.get(usize::from(stage.0))?.stdin);
        let pieces = self.ledger.output.handed().iter();
        pieces.filter(|piece| Some(piece.execution.stage) == source).cloned().collect()
    }

    /// Where those ARMORs of the job are that another of its ARMORs speaks to first.
    fn places(&self, wanted: impl Fn(ArmorName) -> bool) -> Vec<(ArmorName, HostId)> {
        self.ledger.hosts.iter().filter(|(name, _)| wanted(**name)).map(|(&name, &host)| (name, host)).collect()
    }

    pub(super) fn say_run(&self, lane: LaneId, ranges: Vec<(u64, u64)>, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        let (stage, input) = (run.stage, run.input);
        let order = match self.is_at_most_once() {
            true => ExecutionMessage::StartOnce { stage, ranges, input },
            false => ExecutionMessage::Run { stage, ranges, purpose: Purpose::Vote, input },
        };
        step.send(self.execution(lane), order);
    }

    /// Asks for the repetitions that are missing, of one lane or of all.
    pub(super) fn say_repeats(&self, only: Option<LaneId>, step: &mut Step<SurrogateRecord>) {
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        for (&task, inquiry) in run.inquiries.iter().filter(|(_, inquiry)| inquiry.diagnoses.is_empty()) {
            for (lane, number) in inquiry.missing(job.strategy_of(run.stage).repeats) {
                if only.is_none_or(|only| only == lane) {
                    let (ranges, purpose) = (vec![(task.0, task.0 + 1)], Purpose::Repeat(number));
                    step.send(
                        self.execution(lane),
                        ExecutionMessage::Run { stage: run.stage, ranges, purpose, input: run.input },
                    );
                }
            }
        }
    }

    pub(super) fn say_extension(&self, tasks: Vec<TaskId>, rule: Rule, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        step.send(self.voter(), VoterMessage::Extend { stage: run.stage, tasks, rule });
    }

    // ---- output ----

    /// Tells followers what was released since they were told last.
    pub(super) fn say_releases(&mut self, step: &mut Step<SurrogateRecord>) {
        for (&user, follower) in &mut self.followers {
            loop {
                let news: Vec<Release> =
                    self.ledger.output.since(follower.next).take(RELEASES_AT_ONCE).cloned().collect();
                if news.is_empty() {
                    break;
                }
                follower.next = self.ledger.output.number_of_next(follower.next) + news.len() as u64;
                step.send(user, UserMessage::Released(news));
            }
        }
    }

    /// How the lanes fare, for whoever looks on.
    pub(super) fn say_progress(&self, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        let row = |(&lane, pulse): (&LaneId, &super::LanePulse)| LaneRow {
            lane,
            finished: pulse.finished,
            running: pulse.running,
            paused: pulse.paused,
            cpu_us: pulse.cpu_us,
        };
        let lanes: Vec<LaneRow> = self.lanes.iter().map(row).collect();
        let (stage, decided, tasks) = (run.stage, run.decided.len(), run.tasks.len());
        for &user in self.followers.keys() {
            step.send(user, UserMessage::Progress { stage, decided, tasks, lanes: lanes.clone() });
        }
    }

    /// Lets the lanes go on producing output: a quota beyond what is decided and, if a follower sets
    /// the pace, consumed. Said in large strides, so that it costs nothing.
    pub(super) fn allow_output(&mut self, step: &mut Step<SurrogateRecord>) {
        let (Some(job), Some(run)) = (&self.ledger.job, &self.ledger.stage) else { return };
        if !job.streams(run.stage) || run.phase != Phase::Running {
            return;
        }
        let upto = self.ledger.output.ahead().saturating_sub(self.unread()) + job.spool_quota;
        if upto >= self.allowed.max(job.spool_quota).saturating_add(job.spool_quota.div_ceil(4)) {
            self.allowed = upto;
            let lanes: Vec<LaneId> = run.active_lanes().collect();
            lanes.into_iter().for_each(|lane| self.say_allowed(lane, step));
        }
    }

    /// Bytes of released output that a follower who sets the pace has not printed yet.
    fn unread(&self) -> u64 {
        let position = self.ledger.output.position();
        let paced = self.followers.values().filter(|follower| follower.paced);
        paced.map(|follower| position.saturating_sub(follower.consumed)).max().unwrap_or(0)
    }

    /// All lanes are held back and nobody reads slowly: they do not agree on what they printed. Only
    /// their ballots can decide, so they run to their ends.
    pub(super) fn allow_all_output(&mut self, step: &mut Step<SurrogateRecord>) {
        if self.unread() == 0
            && let Some(run) = &self.ledger.stage
        {
            self.allowed = u64::MAX;
            let lanes: Vec<LaneId> = run.active_lanes().collect();
            lanes.into_iter().for_each(|lane| self.say_allowed(lane, step));
        }
    }

    fn say_allowed(&self, lane: LaneId, step: &mut Step<SurrogateRecord>) {
        let Some(run) = &self.ledger.stage else { return };
        let Some(task) = run.tasks.first() else { return };
        let message = ExecutionMessage::Allow { stage: run.stage, task, upto: self.allowed };
        step.send(self.execution(lane), message);
    }

    // ---- commit ----

    /// Who commits: a lane on the job's origin that can be spoken to, so that its view of the files is closed
    /// meanwhile; without one, the Fanout.
    pub(super) fn committer(&self) -> Option<ArmorName> {
        let (job, run) = (self.ledger.job.as_ref()?, self.ledger.stage.as_ref()?);
        let can = |lane: &LaneId| {
            let name = self.execution(*lane);
            let there = self.ledger.hosts.get(&name) == Some(&job.origin.host);
            there && self.granted.contains(&name) && !run.dropped.contains(lane)
        };
        let lane = run.started.keys().copied().find(can).map(|lane| self.execution(lane));
        lane.or(Some(self.fanout()))
    }

    pub(super) fn say_commit(&self, step: &mut Step<SurrogateRecord>) {
        let (Some(job), Some(run), Some(name)) = (&self.ledger.job, &self.ledger.stage, self.committer()) else {
            return;
        };
        let (stage, pass) = (run.stage, job.origin.pass);
        let changes: Vec<ChangeSet> = run.changes.values().cloned().collect();
        match name {
            ArmorName::Fanout(_) => step.send(name, FanoutMessage::Commit { stage, pass, changes }),
            _ => step.send(name, ExecutionMessage::Commit { stage, changes }),
        }
    }
}

/// What lanes need beside the inputs that do not see the origin's own files: the program with all that belongs to it, a
/// file that standard input is read from, and, if nothing is declared, the run directory.
fn bundle(job: &Job, stage: &Stage, reads_stdin: bool) -> Vec<Input> {
    let program = stage.command.first().filter(|program| !job.builds(program));
    let mut bundle: Vec<Input> = program.cloned().map(Input::Program).into_iter().collect();
    if let (true, Stdin::File(path, _)) = (reads_stdin, &job.stdin) {
        bundle.push(Input::Path(path.clone()));
    }
    bundle.extend(stage.bundle.iter().cloned().map(Input::Path));
    match &job.build {
        Some(build) => bundle.push(Input::Build(Box::new(build.clone()))),
        None if stage.inputs.is_empty() && stage.bundle.is_empty() => {
            bundle.push(Input::Directory(job.directory.clone()));
        }
        None => {}
    }
    bundle
}
