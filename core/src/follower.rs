//! A user's command that hands in a job and watches it to its end: what it says to whom, and which
//! pieces of decided output it prints.
//!
//! Output is known by its position in the whole job's output, so that a piece told twice, or told
//! again from an earlier byte by a restarted surrogate manager, is harmless: what is printed is
//! always the next byte. A piece that would leave a gap is not kept; it is asked for again. What is
//! still missing when the job has ended is read from the index of its output, because by then the
//! surrogate manager may be retired.

use crate::armor::LinkEvent;
use crate::job::{Job, Stdin};
use crate::message::{FanoutMessage, FtmMessage, LaneRow, Message, Outcome, Release, SurrogateMessage, UserMessage};
use crate::names::{ArmorName, JobId, StageId};

/// What reaches a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Link(LinkEvent),
    Message(UserMessage),
    /// The spool of standard input has so many bytes, and no more will come if `end`.
    Spooled {
        length: u64,
        end: bool,
    },
    /// Everything asked to be printed is out, up to this byte of the job's output.
    Printed {
        upto: u64,
    },
    /// So is the rest, up to this byte.
    RestPrinted {
        upto: u64,
    },
    /// Nothing more can be printed; the job is to end with this code.
    Unprintable {
        code: u8,
    },
    /// The person wants the job to end; the code is what a shell would show.
    Interrupted {
        code: u8,
    },
}

/// What a follower wants to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Send {
        to: ArmorName,
        message: Message,
    },
    /// The peer lives elsewhere now: the link to it is closed and another one established.
    Renew {
        peer: ArmorName,
    },
    /// The job is on disk; told once.
    Accepted {
        job: JobId,
    },
    /// Standard input is to be spooled for this job; told once.
    Spool {
        job: JobId,
    },
    /// Print this piece: it continues what was asked before. Answered by [`Input::Printed`].
    Print(Release),
    /// Print, from the index of the job's output, what of its `length` bytes is not yet printed, and
    /// the standard error that was not. Answered by [`Input::RestPrinted`].
    PrintRest {
        job: JobId,
        from: u64,
        length: u64,
    },
    /// How the lanes fare, for a progress line.
    Show {
        stage: StageId,
        decided: u64,
        tasks: u64,
        lanes: Vec<LaneRow>,
    },
    /// The job was not accepted.
    Refused {
        why: String,
    },
    /// The job has ended and all that can be printed is. Nothing follows.
    Done(Ending),
}

/// How a followed job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub job: JobId,
    pub outcome: Outcome,
    /// Bytes of decided output in all, and how many of them were printed.
    pub length: u64,
    pub printed: u64,
}

/// The state of the conversation about one job.
#[derive(Debug)]
pub struct Follower {
    request: u64,
    job: Box<Job>,
    /// Whether output is wanted at all.
    prints: bool,
    accepted: Option<JobId>,
    cancel: Option<u8>,
    spooled: Option<(u64, bool)>,
    /// The next byte to be asked to be printed, and the last one that is.
    next: u64,
    printed: u64,
    /// The byte from which output was asked for again because of a gap.
    asked_again: Option<u64>,
    ended: Option<(Outcome, u64)>,
    /// The rest was asked to be printed.
    resting: bool,
    done: bool,
}

impl Follower {
    /// A follower that hands in `job` under a `request` number of its own drawing. With `prints`
    /// unset it awaits the end and leaves the output where it is.
    #[must_use]
    pub fn new(request: u64, job: Job, prints: bool) -> Self {
        Follower {
            request,
            job: Box::new(job),
            prints,
            accepted: None,
            cancel: None,
            spooled: None,
            next: 0,
            printed: 0,
            asked_again: None,
            ended: None,
            resting: false,
            done: false,
        }
    }

    /// The first words.
    #[must_use]
    pub fn start(&self) -> Vec<Act> {
        vec![self.submit()]
    }

    /// The job's number, once it is accepted.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        self.accepted
    }

    /// Decides what an input means.
    pub fn handle(&mut self, input: Input) -> Vec<Act> {
        if self.done {
            return Vec::new();
        }
        match input {
            Input::Link(LinkEvent::Up { peer, .. }) => self.say_again(peer),
            Input::Link(LinkEvent::Down { .. }) => Vec::new(),
            Input::Message(message) => self.message(message),
            Input::Spooled { length, end } => {
                self.spooled = Some((length, end));
                self.tell_spooled()
            }
            Input::Printed { upto } => self.on_printed(upto),
            Input::RestPrinted { upto } => {
                self.printed = self.printed.max(upto);
                self.done()
            }
            Input::Unprintable { code } => {
                self.prints = false;
                let mut acts = self.interrupt(code);
                acts.extend(self.finish());
                acts
            }
            Input::Interrupted { code } => self.interrupt(code),
        }
    }

    fn message(&mut self, message: UserMessage) -> Vec<Act> {
        match message {
            UserMessage::Accepted { request, job } if request == self.request => self.on_accepted(job),
            UserMessage::Refused { why } => self.on_refused(why),
            UserMessage::Released(releases) => {
                releases.into_iter().flat_map(|release| self.on_release(release)).collect()
            }
            UserMessage::Progress { stage, decided, tasks, lanes } => vec![Act::Show { stage, decided, tasks, lanes }],
            UserMessage::Ended { job, outcome, length } if self.accepted == Some(job) => self.on_ended(outcome, length),
            UserMessage::Moved { name } if name.job() == self.accepted => vec![Act::Renew { peer: name }],
            UserMessage::Accepted { .. }
            | UserMessage::Moved { .. }
            | UserMessage::Ended { .. }
            | UserMessage::Jobs(_)
            | UserMessage::Armors(_)
            | UserMessage::Events(_)
            | UserMessage::Submitted(_)
            | UserMessage::Forgotten { .. }
            | UserMessage::Resolved { .. }
            | UserMessage::Hosts(_)
            | UserMessage::Links(_)
            | UserMessage::Reign(_)
            | UserMessage::SteppedDown { .. }
            | UserMessage::BackedUp { .. }
            | UserMessage::Host { .. }
            | UserMessage::Notices { .. }
            | UserMessage::TokenKept { .. }
            | UserMessage::Admitted(_)
            | UserMessage::Revoked { .. }
            | UserMessage::Drained { .. }
            | UserMessage::Pardoned { .. }
            | UserMessage::RevivedBy { .. }
            | UserMessage::Moving { .. }
            | UserMessage::Located { .. }
            | UserMessage::Book(_) => Vec::new(),
        }
    }

    fn on_accepted(&mut self, job: JobId) -> Vec<Act> {
        if self.accepted.replace(job).is_some() {
            return Vec::new();
        }
        let mut acts = vec![Act::Accepted { job }];
        if self.job.stdin == Stdin::Spool {
            acts.push(Act::Spool { job });
        }
        acts.extend(self.follow());
        acts.extend(self.await_end());
        acts.extend(self.tell_cancelled());
        acts
    }

    /// Before the job is accepted, it is refused; after that, nobody knows of it any more.
    fn on_refused(&mut self, why: String) -> Vec<Act> {
        match self.accepted {
            None => {
                self.done = true;
                vec![Act::Refused { why }]
            }
            Some(_) if self.ended.is_some() => Vec::new(),
            Some(_) => self.on_ended(Outcome::Failed { why }, self.next),
        }
    }

    fn on_release(&mut self, release: Release) -> Vec<Act> {
        if !self.prints || self.resting {
            return Vec::new();
        }
        let end = release.position.saturating_add(release.length);
        if release.position > self.next {
            return self.ask_again();
        }
        if end < self.next || (end == self.next && release.stderr.is_none()) {
            return Vec::new();
        }
        let known = self.next - release.position;
        self.next = end;
        vec![Act::Print(Release {
            position: release.position + known,
            offset: release.offset + known,
            length: release.length - known,
            ..release
        })]
    }

    /// Asks once for what is missing; the end of the job brings it otherwise.
    fn ask_again(&mut self) -> Vec<Act> {
        if self.asked_again.replace(self.next) == Some(self.next) { Vec::new() } else { self.follow() }
    }

    fn on_printed(&mut self, upto: u64) -> Vec<Act> {
        self.printed = self.printed.max(upto);
        let consumed = SurrogateMessage::Consumed { upto: self.printed };
        let sm = self.accepted.filter(|_| self.ended.is_none()).map(ArmorName::Surrogate);
        let mut acts: Vec<Act> = sm.map(|sm| send(sm, consumed)).into_iter().collect();
        acts.extend(self.finish());
        acts
    }

    fn on_ended(&mut self, outcome: Outcome, length: u64) -> Vec<Act> {
        if self.ended.is_some() {
            return Vec::new();
        }
        self.ended = Some((outcome, length));
        self.finish()
    }

    /// Once the job has ended: prints the rest, and is done when that is out.
    fn finish(&mut self) -> Vec<Act> {
        let (Some(job), Some((outcome, length))) = (self.accepted, &self.ended) else { return Vec::new() };
        if !self.prints {
            return self.done();
        }
        if self.resting || self.printed < self.next {
            return Vec::new();
        }
        self.resting = true;
        let length = if matches!(outcome, Outcome::Result { .. }) { *length } else { self.next };
        vec![Act::PrintRest { job, from: self.next, length }]
    }

    fn done(&mut self) -> Vec<Act> {
        let Some((job, (outcome, length))) = self.accepted.zip(self.ended.take()) else { return Vec::new() };
        self.done = true;
        vec![Act::Done(Ending { job, outcome, length, printed: self.printed })]
    }

    fn interrupt(&mut self, code: u8) -> Vec<Act> {
        self.cancel.get_or_insert(code);
        self.tell_cancelled()
    }

    /// What a peer must know whose link has just come up.
    fn say_again(&self, peer: ArmorName) -> Vec<Act> {
        match (peer, self.accepted) {
            (ArmorName::Ftm, None) => vec![self.submit()],
            (ArmorName::Ftm, Some(_)) => self.await_end().into_iter().chain(self.tell_cancelled()).collect(),
            (ArmorName::Surrogate(_), _) => self.follow(),
            (ArmorName::Fanout(_), _) => self.tell_spooled(),
            (ArmorName::Daemon(_) | ArmorName::Voter(_) | ArmorName::Execution(..), _)
            | (ArmorName::User(_) | ArmorName::Heartbeat(_) | ArmorName::Mirror(_) | ArmorName::Init(_), _) => {
                Vec::new()
            }
        }
    }

    fn submit(&self) -> Act {
        send(ArmorName::Ftm, FtmMessage::Submit { request: self.request, job: self.job.clone() })
    }

    fn follow(&self) -> Vec<Act> {
        let sm = self.accepted.filter(|_| self.prints && self.ended.is_none()).map(ArmorName::Surrogate);
        sm.map(|sm| send(sm, SurrogateMessage::Follow { from: self.next, paced: true })).into_iter().collect()
    }

    fn await_end(&self) -> Vec<Act> {
        let job = self.accepted.filter(|_| self.ended.is_none());
        job.map(|job| send(ArmorName::Ftm, FtmMessage::Await(job))).into_iter().collect()
    }

    fn tell_cancelled(&self) -> Vec<Act> {
        let cancelled = self.accepted.filter(|_| self.ended.is_none()).zip(self.cancel);
        cancelled.map(|(job, code)| send(ArmorName::Ftm, FtmMessage::Cancel { job, code })).into_iter().collect()
    }

    fn tell_spooled(&self) -> Vec<Act> {
        let told = self.accepted.filter(|_| self.ended.is_none()).zip(self.spooled);
        let say = |(job, (length, end))| send(ArmorName::Fanout(job), FanoutMessage::Spooled { length, end });
        told.map(say).into_iter().collect()
    }
}

fn send(to: ArmorName, message: impl Into<Message>) -> Act {
    Act::Send { to, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Determinism, OsBytes};
    use crate::names::{Attempt, Digest, ExecutionId, HostId, Incarnation, LaneId, Millis, SlotId, TaskId};
    use crate::strategy::{Order, Redundancy, Restart, Strategy};
    use crate::world::{End, Region};

    const JOB: JobId = JobId(1);
    const SM: ArmorName = ArmorName::Surrogate(JOB);

    fn job(stdin: Stdin) -> Job {
        let redundancy = Redundancy { replicas: 1, quorum: 1, order: Order::Space };
        let restart = Restart { limit: 0, backoff: Millis(0), backoff_most: Millis(0) };
        let strategy = Strategy {
            name: "one".to_owned(),
            about: String::new(),
            redundancy,
            restart,
            extend_to: 1,
            repeats: 0,
            variation: None,
            patience_percent: 100,
        };
        Job {
            name: "test".to_owned(),
            strategy,
            stages: vec![],
            deadline: None,
            abnormal_exit: vec![],
            notify: vec![],
            hold: false,
            net: false,
            determinism: Determinism::Plain,
            masks: vec![],
            injections: vec![],
            directory: OsBytes::from(b"/".to_vec()),
            environment: vec![],
            stdin,
            spool_quota: 1 << 20,
            origin: Default::default(),
            build: None,
            umask: Job::USUAL_UMASK,
            needs: Default::default(),
        }
    }

    fn release(position: u64, length: u64) -> Release {
        Release {
            position,
            host: HostId(1),
            lane: LaneId(0),
            execution: ExecutionId { stage: StageId(0), task: TaskId(0), attempt: Attempt(0) },
            offset: position,
            length,
            digest: Digest::default(),
            slot: SlotId(0),
            begins: 0,
            stderr: None,
            others: Vec::new(),
        }
    }

    fn accepted(stdin: Stdin) -> Follower {
        let mut follower = Follower::new(7, job(stdin), true);
        follower.handle(Input::Message(UserMessage::Accepted { request: 7, job: JOB }));
        follower
    }

    fn released(follower: &mut Follower, pieces: &[(u64, u64)]) -> Vec<Act> {
        let pieces = pieces.iter().map(|(position, length)| release(*position, *length)).collect();
        follower.handle(Input::Message(UserMessage::Released(pieces)))
    }

    fn printed(acts: &[Act]) -> Vec<(u64, u64, u64)> {
        let piece = |act: &Act| match act {
            Act::Print(piece) => Some((piece.position, piece.offset, piece.length)),
            _ => None,
        };
        acts.iter().filter_map(piece).collect()
    }

    fn ended(outcome: Outcome, length: u64) -> Input {
        Input::Message(UserMessage::Ended { job: JOB, outcome, length })
    }

    fn result() -> Outcome {
        Outcome::Result { end: End::Exit(0) }
    }

    fn up(peer: ArmorName) -> Input {
        Input::Link(LinkEvent::Up { peer, incarnation: Incarnation(1) })
    }

    #[test]
    fn every_byte_is_printed_once_whatever_is_told_twice() {
        // Pieces told, and what is printed of them: (position, offset, length).
        type Row = (&'static [(u64, u64)], &'static [(u64, u64, u64)]);
        let table: [Row; 6] = [
            (&[(0, 4), (4, 4)], &[(0, 0, 4), (4, 4, 4)]),
            (&[(0, 4), (0, 4)], &[(0, 0, 4)]),
            (&[(0, 4), (0, 8)], &[(0, 0, 4), (4, 4, 4)]),
            (&[(0, 8), (2, 3)], &[(0, 0, 8)]),
            (&[(4, 4)], &[]),
            (&[(4, 4), (0, 8)], &[(0, 0, 8)]),
        ];
        for (told, expected) in table {
            assert_eq!(printed(&released(&mut accepted(Stdin::Null), told)), expected, "{told:?}");
        }
    }

    #[test]
    fn a_gap_is_asked_for_again_once() {
        let mut follower = accepted(Stdin::Null);
        let acts = released(&mut follower, &[(4, 4), (8, 4)]);
        assert_eq!(acts, [send(SM, SurrogateMessage::Follow { from: 0, paced: true })]);
        assert_eq!(printed(&released(&mut follower, &[(0, 4), (4, 8)])), [(0, 0, 4), (4, 4, 8)]);
    }

    #[test]
    fn a_restarted_manager_is_followed_from_the_next_byte() {
        let mut follower = accepted(Stdin::Null);
        released(&mut follower, &[(0, 10)]);
        assert_eq!(follower.handle(up(SM)), [send(SM, SurrogateMessage::Follow { from: 10, paced: true })]);
    }

    #[test]
    fn standard_error_alone_is_told_without_output() {
        let mut follower = accepted(Stdin::Null);
        let piece = Release { stderr: Some(Region::default()), ..release(0, 0) };
        let acts = follower.handle(Input::Message(UserMessage::Released(vec![piece.clone()])));
        assert_eq!(acts, [Act::Print(piece)]);
    }

    #[test]
    fn the_end_waits_for_the_printer_and_brings_the_rest() {
        let mut follower = accepted(Stdin::Null);
        released(&mut follower, &[(0, 4)]);
        assert_eq!(follower.handle(ended(result(), 9)), []);
        assert_eq!(follower.handle(Input::Printed { upto: 4 }), [Act::PrintRest { job: JOB, from: 4, length: 9 }]);
        let ending = Ending { job: JOB, outcome: result(), length: 9, printed: 9 };
        assert_eq!(follower.handle(Input::RestPrinted { upto: 9 }), [Act::Done(ending)]);
        assert_eq!(follower.handle(ended(result(), 9)), []);
    }

    #[test]
    fn nothing_undecided_is_printed_when_there_is_no_result() {
        let mut follower = accepted(Stdin::Null);
        assert_eq!(follower.handle(ended(Outcome::Deadline, 9)), [Act::PrintRest { job: JOB, from: 0, length: 0 }]);
    }

    #[test]
    fn an_interruption_before_acceptance_cancels_as_soon_as_there_is_a_job() {
        let mut follower = Follower::new(7, job(Stdin::Null), true);
        assert_eq!(follower.handle(Input::Interrupted { code: 130 }), []);
        let acts = follower.handle(Input::Message(UserMessage::Accepted { request: 7, job: JOB }));
        let cancel = send(ArmorName::Ftm, FtmMessage::Cancel { job: JOB, code: 130 });
        assert!(acts.contains(&cancel), "{acts:?}");
        assert!(follower.handle(up(ArmorName::Ftm)).contains(&cancel));
        assert_eq!(follower.handle(Input::Interrupted { code: 143 }), [cancel], "the first code stands");
    }

    #[test]
    fn a_follower_that_cannot_print_cancels_and_still_awaits_the_end() {
        let mut follower = accepted(Stdin::Null);
        let cancel = send(ArmorName::Ftm, FtmMessage::Cancel { job: JOB, code: 141 });
        assert_eq!(follower.handle(Input::Unprintable { code: 141 }), [cancel]);
        assert_eq!(released(&mut follower, &[(0, 4)]), []);
        let outcome = Outcome::Cancelled { code: 141 };
        let ending = Ending { job: JOB, outcome: outcome.clone(), length: 0, printed: 0 };
        assert_eq!(follower.handle(ended(outcome, 0)), [Act::Done(ending)]);
    }

    #[test]
    fn what_a_peer_may_have_missed_is_said_when_its_link_comes_up() {
        let mut follower = Follower::new(7, job(Stdin::Spool), true);
        assert_eq!(follower.handle(up(ArmorName::Ftm)), follower.start());
        let acts = follower.handle(Input::Message(UserMessage::Accepted { request: 7, job: JOB }));
        assert!(acts.contains(&Act::Spool { job: JOB }), "{acts:?}");
        follower.handle(Input::Spooled { length: 5, end: true });
        let spooled = send(ArmorName::Fanout(JOB), FanoutMessage::Spooled { length: 5, end: true });
        assert_eq!(follower.handle(up(ArmorName::Fanout(JOB))), [spooled]);
        assert_eq!(follower.handle(up(ArmorName::Ftm)), [send(ArmorName::Ftm, FtmMessage::Await(JOB))]);
    }

    #[test]
    fn a_refusal_is_told_before_acceptance_and_fails_the_job_after_it() {
        let refused = || Input::Message(UserMessage::Refused { why: "no".to_owned() });
        let mut follower = Follower::new(7, job(Stdin::Null), false);
        assert_eq!(follower.handle(refused()), [Act::Refused { why: "no".to_owned() }]);
        let mut follower = Follower::new(7, job(Stdin::Null), false);
        follower.handle(Input::Message(UserMessage::Accepted { request: 7, job: JOB }));
        let outcome = Outcome::Failed { why: "no".to_owned() };
        assert_eq!(follower.handle(refused()), [Act::Done(Ending { job: JOB, outcome, length: 0, printed: 0 })]);
    }
}
