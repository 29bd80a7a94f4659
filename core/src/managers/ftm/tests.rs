//! Stories of one FTM, told by direct calls; daemons, SMs and users are the test.

mod copies;
mod exclusion;
mod hosts;
mod moves;
mod people;
mod quarantine;
mod recovery;
mod reign;
mod restoration;
mod revival;

use proptest::prelude::*;

use super::registry::{Decided, Entry, LIVES, Sighting};
use super::*;
use crate::armor::Save;
use crate::job::{Determinism, Files, Job, Origin, Stage, Stdin};
use crate::message::{ArmorRow, ArmorState, DaemonMessage, EventRow, Evidence, Message, Outcome, Query, Unit, Why};
use crate::names::{Digest, ExecutionId, LaneId, Millis, StageId};
use crate::strategy::{Order, Redundancy, Restart, Strategy as Fault};
use crate::world::{End, ProcessCommand};

const JOB: JobId = JobId(1);
const SM: ArmorName = ArmorName::Surrogate(JOB);
const VOTER: ArmorName = ArmorName::Voter(JOB);
const LANE_0: ArmorName = ArmorName::Execution(JOB, LaneId(0));
const LANE_1: ArmorName = ArmorName::Execution(JOB, LaneId(1));
const USER: ArmorName = ArmorName::User(7);
const DONE: Outcome = Outcome::Result { end: End::Exit(0) };

fn daemon(host: u32) -> ArmorName {
    ArmorName::Daemon(HostId(host))
}

fn job(notify: &[&str]) -> Job {
    let strategy = Fault {
        name: "tmr".to_owned(),
        about: "three lanes, two must agree".to_owned(),
        redundancy: Redundancy { replicas: 3, quorum: 2, order: Order::Space },
        restart: Restart { limit: 3, backoff: Millis(10), backoff_most: Millis(100) },
        extend_to: 3,
        repeats: 1,
        variation: None,
        patience_percent: 50,
    };
    let command = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec().into()).collect();
    let stage = Stage { files: Files::None, ..Stage::new("sum", command(&["sum"])) };
    Job {
        name: "sum".to_owned(),
        strategy,
        stages: vec![stage],
        deadline: None,
        abnormal_exit: Vec::new(),
        notify: command(notify),
        hold: false,
        net: false,
        determinism: Determinism::Plain,
        masks: Vec::new(),
        injections: Vec::new(),
        directory: b"/tmp".to_vec().into(),
        environment: Vec::new(),
        stdin: Stdin::Null,
        spool_quota: 1 << 20,
        origin: Origin { host: HostId(1), pass: Digest([7; 32]) },
        build: None,
        umask: Job::USUAL_UMASK,
        needs: Default::default(),
    }
}

/// An FTM, its store, and a clock that the test turns.
struct Reign {
    ftm: Ftm,
    store: BTreeMap<String, Vec<u8>>,
    boot: Millis,
}

impl Reign {
    fn new() -> Reign {
        Reign::resumed(BTreeMap::new(), Millis(1_000), 1)
    }

    fn resumed(store: BTreeMap<String, Vec<u8>>, boot: Millis, life: u32) -> Reign {
        let identity = Identity { incarnation: Incarnation(life), ..Identity::of_test(ArmorName::Ftm, HostId(1)) };
        let mut ftm = Ftm::new(&identity);
        store.values().for_each(|bytes| ftm.apply(&minicbor::decode(bytes).unwrap()));
        let mut reign = Reign { ftm, store, boot };
        let step = reign.ftm.resume(reign.now());
        reign.keep(step);
        reign
    }

    /// The FTM dies; the next one reads the store.
    fn dies(self) -> Reign {
        let life = self.ftm.incarnation.0 + 1;
        Reign::resumed(self.store, self.boot, life)
    }

    fn now(&self) -> Moment {
        Moment { boot: self.boot, unix_ms: 1_700_000_000_000 + self.boot.0 }
    }

    fn keep(&mut self, step: FtmStep) -> Vec<Effect> {
        match step.save {
            None => {}
            Some(Save::Process(records)) => panic!("not on disk: {records:?}"),
            Some(Save::Disk(records)) => {
                for record in records {
                    match Ftm::place(&record) {
                        Place::Put(key) => drop(self.store.insert(key, minicbor::to_vec(&record).unwrap())),
                        Place::Delete(key) => drop(self.store.remove(&key)),
                        Place::Append => panic!("has no key: {record:?}"),
                    }
                }
            }
        }
        step.then
    }

    fn handle(&mut self, event: Event<FtmMessage>) -> Vec<Effect> {
        let step = self.ftm.handle(self.now(), event);
        self.keep(step)
    }

    fn told(&mut self, from: ArmorName, message: FtmMessage) -> Vec<Effect> {
        self.handle(Event::Message { from, message })
    }

    fn up(&mut self, peer: ArmorName) -> Vec<Effect> {
        self.handle(Event::Link(LinkEvent::Up { peer, incarnation: Incarnation(1) }))
    }

    fn down(&mut self, peer: ArmorName) -> Vec<Effect> {
        self.handle(Event::Link(LinkEvent::Down { peer }))
    }

    /// A daemon joins with these ARMORs running, each in its first life.
    fn joins(&mut self, host: u32, names: &[ArmorName]) -> Vec<Effect> {
        let own = unit(daemon(host), 1);
        let units = std::iter::once(own).chain(names.iter().map(|&name| unit(name, 1))).collect();
        let mut effects = self.up(daemon(host));
        effects.extend(self.told(daemon(host), FtmMessage::Joined { host: HostId(host), units }));
        effects
    }

    fn running(&mut self, host: u32, name: ArmorName) -> Vec<Effect> {
        self.told(daemon(host), FtmMessage::Running(unit(name, 1)))
    }

    fn submit(&mut self, request: u64) -> Vec<Effect> {
        self.told(USER, FtmMessage::Submit { request, job: Box::new(job(&[])) })
    }

    fn want(&mut self, names: &[ArmorName]) -> Vec<Effect> {
        self.told(SM, FtmMessage::WantPlaces { job: JOB, names: names.to_vec() })
    }

    fn ended(&mut self, outcome: Outcome) -> Vec<Effect> {
        self.told(SM, FtmMessage::Ended { job: JOB, outcome, length: 12 })
    }

    fn gone(&mut self, host: u32, name: ArmorName) -> Vec<Effect> {
        self.told(daemon(host), FtmMessage::Gone { name })
    }

    fn lost(&mut self, host: u32, name: ArmorName, incarnation: u32) -> Vec<Effect> {
        let (incarnation, why) = (Incarnation(incarnation), "it died too often".to_owned());
        self.told(daemon(host), FtmMessage::Lost { name, incarnation, why })
    }

    fn observed(&mut self, host: u32, number: u64, story: Story) -> Vec<Effect> {
        let occurrence = occurrence(daemon(host), story);
        self.told(daemon(host), FtmMessage::Observed { name: VOTER, occurrence, number })
    }

    fn happened(&mut self, first: u64, stories: Vec<Story>) -> Vec<Effect> {
        let occurrences = stories.into_iter().map(|story| occurrence(SM, story)).collect();
        self.told(SM, FtmMessage::Happened { job: JOB, first, occurrences })
    }

    fn ask(&mut self, query: Query) -> UserMessage {
        let effects = self.told(USER, FtmMessage::Ask(query));
        to_users(&effects).pop().expect("an answer")
    }

    fn refusal(&mut self, message: FtmMessage) -> String {
        match to_users(&self.told(USER, message)).pop() {
            Some(UserMessage::Refused { why }) => why,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn state(&self, name: ArmorName) -> ArmorState {
        self.ftm.registry.state(name)
    }

    fn stories(&mut self) -> Vec<Story> {
        match self.ask(Query::Events { job: None, from: 0 }) {
            UserMessage::Events(rows) => rows.into_iter().map(|row| row.occurrence.story).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// An FTM with one host, on which a job runs with its SM, a Voter and two lanes.
    fn with_job() -> Reign {
        let mut reign = Reign::new();
        reign.joins(1, &[]);
        reign.submit(5);
        reign.running(1, SM);
        reign.up(SM);
        reign.want(&[VOTER, LANE_0, LANE_1]);
        for name in [VOTER, LANE_0, LANE_1] {
            reign.running(1, name);
        }
        reign
    }
}

fn unit(name: ArmorName, incarnation: u32) -> Unit {
    Unit { name, incarnation: Incarnation(incarnation), pid: 99, restored_after_ms: None }
}

fn occurrence(noticed_by: ArmorName, story: Story) -> Occurrence {
    Occurrence { unix_ms: 1, boot: Millis(1), noticed_by, story }
}

fn sent<M: TryFrom<Message>>(effects: &[Effect]) -> Vec<(ArmorName, M)> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, message } => Some((*to, M::try_from(message.clone()).ok()?)),
        _ => None,
    });
    messages.collect()
}

fn to_sm(effects: &[Effect]) -> Vec<SurrogateMessage> {
    sent(effects).into_iter().filter(|(to, _)| *to == SM).map(|(_, message)| message).collect()
}

fn to_users(effects: &[Effect]) -> Vec<UserMessage> {
    sent(effects).into_iter().map(|(_, message)| message).collect()
}

/// Installed where, from which life on.
fn installs(effects: &[Effect]) -> Vec<(u32, ArmorName, u32)> {
    let installs = sent(effects).into_iter().filter_map(|(to, message)| match (to, message) {
        (ArmorName::Daemon(host), DaemonMessage::Install { name, incarnation, .. }) => {
            Some((host.0, name, incarnation.0))
        }
        _ => None,
    });
    installs.collect()
}

fn granted(names: &[ArmorName]) -> SurrogateMessage {
    SurrogateMessage::Granted(names.iter().map(|&name| (name, HostId(1))).collect())
}

fn retires(effects: &[Effect]) -> Vec<(u32, ArmorName)> {
    let retires = sent(effects).into_iter().filter_map(|(to, message)| match (to, message) {
        (ArmorName::Daemon(host), DaemonMessage::Retire { name, .. }) => Some((host.0, name)),
        _ => None,
    });
    retires.collect()
}

fn notifies(effects: &[Effect]) -> Vec<(u64, String)> {
    let notifies = effects.iter().filter_map(|effect| match effect {
        Effect::Process(ProcessCommand::Notify { notice, text, .. }) => Some((*notice, text.clone())),
        _ => None,
    });
    notifies.collect()
}

fn died() -> Story {
    Story::ArmorDied { name: VOTER, incarnation: Incarnation(1) }
}

fn dropped() -> Story {
    Story::LaneDropped { lane: LaneId(0), stage: StageId(0), why: Why::TooSlow }
}

#[test]
fn a_job_goes_from_submission_to_its_end_and_leaves_nothing_in_the_registry() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    let effects = reign.submit(5);
    assert_eq!(to_users(&effects), [UserMessage::Accepted { request: 5, job: JOB }]);
    assert_eq!(installs(&effects), [(1, SM, 1)]);
    assert!(matches!(to_sm(&reign.running(1, SM))[..], [SurrogateMessage::Begin(_), ..]));
    assert!(matches!(to_sm(&reign.up(SM))[..], [SurrogateMessage::Begin(_), ..]));
    let effects = reign.want(&[VOTER, LANE_0]);
    assert_eq!(installs(&effects), [(1, VOTER, 1), (1, LANE_0, 1)]);
    assert_eq!(to_sm(&reign.running(1, VOTER)), [], "not all of them run");
    assert_eq!(to_sm(&reign.running(1, LANE_0)), [granted(&[VOTER, LANE_0])]);
    reign.told(USER, FtmMessage::Await(JOB));
    let effects = reign.ended(DONE);
    assert_eq!(to_users(&effects), [UserMessage::Ended { job: JOB, outcome: DONE, length: 12 }]);
    assert_eq!(to_sm(&effects), [SurrogateMessage::EndKept]);
    assert_eq!(retires(&effects), [(1, VOTER), (1, LANE_0)]);
    assert_eq!(retires(&reign.gone(1, VOTER)), []);
    assert_eq!(reign.state(VOTER), ArmorState::Retired);
    assert_eq!(retires(&reign.gone(1, LANE_0)), [(1, SM)], "last, so that it can say what it has to say");
    assert_eq!(reign.state(SM), ArmorState::Retiring);
    reign.gone(1, SM);
    assert!(!reign.store.keys().any(|key| key.starts_with("armor/")), "{:?}", reign.store.keys());
}

#[test]
fn the_same_request_is_the_same_job_also_for_the_next_ftm() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.submit(5);
    assert_eq!(to_users(&reign.submit(5)), [UserMessage::Accepted { request: 5, job: JOB }]);
    let mut reign = reign.dies();
    assert_eq!(to_users(&reign.submit(5)), [UserMessage::Accepted { request: 5, job: JOB }]);
    assert_eq!(to_users(&reign.submit(6)), [UserMessage::Accepted { request: 6, job: JobId(2) }]);
}

#[test]
fn every_reign_has_a_higher_term_and_commands_carry_it() {
    let mut reign = Reign::new();
    for term in 1..4 {
        assert_eq!(reign.ftm.term(), Term(term));
        reign.joins(1, &[]);
        let effects = reign.submit(term);
        assert!(sent::<DaemonMessage>(&effects).iter().all(|(_, message)| matches!(message,
            DaemonMessage::Install { term: of, .. } if *of == Term(term))));
        reign = reign.dies();
    }
}

#[test]
fn an_unsound_job_is_refused_in_a_sentence() {
    let mut reign = Reign::new();
    type Spoil = fn(&mut Job);
    let table: [(Spoil, &str); 3] = [
        (|job| job.stages.clear(), "no stage"),
        (|job| job.stages[0].command.clear(), "no command"),
        (|job| job.strategy.redundancy.quorum = 4, "4 of 3 lanes"),
    ];
    for (spoil, expected) in table {
        let mut job = Box::new(job(&[]));
        spoil(&mut job);
        let why = reign.refusal(FtmMessage::Submit { request: 1, job });
        assert!(why.contains(expected), "{why}");
    }
    assert_eq!(reign.ftm.jobs.last(), JobId(0));
}

#[test]
fn what_is_requested_before_a_host_has_joined_is_placed_when_one_does() {
    let mut reign = Reign::new();
    assert_eq!(installs(&reign.submit(5)), []);
    assert_eq!(reign.state(SM), ArmorState::Requested);
    let mut reign = reign.dies();
    assert_eq!(reign.state(SM), ArmorState::Requested);
    assert_eq!(installs(&reign.joins(1, &[])), [(1, SM, 1)]);
}

#[test]
fn lanes_are_spread_over_the_hosts() {
    let mut reign = Reign::new();
    for host in 1..=3 {
        reign.joins(host, &[]);
    }
    reign.submit(5);
    reign.running(1, SM);
    let lanes: Vec<ArmorName> = (0..3).map(|lane| ArmorName::Execution(JOB, LaneId(lane))).collect();
    let hosts: BTreeSet<u32> = installs(&reign.want(&lanes)).iter().map(|(host, ..)| *host).collect();
    assert_eq!(hosts.len(), 3);
}

#[test]
fn a_message_that_comes_twice_changes_nothing_twice() {
    let mut reign = Reign::with_job();
    let events = reign.ftm.events.next();
    assert_eq!(installs(&reign.want(&[VOTER, LANE_0, LANE_1])), []);
    assert!(matches!(to_sm(&reign.want(&[VOTER]))[..], [SurrogateMessage::Granted(_)]), "answered again");
    assert_eq!(to_sm(&reign.running(1, VOTER)), []);
    reign.ended(DONE);
    let effects = reign.ended(Outcome::Deadline);
    assert_eq!(to_sm(&effects), [SurrogateMessage::EndKept]);
    assert_eq!(retires(&effects), []);
    assert_eq!(reign.ftm.jobs.get(JOB).unwrap().end.as_ref().unwrap().outcome, DONE, "the first end stands");
    assert_eq!(reign.ftm.events.next(), events + 1);
    reign.gone(1, VOTER);
    assert_eq!(reign.gone(1, VOTER), []);
}

#[test]
fn the_sm_is_told_all_it_is_owed_whenever_it_can_be_reached() {
    let mut reign = Reign::with_job();
    reign.happened(0, vec![died(), died()]);
    reign.lost(1, LANE_1, 1);
    reign.told(USER, FtmMessage::Cancel { job: JOB, code: 130 });
    let expected = |told: &[SurrogateMessage]| {
        assert!(matches!(told[0], SurrogateMessage::Begin(_)));
        let rest = [
            SurrogateMessage::Told { below: 2 },
            SurrogateMessage::Cancel { code: 130 },
            SurrogateMessage::Unavailable { name: LANE_1, why: "it died too often".to_owned() },
            granted(&[VOTER, LANE_0]),
        ];
        assert_eq!(told[1..], rest);
    };
    expected(&to_sm(&reign.up(SM)));
    let mut reign = reign.dies();
    reign.joins(1, &[SM, VOTER, LANE_0]);
    expected(&to_sm(&reign.up(SM)));
    reign.ended(Outcome::Cancelled { code: 130 });
    assert_eq!(to_sm(&reign.up(SM)), [SurrogateMessage::EndKept]);
}

#[test]
fn a_running_job_does_not_notice_that_the_ftm_died() {
    let mut reign = Reign::with_job().dies();
    assert_eq!(reign.state(VOTER), ArmorState::Installing, "nothing was heard yet");
    let effects = reign.joins(1, &[SM, VOTER, LANE_0, LANE_1]);
    assert_eq!(
        (installs(&effects), retires(&effects)),
        (vec![(1, SM, 1), (1, VOTER, 1), (1, LANE_0, 1), (1, LANE_1, 1)], vec![]),
        "said again as the link came up before the daemon spoke; a daemon obeys it once"
    );
    assert!([SM, VOTER, LANE_0, LANE_1].iter().all(|&name| reign.state(name) == ArmorState::Running));
    assert!(!reign.stories().iter().any(|story| matches!(story, Story::ArmorLost { .. })));
}

#[test]
fn an_sm_that_dies_before_it_could_say_that_its_job_ended_says_it_again() {
    // The ARMORs were not retired: the registry still has them all, and the next life of the SM ends the job.
    let mut reign = Reign::with_job();
    reign.down(SM);
    reign.told(daemon(1), FtmMessage::Running(unit(SM, 2)));
    assert!(matches!(to_sm(&reign.up(SM))[..], [SurrogateMessage::Begin(_), ..]));
    assert!([VOTER, LANE_0, LANE_1].iter().all(|&name| reign.state(name) == ArmorState::Running));
    assert_eq!(retires(&reign.ended(DONE)).len(), 3);
}

#[test]
fn an_sm_that_dies_after_its_armors_were_retired_finds_its_job_ended() {
    // The end was on disk before anything was retired: whoever asks is told the same end.
    let mut reign = Reign::with_job();
    reign.ended(DONE);
    reign.gone(1, VOTER);
    reign.gone(1, LANE_0);
    let mut reign = reign.dies();
    assert_eq!(installs(&reign.joins(1, &[SM])), [], "an ended job gets no new SM");
    assert_eq!(to_sm(&reign.up(SM)), [SurrogateMessage::EndKept]);
    assert_eq!(to_sm(&reign.ended(Outcome::Deadline)), [SurrogateMessage::EndKept]);
    assert_eq!(installs(&reign.want(&[VOTER])), [], "an ended job gets no new places");
    assert!(matches!(to_sm(&reign.want(&[VOTER]))[..], [SurrogateMessage::Unavailable { .. }]));
    assert_eq!(retires(&reign.gone(1, LANE_1)), [(1, SM)]);
    let mut reign = reign.dies();
    assert!(retires(&reign.joins(1, &[SM])).contains(&(1, SM)), "its retirement goes on");
    reign.gone(1, SM);
    assert_eq!(reign.ftm.registry.entries().count(), 0);
    let awaited = reign.told(USER, FtmMessage::Await(JOB));
    assert_eq!(to_users(&awaited), [UserMessage::Ended { job: JOB, outcome: DONE, length: 12 }]);
}

#[test]
fn an_ftm_that_dies_between_the_end_and_the_retirements_retires_in_its_next_life() {
    let mut reign = Reign::with_job();
    reign.ended(DONE);
    let mut reign = reign.dies();
    let effects = reign.joins(1, &[SM, VOTER, LANE_0, LANE_1]);
    let retired: BTreeSet<ArmorName> = retires(&effects).into_iter().map(|(_, name)| name).collect();
    assert_eq!((retired, installs(&effects)), (BTreeSet::from([VOTER, LANE_0, LANE_1]), vec![]));
}

#[test]
fn nobody_is_told_of_an_end_before_it_is_on_disk() {
    let mut reign = Reign::with_job();
    reign.told(USER, FtmMessage::Await(JOB));
    let message = FtmMessage::Ended { job: JOB, outcome: DONE, length: 0 };
    let step = reign.ftm.handle(reign.now(), Event::Message { from: SM, message });
    let Some(Save::Disk(records)) = &step.save else { panic!("{:?}", step.save) };
    assert!(records.iter().any(|record| matches!(record, FtmRecord::Job(job) if job.end.is_some())));
    assert!(step.then.iter().any(|effect| matches!(effect, Effect::Send { to: USER, .. })), "with the same step");
}

#[test]
fn a_lost_lane_moves_to_another_host_and_is_given_up_when_there_is_none() {
    let mut reign = Reign::with_job();
    reign.joins(2, &[]);
    let effects = reign.lost(1, LANE_0, 1);
    assert_eq!(installs(&effects), [(2, LANE_0, LIVES + 1)], "with lives that the first host never had");
    assert_eq!(retires(&effects), [(1, LANE_0)]);
    assert_eq!(retires(&reign.lost(1, LANE_0, 1)), [(1, LANE_0)], "the first host is told again");
    assert_eq!(installs(&reign.lost(2, LANE_0, 1)), [(2, LANE_0, LIVES + 1)], "of an earlier life: not yet obeyed");
    assert_eq!(
        to_sm(&reign.lost(2, LANE_0, LIVES + 1))[0],
        SurrogateMessage::Unavailable { name: LANE_0, why: "it died too often".to_owned() }
    );
    assert_eq!(reign.state(LANE_0), ArmorState::Lost);
    assert_eq!(reign.lost(2, LANE_0, LIVES + 1), [], "known");
    let told = reign.stories().into_iter().filter(|story| matches!(story, Story::ArmorLost { .. })).count();
    assert_eq!(told, 2);
}

#[test]
fn what_keeps_the_memory_of_a_job_moves_only_if_it_never_ran() {
    let mut reign = Reign::with_job();
    reign.joins(2, &[]);
    assert_eq!(installs(&reign.lost(1, VOTER, 1)), []);
    assert_eq!(reign.state(VOTER), ArmorState::Lost);
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.submit(5);
    reign.joins(2, &[]);
    assert_eq!(installs(&reign.lost(1, SM, 1)), [(2, SM, LIVES + 1)]);
}

#[test]
fn a_job_whose_sm_is_lost_for_good_ends() {
    for (cancelled, expected) in [(false, "failed"), (true, "cancelled")] {
        let mut reign = Reign::with_job();
        reign.told(USER, FtmMessage::Await(JOB));
        if cancelled {
            reign.told(USER, FtmMessage::Cancel { job: JOB, code: 143 });
        }
        let effects = reign.lost(1, SM, 1);
        let Some(UserMessage::Ended { outcome, .. }) = to_users(&effects).pop() else { panic!("{effects:?}") };
        assert_eq!(outcome.word(), expected);
        assert_eq!(outcome.exit_code(), if cancelled { 143 } else { 125 });
        assert_eq!(retires(&effects).len(), 3);
        [VOTER, LANE_0].iter().for_each(|&name| drop(reign.gone(1, name)));
        assert_eq!(retires(&reign.gone(1, LANE_1)), [(1, SM)]);
    }
}

#[test]
fn a_job_is_cancelled_by_its_sm_or_without_it_if_it_never_began() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.submit(5);
    let effects = reign.told(USER, FtmMessage::Cancel { job: JOB, code: 130 });
    let told = to_users(&effects);
    assert!(matches!(told.last(), Some(UserMessage::Ended { outcome: Outcome::Cancelled { code: 130 }, .. })));
    assert_eq!(retires(&effects), [(1, SM)]);

    let mut reign = Reign::with_job();
    let effects = reign.told(USER, FtmMessage::Cancel { job: JOB, code: 130 });
    assert_eq!(to_sm(&effects), [SurrogateMessage::Cancel { code: 130 }]);
    assert!(matches!(to_users(&effects)[..], [UserMessage::Accepted { .. }]), "it has not ended yet");
    let effects = reign.ended(Outcome::Cancelled { code: 130 });
    assert!(matches!(to_users(&effects)[..], [UserMessage::Ended { .. }]));

    for (placed, expected) in [(true, vec![SurrogateMessage::Cancel { code: 130 }]), (false, vec![])] {
        let mut reign = Reign::new();
        if placed {
            reign.joins(1, &[]);
        }
        reign.submit(5);
        let mut reign = reign.dies();
        let effects = reign.told(USER, FtmMessage::Cancel { job: JOB, code: 130 });
        assert_eq!(to_sm(&effects), expected, "an earlier FTM may have seen it begin, if it was placed");
    }
}

#[test]
fn the_registry_is_made_to_agree_with_what_a_host_says() {
    let stranger = ArmorName::Voter(JobId(9));
    let mut reign = Reign::with_job();
    let effects = reign.joins(1, &[SM, VOTER, LANE_0, stranger]);
    assert_eq!(retires(&effects), [(1, stranger)], "nobody needs it");
    assert_eq!(installs(&effects), [(1, LANE_1, LIVES + 1)], "it ran, and the host has forgotten it");
    let told: Vec<Story> = reign.stories();
    let lost = |name| told.iter().any(|story| matches!(story, Story::ArmorLost { name: lost, .. } if *lost == name));
    assert!(lost(stranger) && lost(LANE_1) && !lost(LANE_0));
    assert_eq!(retires(&reign.running(2, VOTER)), [(2, VOTER)], "it runs where it should not");
    assert_eq!(reign.state(VOTER), ArmorState::Running);
}

#[test]
fn an_armor_on_its_way_is_neither_lost_nor_running() {
    let mut reign = Reign::with_job();
    let on_its_way = Unit { pid: 0, ..unit(VOTER, 2) };
    let units = vec![unit(daemon(1), 1), unit(SM, 1), on_its_way, unit(LANE_0, 1), unit(LANE_1, 1)];
    let effects = reign.told(daemon(1), FtmMessage::Joined { host: HostId(1), units });
    assert_eq!((installs(&effects), retires(&effects)), (vec![], vec![]));
}

#[test]
fn what_an_sm_told_is_kept_once_and_in_order() {
    let mut reign = Reign::with_job();
    let before = reign.ftm.events.next();
    assert_eq!(to_sm(&reign.happened(0, vec![died(), dropped()])), [SurrogateMessage::Told { below: 2 }]);
    assert_eq!(to_sm(&reign.happened(1, vec![dropped(), died()])), [SurrogateMessage::Told { below: 3 }]);
    assert_eq!(to_sm(&reign.happened(5, vec![died()])), [SurrogateMessage::Told { below: 3 }], "a gap waits");
    let mut reign = reign.dies();
    assert_eq!(to_sm(&reign.happened(2, vec![died()])), [SurrogateMessage::Told { below: 3 }]);
    assert_eq!(reign.stories()[before as usize..], [died(), dropped(), died()]);
}

#[test]
fn a_job_ends_once_in_the_events_whoever_tells_it() {
    let ends = |reign: &mut Reign| reign.stories().iter().filter(|story| matches!(story, Story::Ended(_))).count();
    let mut reign = Reign::with_job();
    reign.happened(0, vec![Story::Ended(DONE)]);
    reign.ended(DONE);
    assert_eq!(ends(&mut reign), 1);
    let mut reign = Reign::with_job();
    reign.ended(DONE);
    assert_eq!(to_sm(&reign.happened(0, vec![Story::Ended(DONE)])), [SurrogateMessage::Told { below: 1 }]);
    assert_eq!(ends(&mut reign), 1);
}

#[test]
fn what_a_daemon_observed_is_kept_once_over_all_lives() {
    let mut reign = Reign::with_job();
    let below = |effects: &[Effect]| match sent::<DaemonMessage>(effects)[..] {
        [(_, DaemonMessage::ObservedKept { below })] => below,
        _ => panic!("{effects:?}"),
    };
    let first = 1 << 32;
    let before = reign.ftm.events.next();
    assert_eq!(below(&reign.observed(1, first, died())), first + 1);
    assert_eq!(below(&reign.observed(1, first, died())), first + 1, "repeated");
    assert_eq!(below(&reign.observed(1, first + 2, died())), first + 1, "a gap waits");
    let mut reign = reign.dies();
    assert_eq!(below(&reign.observed(1, first, died())), first + 1);
    assert_eq!(below(&reign.observed(1, first + 1, died())), first + 2);
    assert_eq!(below(&reign.observed(1, 3 << 32, died())), (3 << 32) + 1, "a later life of the daemon");
    assert_eq!(below(&reign.observed(1, first + 2, died())), (3 << 32) + 1, "an earlier one");
    assert_eq!(reign.ftm.events.next(), before + 3);
}

#[test]
fn a_user_is_answered_when_it_can_be_reached_and_forgotten_when_it_is_gone() {
    let mut reign = Reign::with_job();
    reign.told(USER, FtmMessage::Await(JOB));
    reign.told(USER, FtmMessage::Ask(Query::Submitted(JOB)));
    assert_eq!(to_users(&reign.up(USER)).len(), 3, "the acceptance of its job, twice, and its answer");
    assert_eq!(to_users(&reign.up(USER)), []);
    reign.down(USER);
    reign.boot = reign.boot + users::REACHED_WITHIN;
    assert_eq!(reign.handle(Event::Timer(Timer::Flush)), [Effect::Forget { peer: USER }]);
    assert_eq!(to_users(&reign.ended(DONE)), [], "nobody waits");
    let other = ArmorName::User(8);
    reign.told(other, FtmMessage::Ask(Query::Armors));
    reign.up(other);
    assert_eq!(reign.down(other), [Effect::Forget { peer: other }], "it waits for nothing");
}

#[test]
fn a_user_that_asked_again_before_its_link_was_seen_to_break_is_told_the_end() {
    let mut reign = Reign::with_job();
    reign.up(USER);
    reign.told(USER, FtmMessage::Await(JOB));
    let again = reign.down(USER);
    assert!(!again.contains(&Effect::Forget { peer: USER }), "{again:?}");
    assert_eq!(to_users(&reign.ended(DONE)).len(), 1, "said while it cannot be reached");
    let ended = UserMessage::Ended { job: JOB, outcome: DONE, length: 12 };
    assert!(to_users(&reign.up(USER)).contains(&ended));
    reign.told(USER, FtmMessage::Await(JOB));
    reign.down(USER);
    assert!(to_users(&reign.up(USER)).contains(&ended), "the answer may have been lost with the link");
}

#[test]
fn a_user_that_was_gone_before_it_could_be_answered_is_forgotten() {
    let mut reign = Reign::with_job();
    let late = ArmorName::User(8);
    reign.boot = reign.boot + Millis(5_000);
    reign.told(late, FtmMessage::Await(JOB));
    reign.boot = reign.boot + Millis(5_000);
    let effects = reign.handle(Event::Timer(Timer::Flush));
    let forgets = |user| Effect::Forget { peer: user };
    assert!(effects.contains(&forgets(USER)) && !effects.contains(&forgets(late)), "{effects:?}");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::SetTimer { timer: Timer::Flush, .. })));
    reign.up(late);
    reign.boot = reign.boot + Millis(50_000);
    assert_eq!(reign.handle(Event::Timer(Timer::Flush)), []);
    assert_eq!(to_users(&reign.ended(DONE)).len(), 1);
}

#[test]
fn questions_are_answered() {
    let mut reign = Reign::with_job();
    reign.told(daemon(1), FtmMessage::Running(Unit { pid: 11, ..unit(ArmorName::Ftm, 1) }));
    let rows = |answer| match answer {
        UserMessage::Jobs(rows) => rows.into_iter().map(|row: crate::message::JobRow| row.job.0).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    reign.submit(6);
    reign.ended(DONE);
    assert_eq!(rows(reign.ask(Query::Jobs { all: true })), [1, 2]);
    assert_eq!(rows(reign.ask(Query::Jobs { all: false })), [2]);
    assert_eq!(rows(reign.ask(Query::Job(JOB))), [1]);
    assert_eq!(reign.ask(Query::Submitted(JOB)), UserMessage::Submitted(Box::new(job(&[]).without_pass())));
    assert_eq!(job(&[]).without_pass().origin, Origin { host: HostId(1), pass: Digest::default() });
    let UserMessage::Armors(armors) = reign.ask(Query::Armors) else { panic!() };
    let of = |name| armors.iter().find(|row| row.name == name).cloned();
    let row = |name, pid, state| Some(ArmorRow { name, host: HostId(1), pid, incarnation: Incarnation(1), state });
    assert_eq!(of(ArmorName::Ftm), row(ArmorName::Ftm, 11, ArmorState::Running));
    assert_eq!(of(daemon(1)), row(daemon(1), 99, ArmorState::Running));
    assert_eq!(of(VOTER).unwrap().state, ArmorState::Retiring);
    let UserMessage::Events(events) = reign.ask(Query::Events { job: Some(JobId(2)), from: 0 }) else { panic!() };
    assert!(
        matches!(&events[..], [EventRow { job: Some(JobId(2)), occurrence, .. }] if occurrence.story == Story::Accepted)
    );
    let UserMessage::Events(events) = reign.ask(Query::Events { job: None, from: 2 }) else { panic!() };
    assert_eq!(events[0].number, 2);
}

#[test]
fn a_refusal_says_which_jobs_there_are_and_what_to_do() {
    let mut reign = Reign::new();
    let ask = |job| FtmMessage::Ask(Query::Job(JobId(job)));
    assert!(reign.refusal(ask(9)).contains("none was submitted"));
    reign.joins(1, &[]);
    reign.submit(5);
    let why = reign.refusal(ask(9));
    assert!(why.contains("no job j9") && why.contains("last one is j1"), "{why}");
    assert!(reign.refusal(FtmMessage::Await(JobId(9))).contains("j9"));
    assert!(reign.refusal(FtmMessage::Cancel { job: JobId(9), code: 1 }).contains("j9"));
    assert!(reign.refusal(FtmMessage::Ask(Query::Events { job: Some(JobId(9)), from: 0 })).contains("j9"));
    let why = reign.refusal(FtmMessage::Forget(JOB));
    assert!(why.contains("`cancel j1`"), "{why}");
}

#[test]
fn a_forgotten_job_is_gone_once_its_armors_are_and_its_number_never_comes_back() {
    let mut reign = Reign::with_job();
    reign.ended(DONE);
    let effects = reign.told(USER, FtmMessage::Forget(JOB));
    assert_eq!(to_users(&effects), [], "its ARMORs are still there");
    for name in [VOTER, LANE_0, LANE_1] {
        assert_eq!(to_users(&reign.gone(1, name)), []);
    }
    let effects = reign.gone(1, SM);
    assert_eq!(to_users(&effects), [UserMessage::Forgotten { job: JOB }]);
    let clean = DaemonMessage::Clean { term: Term(1), job: JOB };
    assert!(sent::<DaemonMessage>(&effects).contains(&(daemon(1), clean)));
    let next = reign.ftm.events.next();
    let mut reign = reign.dies();
    assert!(reign.refusal(FtmMessage::Forget(JOB)).contains("forgotten"));
    assert!(!reign.store.keys().any(|key| key.starts_with("job/") || key.starts_with("event/")));
    assert_eq!(reign.ftm.events.next(), next);
    assert_eq!(to_users(&reign.submit(8)), [UserMessage::Accepted { request: 8, job: JobId(2) }]);
    assert!(matches!(to_sm(&reign.happened(4, vec![died()]))[..], [SurrogateMessage::Told { below: 5 }]));
}

#[test]
fn files_of_a_forgotten_job_go_when_the_host_can_be_reached() {
    let mut reign = Reign::with_job();
    reign.ended(DONE);
    for name in [VOTER, LANE_0, LANE_1, SM] {
        reign.gone(1, name);
    }
    reign.down(daemon(1));
    reign.told(USER, FtmMessage::Forget(JOB));
    let clean = (daemon(1), DaemonMessage::Clean { term: Term(1), job: JOB });
    assert!(sent::<DaemonMessage>(&reign.up(daemon(1))).contains(&clean));
    assert!(!sent::<DaemonMessage>(&reign.up(daemon(1))).contains(&clean));
}

#[test]
fn the_oldest_ended_jobs_make_room() {
    let mut reign = Reign::new();
    for request in 0..jobs::KEPT as u64 + 3 {
        reign.submit(request);
        let job = JobId(request + 1);
        reign.told(USER, FtmMessage::Cancel { job, code: 1 });
    }
    let kept: Vec<u64> = reign.ftm.jobs.iter().map(|record| record.id.0).collect();
    assert_eq!((kept.len(), kept[0]), (jobs::KEPT, 4));
}

#[test]
fn every_kind_of_story_is_notable_or_not() {
    let execution = ExecutionId { stage: StageId(0), task: Default::default(), attempt: Default::default() };
    let lane = LaneId(0);
    let notable: [(Story, Option<&str>); 9] = [
        (Story::Accepted, None),
        (Story::Ended(DONE), None),
        (Story::Ended(Outcome::Cancelled { code: 130 }), None),
        (Story::Ended(Outcome::Deadline), Some("deadline")),
        (Story::Ended(Outcome::Untrusted { why: "all differ".to_owned(), released: 0 }), Some("all differ")),
        (Story::Ended(Outcome::Failed { why: "lost".to_owned() }), Some("a person must look")),
        (dropped(), Some("degraded")),
        (died(), Some("fault")),
        (
            Story::ProgramDied { lane, execution, evidence: Evidence::Stopped, ran: Millis(1), restart_after: None },
            Some("restart limit"),
        ),
    ];
    for (story, expected) in notable {
        let text = notices::notable(&story);
        match expected {
            None => assert_eq!(text, None, "{story:?}"),
            Some(word) => assert!(text.as_ref().is_some_and(|text| text.contains(word)), "{story:?}: {text:?}"),
        }
    }
}

/// An FTM with a running job whose user wants to be told.
fn with_notify() -> Reign {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.told(USER, FtmMessage::Submit { request: 5, job: Box::new(job(&["mail"])) });
    reign.running(1, SM);
    reign
}

#[test]
fn a_notice_is_on_disk_before_it_is_sent_and_gone_when_it_is_delivered() {
    let mut reign = with_notify();
    let message = FtmMessage::Happened { job: JOB, first: 0, occurrences: vec![occurrence(SM, dropped())] };
    let step = reign.ftm.handle(reign.now(), Event::Message { from: SM, message });
    let Some(Save::Disk(records)) = &step.save else { panic!() };
    assert!(records.iter().any(|record| matches!(record, FtmRecord::Notice(_))));
    let effects = reign.keep(step);
    let sent = notifies(&effects);
    assert!(matches!(&sent[..], [(0, text)] if text.contains("j1 (sum): degraded")), "{sent:?}");
    reign.happened(1, vec![dropped()]);
    assert_eq!(reign.ask(Query::Notices(JOB)), UserMessage::Notices { job: JOB, waiting: 2 });
    let effects = reign.handle(Event::Process(ProcessEvent::Notified { notice: 0, failure: None }));
    assert_eq!(notifies(&effects).len(), 1, "the next one, only now");
    assert_eq!(reign.ask(Query::Notices(JOB)), UserMessage::Notices { job: JOB, waiting: 1 });
    reign.handle(Event::Process(ProcessEvent::Notified { notice: 1, failure: None }));
    assert!(!reign.store.keys().any(|key| key.starts_with("notice/")));
}

#[test]
fn a_notice_that_fails_is_shown_tried_again_later_and_not_for_ever() {
    let mut reign = with_notify();
    reign.happened(0, vec![dropped()]);
    let mut waits = Vec::new();
    for attempt in 1..=notices::AGAIN.limit + 1 {
        let failure = Some("exit 1".to_owned());
        let effects = reign.handle(Event::Process(ProcessEvent::Notified { notice: 0, failure }));
        assert_eq!(notifies(&effects), [], "not at once");
        let wait = effects.iter().find_map(|effect| match effect {
            Effect::SetTimer { timer: Timer::Remind, after } => Some(*after),
            _ => None,
        });
        let failed = |story: &Story| matches!(story, Story::NotifyFailed { why, .. } if why.contains("exit 1"));
        assert_eq!(reign.stories().iter().filter(|story| failed(story)).count() as u32, attempt);
        let Some(wait) = wait else { break };
        waits.push(wait.0);
        reign.boot = reign.boot + wait;
        assert_eq!(notifies(&reign.handle(Event::Timer(Timer::Remind))).len(), 1);
    }
    assert_eq!(waits.len(), notices::AGAIN.limit as usize);
    assert_eq!(waits[..4], [1_000, 2_000, 4_000, 8_000]);
    assert!(matches!(reign.stories().last(), Some(Story::NotifyFailed { why, .. }) if why.contains("given up")));
    assert!(!reign.store.keys().any(|key| key.starts_with("notice/")));
}

#[test]
fn a_notify_command_that_never_ends_is_a_failure() {
    let mut reign = with_notify();
    reign.happened(0, vec![dropped()]);
    reign.boot = reign.boot + notices::BOUND;
    reign.handle(Event::Timer(Timer::Remind));
    assert!(matches!(reign.stories().last(), Some(Story::NotifyFailed { .. })));
}

#[test]
fn stored_notices_are_sent_by_the_next_ftm() {
    let mut reign = with_notify();
    reign.happened(0, vec![dropped()]);
    let step = {
        let Reign { store, boot, .. } = reign;
        let identity = Identity { incarnation: Incarnation(2), ..Identity::of_test(ArmorName::Ftm, HostId(1)) };
        let mut ftm = Ftm::new(&identity);
        store.values().for_each(|bytes| ftm.apply(&minicbor::decode(bytes).unwrap()));
        ftm.resume(Moment { boot, unix_ms: 0 })
    };
    assert_eq!(notifies(&step.then).len(), 1);
}

#[test]
fn the_store_is_read_in_the_order_in_which_it_was_numbered() {
    let event =
        |number| FtmRecord::Event(EventRecord { number, job: None, told: None, occurrence: occurrence(SM, died()) });
    let keys: Vec<String> = [9, 10, 100]
        .map(|number| match event(number).place() {
            Place::Put(key) => key,
            other => panic!("{other:?}"),
        })
        .to_vec();
    assert!(keys.is_sorted(), "{keys:?}");
}

/// The table of D7: what each decision and each word of a daemon makes of an ARMOR.
#[test]
fn the_registry_moves_only_as_drawn() {
    let host = HostId(1);
    let requested = Entry::requested(LANE_0);
    let installing = requested.installing(host);
    let moved = installing.moved(host, HostId(2));
    let lost = installing.lost(host, "why".to_owned());
    let retiring = installing.retiring(host);
    assert_eq!(moved.tried, [host]);
    let table = [
        (&requested, ArmorState::Requested, ArmorState::Requested, Sighting::Stray),
        (&installing, ArmorState::Installing, ArmorState::Running, Sighting::Began),
        (&moved, ArmorState::Installing, ArmorState::Installing, Sighting::Stray),
        (&retiring, ArmorState::Retiring, ArmorState::Retiring, Sighting::Known),
        (&lost, ArmorState::Lost, ArmorState::Lost, Sighting::Stray),
    ];
    for (entry, before, after, sighting) in table {
        let mut registry = Registry::default();
        registry.put(entry);
        assert_eq!(registry.state(LANE_0), before);
        assert_eq!(registry.sight(host, &unit(LANE_0, 1)), sighting, "{before:?}");
        assert_eq!(registry.state(LANE_0), after);
        registry.remove(LANE_0);
        assert_eq!(registry.state(LANE_0), ArmorState::Retired);
        assert_eq!(registry.sight(host, &unit(LANE_0, 1)), Sighting::Stray, "retired: unknown");
    }
}

/// Anything that can reach an FTM.
fn any_event() -> impl Strategy<Value = Event<FtmMessage>> {
    let job = (1u64..3).prop_map(JobId);
    let armor = (job.clone(), 0u8..4).prop_map(|(job, kind)| match kind {
        0 => ArmorName::Surrogate(job),
        1 => ArmorName::Voter(job),
        2 => ArmorName::Execution(job, LaneId(0)),
        _ => ArmorName::Execution(job, LaneId(1)),
    });
    let host = (1u32..3).prop_map(HostId);
    let unit = (armor.clone(), 1u32..3, 0u32..2).prop_map(|(name, life, pid)| Unit { pid, ..unit(name, life) });
    let outcome = prop_oneof![Just(DONE), Just(Outcome::Deadline)];
    let story = prop_oneof![Just(died()), Just(dropped()), Just(Story::Ended(DONE))];
    let by_user = prop_oneof![
        (1u64..3).prop_map(|request| FtmMessage::Submit { request, job: Box::new(super::tests::job(&["mail"])) }),
        job.clone().prop_map(FtmMessage::Await),
        job.clone().prop_map(|job| FtmMessage::Cancel { job, code: 130 }),
        job.clone().prop_map(FtmMessage::Forget),
        Just(FtmMessage::Ask(Query::Armors)),
    ];
    let by_daemon = prop_oneof![
        (host.clone(), proptest::collection::vec(unit.clone(), 0..4))
            .prop_map(|(host, units)| FtmMessage::Joined { host, units }),
        unit.prop_map(FtmMessage::Running),
        armor.clone().prop_map(|name| FtmMessage::Gone { name }),
        (armor.clone(), 1u32..2_000).prop_map(|(name, life)| FtmMessage::Lost {
            name,
            incarnation: Incarnation(life),
            why: "why".to_owned()
        }),
        (armor.clone(), 0u64..4).prop_map(|(name, number)| FtmMessage::Observed {
            name,
            occurrence: occurrence(SM, died()),
            number
        }),
    ];
    let by_sm = prop_oneof![
        (job.clone(), proptest::collection::vec(armor.clone(), 0..4))
            .prop_map(|(job, names)| FtmMessage::WantPlaces { job, names }),
        (job.clone(), 0u64..4, story).prop_map(|(job, first, story)| FtmMessage::Happened {
            job,
            first,
            occurrences: vec![occurrence(SM, story)]
        }),
        (job.clone(), outcome).prop_map(|(job, outcome)| FtmMessage::Ended { job, outcome, length: 1 }),
    ];
    let peer = prop_oneof![Just(USER), armor, host.clone().prop_map(ArmorName::Daemon)];
    prop_oneof![
        3 => by_user.prop_map(|message| Event::Message { from: USER, message }),
        4 => (host, by_daemon).prop_map(|(host, message)| Event::Message { from: ArmorName::Daemon(host), message }),
        4 => (job, by_sm).prop_map(|(job, message)| Event::Message { from: ArmorName::Surrogate(job), message }),
        2 => peer.clone().prop_map(|peer| Event::Link(LinkEvent::Up { peer, incarnation: Incarnation(1) })),
        1 => peer.prop_map(|peer| Event::Link(LinkEvent::Down { peer })),
        1 => (0u64..3, any::<bool>()).prop_map(|(notice, fails)| Event::Process(ProcessEvent::Notified {
            notice,
            failure: fails.then(|| "exit 1".to_owned())
        })),
        1 => Just(Event::Timer(Timer::Remind)),
    ]
}

proptest! {
    /// In any order of events and of the FTM's own deaths: nothing is said that the store does not
    /// bear out, an end stands, a retired name does not run, and the next FTM knows what this one did.
    #[test]
    fn no_order_of_events_breaks_the_rules_of_the_registry(
        events in proptest::collection::vec((any_event(), 0u64..2_000, 0u8..15), 0..60)
    ) {
        let mut reign = Reign::new();
        let mut ends: BTreeMap<JobId, Outcome> = BTreeMap::new();
        for (event, wait, fate) in events {
            reign.boot = reign.boot + Millis(wait);
            if fate == 0 {
                let before = (reign.ftm.jobs.iter().cloned().collect::<Vec<_>>(), reign.ftm.events.next(),
                    reign.ftm.registry.entries().cloned().collect::<Vec<_>>(), reign.ftm.term());
                reign = reign.dies();
                let after = (reign.ftm.jobs.iter().cloned().collect::<Vec<_>>(), reign.ftm.events.next(),
                    reign.ftm.registry.entries().cloned().collect::<Vec<_>>(), Term(reign.ftm.term().0 - 1));
                prop_assert_eq!(before, after);
            }
            let effects = reign.handle(event);
            for (_, message) in sent::<DaemonMessage>(&effects) {
                if let DaemonMessage::Install { term, name, .. } = message {
                    prop_assert_eq!(term, reign.ftm.term());
                    let key = format!("armor/{name}");
                    prop_assert!(reign.store.contains_key(&key), "{name} is installed and not in the store");
                    prop_assert!(!name.job().is_some_and(|job| ends.contains_key(&job)), "{name} serves a job that has ended");
                }
            }
            for message in to_users(&effects) {
                if let UserMessage::Ended { job, outcome, .. } = message {
                    prop_assert_eq!(ends.entry(job).or_insert_with(|| outcome.clone()), &outcome, "an end stands");
                }
            }
            for record in reign.ftm.jobs.iter() {
                let Some(end) = &record.end else { continue };
                prop_assert_eq!(ends.entry(record.id).or_insert_with(|| end.outcome.clone()), &end.outcome);
                let running: Vec<ArmorName> = reign.ftm.registry.of_job(record.id)
                    .filter(|entry| !matches!(entry.decided, Decided::Retiring { .. })).map(|entry| entry.name).collect();
                let last = |name: &ArmorName| matches!(name.kind(), Kind::Surrogate | Kind::Mirror);
                let waits = running.iter().all(last) && reign.ftm.registry.of_job(record.id).count() > running.len();
                prop_assert!(running.is_empty() || waits, "its ARMORs are retired, its SM and its Mirror last: {running:?}");
            }
        }
    }
}
