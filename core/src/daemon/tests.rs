//! Stories of one daemon, told by direct calls; the rest of the world is the test.

mod hospitality;
mod lease;

use proptest::prelude::*;

use super::lives::{SHORT_LIVES, STEADY};
use super::watch::BEAT;
use super::*;
use crate::armor::Save;
use crate::message::{Evidence, Message, Vitals};
use crate::names::{JobId, LaneId};
use crate::world::ProcessSample;

const VOTER: ArmorName = ArmorName::Voter(JobId(1));
const FANOUT: ArmorName = ArmorName::Fanout(JobId(1));

/// A host: a daemon, its journal, and a clock that the test turns.
struct Host {
    id: HostId,
    daemon: Daemon,
    journal: BTreeMap<String, DaemonRecord>,
    boot: Millis,
    pid: u32,
    /// Nothing reaches it but what the test says.
    deaf: bool,
}

impl Host {
    /// The first life of the daemon of this host, and what it did at once.
    fn new(id: u32) -> (Host, Vec<Effect>) {
        Host::resumed(HostId(id), 1, BTreeMap::new(), Millis(1_000))
    }

    /// A host on which the FTM is not.
    fn plain() -> Host {
        Host::new(2).0
    }

    fn resumed(id: HostId, life: u32, journal: BTreeMap<String, DaemonRecord>, boot: Millis) -> (Host, Vec<Effect>) {
        let name = ArmorName::Daemon(id);
        let mut daemon = Daemon::new(&Identity { incarnation: Incarnation(life), ..Identity::of_test(name, id) });
        journal.values().for_each(|record| daemon.apply(record));
        let mut host = Host { id, daemon, journal, boot, pid: 1_000 * life, deaf: false };
        let step = host.daemon.resume(host.now());
        let effects = host.keep(step);
        (host, effects)
    }

    /// The daemon dies; the next one reads the journal.
    fn dies(self) -> (Host, Vec<Effect>) {
        let life = self.daemon.incarnation.0 + 1;
        Host::resumed(self.id, life, self.journal, self.boot)
    }

    fn now(&self) -> Moment {
        Moment { boot: self.boot, unix_ms: 1_700_000_000_000 + self.boot.0 }
    }

    fn keep(&mut self, step: DaemonStep) -> Vec<Effect> {
        if let Some(Save::Process(records) | Save::Disk(records)) = step.save {
            for record in records {
                let bytes = minicbor::to_vec(&record).unwrap();
                match Daemon::place(&record) {
                    Place::Put(key) => drop(self.journal.insert(key, minicbor::decode(&bytes).unwrap())),
                    Place::Delete(key) => drop(self.journal.remove(&key)),
                    Place::Append => panic!("{record:?} would be kept for ever"),
                }
            }
        }
        step.then
    }

    fn handle(&mut self, event: Event<DaemonMessage>) -> Vec<Effect> {
        let step = self.daemon.handle(self.now(), event);
        self.keep(step)
    }

    fn told(&mut self, from: ArmorName, message: DaemonMessage) -> Vec<Effect> {
        self.handle(Event::Message { from, message })
    }

    fn process(&mut self, event: ProcessEvent) -> Vec<Effect> {
        self.handle(Event::Process(event))
    }

    fn install(&mut self, term: u64, name: ArmorName, incarnation: u32, granted: u32) -> Vec<Effect> {
        let (incarnation, granted) = (Incarnation(incarnation), Incarnation(granted));
        self.told(
            ArmorName::Ftm,
            DaemonMessage::Install { term: Term(term), name, incarnation, granted, bid: None, mirror: None },
        )
    }

    fn retire(&mut self, term: u64, name: ArmorName) -> Vec<Effect> {
        self.told(ArmorName::Ftm, DaemonMessage::Retire { term: Term(term), name })
    }

    fn mark(&self, pid: u32) -> ProcessMark {
        ProcessMark { pid, start_time: u64::from(pid), boot_id: "boot".to_owned() }
    }

    fn blank(&mut self) -> Vec<Effect> {
        self.pid += 1;
        let process = self.mark(self.pid);
        self.process(ProcessEvent::Blank { process })
    }

    fn life(&self, name: ArmorName) -> Incarnation {
        self.daemon.charges[&name].incarnation
    }

    fn ready(&mut self, name: ArmorName) -> Vec<Effect> {
        let charge = &self.daemon.charges[&name];
        let (incarnation, process) = (charge.incarnation, charge.process().cloned().unwrap_or_default());
        self.told(name, DaemonMessage::Ready { name, incarnation, process })
    }

    fn exits(&mut self, name: ArmorName) -> Vec<Effect> {
        let incarnation = self.life(name);
        self.process(ProcessEvent::Exited { name, incarnation })
    }

    /// Installs an ARMOR and lets it run.
    fn run(&mut self, name: ArmorName, granted: u32) -> Vec<Effect> {
        let mut effects = self.install(1, name, 1, granted);
        effects.extend(self.blank());
        effects.extend(self.ready(name));
        effects
    }

    fn ftm_up(&mut self) -> Vec<Effect> {
        self.handle(Event::Link(LinkEvent::Up { peer: ArmorName::Ftm, incarnation: Incarnation(1) }))
    }

    fn wait(&mut self, ms: u64) {
        self.boot = self.boot + Millis(ms);
    }

    /// Lets time pass, a beat at a time; `answer` says what an ARMOR does about its pulse, `sample`
    /// what the system says of its process after so many beats.
    fn beats(
        &mut self,
        beats: u64,
        mut answer: impl FnMut(u64) -> Option<Progress>,
        mut sample: impl FnMut(u64) -> ProcessSample,
    ) -> Vec<Effect> {
        let mut all = Vec::new();
        for number in 1..=beats {
            self.wait(BEAT.0);
            if !self.deaf {
                self.told(ArmorName::Ftm, DaemonMessage::ObservedKept { below: 0 });
            }
            let effects = self.handle(Event::Timer(Timer::Beat));
            for effect in &effects {
                match effect {
                    Effect::Send { to, message: Message::Pulse(pulse) } => {
                        let Some(progress) = answer(number) else { continue };
                        let vitals = Vitals { incarnation: self.life(*to), beat: pulse.beat, progress };
                        all.extend(self.told(*to, DaemonMessage::Pong(vitals)));
                    }
                    Effect::Process(ProcessCommand::Sample { name, incarnation }) => {
                        let (name, incarnation, sample) = (*name, *incarnation, sample(number));
                        all.extend(self.process(ProcessEvent::Sampled { name, incarnation, sample }));
                    }
                    _ => {}
                }
            }
            all.extend(effects);
        }
        all
    }
}

fn to_ftm(effects: &[Effect]) -> Vec<FtmMessage> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to: ArmorName::Ftm, message: Message::Ftm(message) } => Some(message.clone()),
        _ => None,
    });
    messages.collect()
}

fn stories(effects: &[Effect]) -> Vec<Story> {
    let told = to_ftm(effects).into_iter().filter_map(|message| match message {
        FtmMessage::Observed { occurrence, .. } => Some(occurrence.story),
        _ => None,
    });
    told.collect()
}

fn commands(effects: &[Effect]) -> Vec<&ProcessCommand> {
    let commands = effects.iter().filter_map(|effect| match effect {
        Effect::Process(ProcessCommand::Stock { .. } | ProcessCommand::Sample { .. }) => None,
        Effect::Process(command) => Some(command),
        _ => None,
    });
    commands.collect()
}

fn assigned(effects: &[Effect]) -> Vec<(ArmorName, u32)> {
    let assigned = commands(effects).into_iter().filter_map(|command| match command {
        ProcessCommand::Assign { name, incarnation, .. } => Some((*name, incarnation.0)),
        _ => None,
    });
    assigned.collect()
}

fn stocked(effects: &[Effect]) -> Vec<u16> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Process(ProcessCommand::Stock { blanks }) => Some(*blanks),
        _ => None,
    });
    asked.collect()
}

const WELL: ProcessSample = ProcessSample { stopped: false, cpu_us: 0, starved_us: 0 };

#[test]
fn only_the_first_host_installs_the_ftm_and_only_once() {
    let (mut first, effects) = Host::new(1);
    assert_eq!(stocked(&effects), [1 + STOCK]);
    assert_eq!(assigned(&first.blank()), [(ArmorName::Ftm, 1)]);
    let (again, effects) = first.dies();
    assert_eq!(assigned(&effects), []);
    assert!(matches!(commands(&effects)[..], [ProcessCommand::Adopt { name: ArmorName::Ftm, .. }]));
    drop(again);
    let (second, effects) = Host::new(2);
    assert!(second.daemon.charges.is_empty());
    assert!(matches!(to_ftm(&effects)[..], [FtmMessage::Joined { host: HostId(2), .. }]), "looks for the FTM");
}

#[test]
fn an_assignment_is_saved_before_it_is_made() {
    let mut host = Host::plain();
    host.install(1, VOTER, 1, 9);
    let process = host.mark(77);
    let step = host.daemon.handle(host.now(), Event::Process(ProcessEvent::Blank { process: process.clone() }));
    let (incarnation, kept) = (Incarnation(1), Kept::Assigned(process));
    let record =
        ChargeRecord { name: VOTER, incarnation, floor: incarnation, granted: Incarnation(9), mirror: None, kept };
    assert_eq!(step.save, Some(Save::Process(vec![DaemonRecord::Charge(record)])));
    let assign = ProcessCommand::Assign { pid: 77, name: VOTER, incarnation: Incarnation(1), mirror: None };
    assert_eq!(step.then, [Effect::Process(assign)]);
}

#[test]
fn an_installed_armor_is_reported_when_it_is_ready() {
    let mut host = Host::plain();
    let effects = host.run(VOTER, 9);
    assert_eq!(assigned(&effects), [(VOTER, 1)]);
    let unit = Unit { name: VOTER, incarnation: Incarnation(1), pid: host.pid, restored_after_ms: None };
    assert_eq!(to_ftm(&effects), [FtmMessage::Running(unit)]);
}

#[test]
fn an_installation_repeated_is_one_installation() {
    let mut host = Host::plain();
    host.install(1, VOTER, 1, 9);
    host.install(1, VOTER, 1, 9);
    assert_eq!(assigned(&host.blank()), [(VOTER, 1)]);
    assert_eq!(host.install(1, VOTER, 1, 9), [], "on its way");
    host.ready(VOTER);
    assert!(matches!(to_ftm(&host.install(1, VOTER, 1, 9))[..], [FtmMessage::Running(_)]));
    assert_eq!(assigned(&host.blank()), []);
}

#[test]
fn a_lower_term_is_obeyed_by_no_daemon_in_any_life() {
    let mut host = Host::plain();
    host.run(VOTER, 9);
    host.install(5, VOTER, 1, 9);
    let (mut host, _) = host.dies();
    assert_eq!(host.daemon.term(), Term(5));
    let before = host.daemon.charges.clone();
    assert_eq!(host.install(4, FANOUT, 1, 9), []);
    assert_eq!(host.retire(4, VOTER), []);
    assert_eq!(host.told(ArmorName::Ftm, DaemonMessage::Clean { term: Term(4), job: JobId(1) }), []);
    assert_eq!(host.daemon.charges, before);
    assert!(!host.retire(5, VOTER).is_empty());
}

#[test]
fn a_dead_armor_is_restarted_at_once_and_people_are_told() {
    let mut host = Host::plain();
    host.ftm_up();
    host.run(VOTER, 9);
    host.blank();
    host.wait(STEADY.0);
    let effects = host.exits(VOTER);
    assert_eq!(assigned(&effects), [(VOTER, 2)]);
    assert_eq!(stories(&effects), [Story::ArmorDied { name: VOTER, incarnation: Incarnation(1) }]);
    host.wait(7);
    let effects = host.ready(VOTER);
    let restored = Story::ArmorRestored { name: VOTER, incarnation: Incarnation(2), after: Millis(7) };
    assert_eq!(stories(&effects), [restored]);
    assert!(to_ftm(&effects).iter().any(|message| matches!(message,
        FtmMessage::Running(unit) if unit.incarnation == Incarnation(2) && unit.restored_after_ms == Some(7))));
}

#[test]
fn the_end_of_an_earlier_life_ends_nothing() {
    let mut host = Host::plain();
    host.run(VOTER, 9);
    host.blank();
    host.exits(VOTER);
    assert_eq!(host.life(VOTER), Incarnation(2));
    assert_eq!(host.process(ProcessEvent::Exited { name: VOTER, incarnation: Incarnation(1) }), []);
    assert_eq!(host.process(ProcessEvent::Exited { name: FANOUT, incarnation: Incarnation(1) }), []);
    assert_eq!(host.life(VOTER), Incarnation(2));
}

#[test]
fn an_earlier_life_speaks_for_no_later_one() {
    let mut host = Host::plain();
    host.ftm_up();
    host.run(VOTER, 9);
    host.blank();
    host.exits(VOTER);
    let (process, incarnation) = (host.mark(1), Incarnation(1));
    host.told(VOTER, DaemonMessage::Ready { name: VOTER, incarnation, process });
    assert!(matches!(host.daemon.charges[&VOTER].state, State::Starting { .. }), "a dead life is not ready");
    host.ready(VOTER);
    let mut effects = Vec::new();
    for _ in 0..30 {
        effects.extend(host.beats(1, |_| None, |_| WELL));
        let (beat, progress) = (host.daemon.beat, Progress::default());
        host.told(VOTER, DaemonMessage::Pong(Vitals { incarnation, beat, progress }));
    }
    assert!(matches!(stories(&effects)[..], [Story::ArmorHung { .. }]), "a dead life answers for nobody");
}

/// Lets an ARMOR die as soon as it is started until it waits no more; the waits.
fn die_young(host: &mut Host, name: ArmorName, times: usize) -> (Vec<u64>, Vec<Effect>) {
    let (mut waits, mut all) = (Vec::new(), Vec::new());
    for _ in 0..times {
        host.blank();
        let effects = host.exits(name);
        let wait = effects.iter().find_map(|effect| match effect {
            Effect::SetTimer { timer: Timer::Restore(who), after } if *who == name => Some(after.0),
            _ => None,
        });
        all.extend(effects);
        let Some(wait) = wait else { continue };
        waits.push(wait);
        host.wait(wait);
        all.extend(host.handle(Event::Timer(Timer::Restore(name))));
    }
    (waits, all)
}

#[test]
fn short_lives_wait_longer_each_time_and_the_end_of_it_is_told() {
    let mut host = Host::plain();
    host.install(1, VOTER, 1, 999);
    let (waits, effects) = die_young(&mut host, VOTER, 40);
    assert_eq!(waits[..5], [20, 40, 80, 160, 320]);
    assert_eq!(waits.len(), SHORT_LIVES.limit as usize);
    assert!(waits.iter().all(|&wait| wait <= SHORT_LIVES.backoff_most.0));
    let lost = to_ftm(&effects);
    assert!(matches!(&lost[..], [FtmMessage::Lost { name: VOTER, why, .. }] if why.contains("12 times in a row")));
    assert!(
        matches!(&to_ftm(&host.ftm_up())[..], [FtmMessage::Joined { units, .. }, FtmMessage::Lost { .. }, ..]
        if units.len() == 1),
        "said again, and not among what runs"
    );
    assert!(matches!(to_ftm(&host.install(1, VOTER, 1, 999))[..], [FtmMessage::Lost { .. }]), "asked again");
    let (mut host, _) = host.dies();
    assert!(matches!(to_ftm(&host.ftm_up())[..], [FtmMessage::Joined { .. }, FtmMessage::Lost { .. }, ..]));
    host.install(1, VOTER, 1_000, 2_000);
    assert_eq!(assigned(&host.blank()), [(VOTER, 1_000)], "new lives");
}

#[test]
fn the_ftm_is_never_given_up() {
    let (mut host, _) = Host::new(1);
    let (waits, effects) = die_young(&mut host, ArmorName::Ftm, 60);
    assert_eq!(waits.len(), 60 - 1);
    assert_eq!(*waits.last().unwrap(), SHORT_LIVES.backoff_most.0);
    assert!(!to_ftm(&effects).iter().any(|message| matches!(message, FtmMessage::Lost { .. })));
}

#[test]
fn lives_that_were_steady_cost_no_wait_up_to_those_granted() {
    let mut host = Host::plain();
    host.run(VOTER, 50);
    for life in 1..50 {
        host.wait(STEADY.0);
        host.blank();
        assert_eq!(assigned(&host.exits(VOTER)), [(VOTER, life + 1)]);
        host.ready(VOTER);
    }
    host.wait(STEADY.0);
    let effects = host.exits(VOTER);
    assert!(matches!(&to_ftm(&effects)[..], [FtmMessage::Lost { why, .. }] if why.contains("50 lives")));
}

#[test]
fn an_armor_that_lives_but_does_not_work_is_replaced() {
    let spinning = |beat: u64| ProcessSample { cpu_us: beat * 100_000, ..WELL };
    let stopped = |_| ProcessSample { stopped: true, ..WELL };
    let idle = |_| WELL;
    let starved = |beat: u64| ProcessSample { starved_us: beat * 95_000, ..WELL };
    type Sample<'a> = &'a dyn Fn(u64) -> ProcessSample;
    let silent = None;
    let stuck = Some(Progress { done: 5, pending: 1 });
    let resting = Some(Progress { done: 5, pending: 0 });
    type Case<'a> = (&'a str, Option<Progress>, Sample<'a>, Option<(Evidence, u64)>);
    let table: [Case; 6] = [
        ("stopped", silent, &stopped, Some((Evidence::Stopped, 1_000))),
        ("spinning", silent, &spinning, Some((Evidence::Spinning, 4_000))),
        ("deaf", silent, &idle, Some((Evidence::Silent, 3_000))),
        ("without progress", stuck, &idle, Some((Evidence::NoProgress, 4_000))),
        ("starved", silent, &starved, None),
        ("at rest", resting, &idle, None),
    ];
    for (what, answer, sample, expected) in table {
        let mut host = Host::plain();
        host.ftm_up();
        host.run(VOTER, 9);
        let effects = host.beats(100, |_| answer, sample);
        let Some((expected, within)) = expected else {
            assert_eq!(stories(&effects), [], "{what}");
            assert_eq!(commands(&effects), Vec::<&ProcessCommand>::new(), "{what}");
            continue;
        };
        let told = stories(&effects);
        let [Story::ArmorHung { name: VOTER, incarnation, evidence, silent }] = &told[..] else {
            panic!("{what}: {told:?}")
        };
        assert_eq!((evidence, *incarnation), (&expected, Incarnation(1)), "{what}");
        assert!(silent.0 <= within, "{what}: {silent}");
        let kill = ProcessCommand::Kill { name: VOTER, incarnation: Incarnation(1) };
        assert_eq!(commands(&effects), [&kill], "{what}: killed once");
        host.blank();
        let effects = host.exits(VOTER);
        assert_eq!(assigned(&effects), [(VOTER, 2)], "{what}");
        assert_eq!(stories(&effects), [], "{what}: told once");
        assert!(matches!(stories(&host.ready(VOTER))[..], [Story::ArmorRestored { .. }]), "{what}");
    }
}

#[test]
fn a_link_that_closed_while_the_process_lives_is_a_silence_like_any_other() {
    let mut host = Host::plain();
    host.ftm_up();
    host.run(VOTER, 9);
    host.handle(Event::Link(LinkEvent::Down { peer: VOTER }));
    let effects = host.beats(30, |_| None, |_| WELL);
    assert!(matches!(stories(&effects)[..], [Story::ArmorHung { evidence: Evidence::Silent, .. }]));
}

#[test]
fn a_daemon_that_hears_nobody_any_more_ends_itself_and_accuses_nobody() {
    let mut host = Host::plain();
    host.ftm_up();
    host.run(VOTER, 9);
    host.deaf = true;
    let effects = host.beats(30, |_| None, |_| WELL);
    assert_eq!(stories(&effects), []);
    let (name, incarnation) = (ArmorName::Daemon(host.id), Incarnation(1));
    assert!(commands(&effects).contains(&&ProcessCommand::Kill { name, incarnation }));
}

#[test]
fn nobody_is_accused_of_what_the_daemon_missed_itself() {
    let mut host = Host::plain();
    host.run(VOTER, 9);
    host.beats(5, |_| None, |_| WELL);
    for _ in 0..20 {
        host.wait(2_000);
        let effects = host.beats(1, |_| None, |_| WELL);
        assert_eq!(commands(&effects), Vec::<&ProcessCommand>::new());
        let looks = |effect: &Effect| matches!(effect, Effect::Process(ProcessCommand::Sample { .. }));
        assert!(!effects.iter().any(looks), "nor looked at, before what may lie unread is read");
        host.beats(2, |_| None, |_| WELL);
    }
}

#[test]
fn a_start_that_never_gets_ready_is_replaced() {
    for (what, stopped, beats) in [("hangs", false, 70), ("is stopped", true, 15)] {
        let mut host = Host::plain();
        host.ftm_up();
        host.install(1, VOTER, 1, 9);
        host.blank();
        let effects = host.beats(beats, |_| None, |_| ProcessSample { stopped, ..WELL });
        assert!(matches!(stories(&effects)[..], [Story::ArmorHung { .. }]), "{what}");
        host.blank();
        assert_eq!(assigned(&host.exits(VOTER)), [(VOTER, 2)], "{what}");
    }
}

#[test]
fn the_next_daemon_adopts_what_lives_and_restarts_what_died() {
    let mut host = Host::plain();
    host.run(VOTER, 9);
    host.run(FANOUT, 9);
    let (mut host, effects) = host.dies();
    let adopts = |name| ProcessCommand::Adopt {
        name,
        incarnation: Incarnation(1),
        process: host.daemon.charges[&name].process().cloned().unwrap(),
    };
    assert_eq!(commands(&effects), [&adopts(VOTER), &adopts(FANOUT)]);
    host.ftm_up();
    host.blank();
    host.process(ProcessEvent::Adopted { name: VOTER, incarnation: Incarnation(1) });
    assert!(matches!(to_ftm(&host.ready(VOTER))[..], [FtmMessage::Running(_)]));
    let effects = host.exits(FANOUT);
    assert_eq!(assigned(&effects), [(FANOUT, 2)]);
    assert_eq!(
        stories(&effects),
        [
            Story::ArmorDied { name: FANOUT, incarnation: Incarnation(1) },
            Story::DaemonRestored { adopted: 1, restarted: 1 }
        ]
    );
    let told = to_ftm(&host.ftm_up());
    let FtmMessage::Joined { units, .. } = &told[0] else { panic!("{told:?}") };
    let pids: Vec<(ArmorName, bool)> = units.iter().map(|unit| (unit.name, unit.pid != 0)).collect();
    assert_eq!(pids, [(ArmorName::Daemon(HostId(2)), false), (VOTER, true), (FANOUT, false)]);
}

#[test]
fn a_daemon_with_nothing_to_adopt_says_so_in_every_life_but_the_first() {
    let mut first = Host::plain();
    assert_eq!(stories(&first.ftm_up()), []);
    let (mut second, _) = first.dies();
    assert_eq!(stories(&second.ftm_up()), [Story::DaemonRestored { adopted: 0, restarted: 0 }]);
}

#[test]
fn a_daemon_tells_its_own_process() {
    let mut host = Host::plain();
    let (name, incarnation, process) = (host.daemon.name, Incarnation(1), host.mark(42));
    assert_eq!(host.told(name, DaemonMessage::Ready { name, incarnation, process }), []);
    let told = to_ftm(&host.ftm_up());
    assert!(matches!(&told[0], FtmMessage::Joined { units, .. } if units[0].pid == 42 && units[0].name == name));
}

#[test]
fn retiring_kills_waits_cleans_and_says_so_however_often_it_is_asked() {
    let mut host = Host::plain();
    host.run(VOTER, 9);
    let kill = ProcessCommand::Kill { name: VOTER, incarnation: Incarnation(1) };
    assert_eq!(host.retire(1, VOTER), [Effect::Process(kill)]);
    assert_eq!(host.retire(1, VOTER), [], "the end of its process is awaited");
    assert_eq!(host.install(1, VOTER, 1, 9), [], "a retiring name does not come back");
    let effects = host.exits(VOTER);
    let clean = ProcessCommand::Clean { name: Some(VOTER), job: None };
    assert_eq!(commands(&effects), [&clean]);
    assert_eq!(to_ftm(&effects), [FtmMessage::Gone { name: VOTER }]);
    assert!(host.daemon.charges.is_empty());
    assert_eq!(to_ftm(&host.retire(1, VOTER)), [FtmMessage::Gone { name: VOTER }], "asked again");
    assert!(Host::dies(host).0.daemon.charges.is_empty());
}

#[test]
fn an_armor_is_retired_from_every_state() {
    type Prepare = fn(&mut Host);
    let table: [(&str, Prepare, bool); 6] = [
        ("waiting", |_| {}, false),
        ("starting", |host| drop(host.blank()), true),
        ("running", |host| drop((host.blank(), host.ready(VOTER))), true),
        ("resting", |host| drop((host.blank(), host.exits(VOTER), host.blank(), host.exits(VOTER))), false),
        ("lost", |host| drop(die_young(host, VOTER, 30)), false),
        (
            "hung",
            |host| {
                host.blank();
                host.ready(VOTER);
                host.beats(40, |_| None, |_| WELL);
            },
            true,
        ),
    ];
    for (what, prepare, runs) in table {
        let mut host = Host::plain();
        host.install(1, VOTER, 1, 99);
        prepare(&mut host);
        let mut effects = host.retire(1, VOTER);
        assert_eq!(to_ftm(&effects).is_empty(), runs, "{what}");
        if runs {
            effects = host.exits(VOTER);
        }
        assert_eq!(to_ftm(&effects), [FtmMessage::Gone { name: VOTER }], "{what}");
        assert_eq!(assigned(&host.blank()), [], "{what}: does not come back");
    }
}

#[test]
fn a_retirement_goes_on_in_the_next_life_of_the_daemon() {
    for (what, lives) in [("still alive", true), ("already dead", false)] {
        let mut host = Host::plain();
        host.run(VOTER, 9);
        host.retire(1, VOTER);
        let (mut host, effects) = host.dies();
        assert!(matches!(commands(&effects)[..], [ProcessCommand::Adopt { name: VOTER, .. }]), "{what}");
        if lives {
            let effects = host.process(ProcessEvent::Adopted { name: VOTER, incarnation: Incarnation(1) });
            assert!(matches!(commands(&effects)[..], [ProcessCommand::Kill { name: VOTER, .. }]), "{what}");
        }
        assert_eq!(to_ftm(&host.exits(VOTER)), [FtmMessage::Gone { name: VOTER }], "{what}");
    }
}

#[test]
fn what_was_observed_while_the_ftm_was_away_is_said_until_it_is_kept() {
    let mut host = Host::plain();
    host.run(VOTER, 9);
    host.wait(STEADY.0);
    assert_eq!(stories(&host.exits(VOTER)), [], "nobody would hear it");
    let first = 1 << 32;
    let numbers = |effects: &[Effect]| -> Vec<u64> {
        let told = to_ftm(effects).into_iter();
        told.filter_map(|message| match message {
            FtmMessage::Observed { number, .. } => Some(number),
            _ => None,
        })
        .collect()
    };
    assert_eq!(numbers(&host.ftm_up()), [first]);
    host.handle(Event::Link(LinkEvent::Down { peer: ArmorName::Ftm }));
    host.blank();
    assert_eq!(numbers(&host.ready(VOTER)), []);
    assert_eq!(numbers(&host.ftm_up()), [first, first + 1]);
    host.told(ArmorName::Ftm, DaemonMessage::ObservedKept { below: first + 1 });
    assert_eq!(numbers(&host.ftm_up()), [first + 1]);
    host.told(ArmorName::Ftm, DaemonMessage::ObservedKept { below: first + 2 });
    assert_eq!(numbers(&host.ftm_up()), []);
    let (mut host, _) = host.dies();
    host.ftm_up();
    assert_eq!(numbers(&host.exits(VOTER)), [2 << 32, (2 << 32) + 1], "a later life numbers higher");
}

#[test]
fn the_death_of_the_ftm_is_told_to_the_next_one() {
    let (mut host, _) = Host::new(1);
    host.blank();
    assert!(matches!(to_ftm(&host.ready(ArmorName::Ftm))[..], [FtmMessage::Joined { .. }]));
    host.ftm_up();
    host.wait(STEADY.0);
    host.handle(Event::Link(LinkEvent::Down { peer: ArmorName::Ftm }));
    host.blank();
    assert_eq!(assigned(&host.exits(ArmorName::Ftm)), [(ArmorName::Ftm, 2)]);
    host.ready(ArmorName::Ftm);
    assert!(matches!(
        stories(&host.ftm_up())[..],
        [Story::ArmorDied { name: ArmorName::Ftm, .. }, Story::ArmorRestored { name: ArmorName::Ftm, .. }]
    ));
}

#[test]
fn the_system_ends_with_its_owner_and_when_it_is_told() {
    let stop = [Effect::Process(ProcessCommand::Stop)];
    assert_eq!(Host::plain().process(ProcessEvent::OwnerGone), stop);
    assert_eq!(Host::plain().told(ArmorName::User(7), DaemonMessage::Stop), stop);
}

#[test]
fn the_stock_is_refilled_when_all_is_quiet_and_asked_for_when_it_is_short() {
    let mut host = Host::plain();
    let lanes: Vec<ArmorName> = (0..3).map(|lane| ArmorName::Execution(JobId(1), LaneId(lane))).collect();
    let asked: Vec<u16> = lanes.iter().flat_map(|&lane| stocked(&host.install(1, lane, 1, 9))).collect();
    assert_eq!(asked, [1, 2, 3]);
    host.blank();
    assert_eq!(stocked(&host.process(ProcessEvent::BlankLost { pid: 9 })), [2], "one died before it had a name");
    assert_eq!(stocked(&host.beats(1, |_| None, |_| WELL)), [2], "asked again");
    host.blank();
    host.blank();
    let quiet = host.beats(2, |_| None, |_| WELL);
    assert_eq!(stocked(&quiet), [], "nothing competes with a start");
    assert_eq!(stocked(&host.beats(1, |_| None, |_| WELL)), [STOCK]);
    (0..STOCK).for_each(|_| drop(host.blank()));
    assert_eq!(stocked(&host.beats(5, |_| None, |_| WELL)), []);
}

#[test]
fn a_survivor_without_a_record_is_taken_in_and_told() {
    let mut host = Host::plain();
    let (incarnation, process) = (Incarnation(4), host.mark(99));
    let effects = host.told(VOTER, DaemonMessage::Ready { name: VOTER, incarnation, process: process.clone() });
    assert_eq!(commands(&effects), [&ProcessCommand::Adopt { name: VOTER, incarnation, process }]);
    assert!(matches!(&to_ftm(&effects)[..], [FtmMessage::Running(unit)] if unit.pid == 99));
    assert!(matches!(to_ftm(&host.exits(VOTER))[..], [FtmMessage::Lost { .. }]), "it was granted no further life");
}

#[test]
fn an_earlier_life_ends_before_a_later_one_begins() {
    let mut host = Host::plain();
    host.run(VOTER, 9);
    host.blank();
    let effects = host.install(2, VOTER, 1_001, 2_000);
    assert_eq!(assigned(&effects), []);
    assert_eq!(commands(&effects), [&ProcessCommand::Kill { name: VOTER, incarnation: Incarnation(1) }]);
    assert_eq!(assigned(&host.exits(VOTER)), [(VOTER, 1_001)]);
}

/// Anything that can reach a daemon.
fn any_event() -> impl Strategy<Value = Event<DaemonMessage>> {
    let name = prop_oneof![Just(VOTER), Just(FANOUT), Just(ArmorName::Ftm), Just(ArmorName::Daemon(HostId(1)))];
    let life = (1u32..4).prop_map(Incarnation);
    let term = (1u64..4).prop_map(Term);
    let mark = (1u32..6).prop_map(|pid| ProcessMark { pid, ..ProcessMark::default() });
    let message = prop_oneof![
        (term.clone(), name.clone(), life.clone()).prop_map(|(term, name, incarnation)| DaemonMessage::Install {
            term,
            name,
            incarnation,
            granted: Incarnation(incarnation.0 + 2),
            bid: None,
            mirror: None,
        }),
        (term.clone(), name.clone()).prop_map(|(term, name)| DaemonMessage::Retire { term, name }),
        (term, Just(JobId(1))).prop_map(|(term, job)| DaemonMessage::Clean { term, job }),
        (name.clone(), life.clone(), mark.clone()).prop_map(|(name, incarnation, process)| DaemonMessage::Ready {
            name,
            incarnation,
            process
        }),
        (life.clone(), 0u64..50).prop_map(|(incarnation, beat)| DaemonMessage::Pong(Vitals {
            incarnation,
            beat,
            progress: Progress { done: 1, pending: 1 }
        })),
        any::<u64>().prop_map(|below| DaemonMessage::ObservedKept { below }),
    ];
    let sample = (any::<bool>(), 0u64..9_000_000, 0u64..9_000_000)
        .prop_map(|(stopped, cpu_us, starved_us)| ProcessSample { stopped, cpu_us, starved_us });
    prop_oneof![
        (name.clone(), message).prop_map(|(from, message)| Event::Message { from, message }),
        mark.prop_map(|process| Event::Process(ProcessEvent::Blank { process })),
        (name.clone(), life.clone())
            .prop_map(|(name, incarnation)| Event::Process(ProcessEvent::Exited { name, incarnation })),
        (name.clone(), life.clone())
            .prop_map(|(name, incarnation)| Event::Process(ProcessEvent::Adopted { name, incarnation })),
        (name.clone(), life, sample).prop_map(|(name, incarnation, sample)| Event::Process(ProcessEvent::Sampled {
            name,
            incarnation,
            sample
        })),
        Just(Event::Timer(Timer::Beat)),
        name.clone().prop_map(|name| Event::Timer(Timer::Restore(name))),
        name.clone().prop_map(|peer| Event::Link(LinkEvent::Up { peer, incarnation: Incarnation(1) })),
        name.prop_map(|peer| Event::Link(LinkEvent::Down { peer })),
    ]
}

proptest! {
    /// In any order of events and of the daemon's own deaths: no lower term is obeyed, an ARMOR has
    /// one process at a time, its lives only go up, and what is retired does not run.
    #[test]
    fn no_order_of_events_breaks_the_rules_of_a_host(
        events in proptest::collection::vec((any_event(), 0u64..2_000, 0u8..20), 0..60)
    ) {
        let (mut host, _) = Host::new(1);
        let mut given: BTreeMap<ArmorName, u32> = BTreeMap::new();
        for (event, wait, fate) in events {
            host.wait(wait);
            if fate == 0 {
                host = host.dies().0;
            }
            let (before, term) = (host.daemon.charges.clone(), host.daemon.term());
            let lower = matches!(&event, Event::Message { message: DaemonMessage::Install { term: of, .. }
                | DaemonMessage::Retire { term: of, .. } | DaemonMessage::Clean { term: of, .. }, .. } if *of < term);
            let retired_by = |effects: &[Effect]| to_ftm(effects).into_iter().find_map(|message| match message {
                FtmMessage::Gone { name } => Some(name),
                _ => None,
            });
            let effects = host.handle(event);
            if lower {
                prop_assert!(effects.is_empty() && host.daemon.charges == before);
            }
            if let Some(name) = retired_by(&effects) {
                prop_assert!(!host.daemon.charges.contains_key(&name));
                given.remove(&name);
            }
            for (name, life) in assigned(&effects) {
                let earlier = before.get(&name).and_then(|charge| charge.process());
                let retiring = before.get(&name).is_some_and(|charge| matches!(charge.state, State::Retiring { .. }));
                prop_assert!(!retiring, "{name} comes back");
                prop_assert!(given.insert(name, life).is_none_or(|before| before < life), "{name} i{life}");
                prop_assert!(earlier.is_none() || life > before[&name].incarnation.0, "two processes of {name}");
            }
        }
        let lives = |host: &Host| host.daemon.charges.iter().filter(|(name, _)| **name != ArmorName::Ftm)
            .map(|(&name, charge)| (name, charge.process().cloned())).collect::<Vec<_>>();
        let known = host.daemon.charges.keys().copied().collect::<Vec<_>>();
        let running: Vec<_> = lives(&host).into_iter().filter(|(_, process)| process.is_some()).collect();
        let next = lives(&host.dies().0);
        prop_assert!(next.iter().all(|(name, _)| known.contains(name)), "what is forgotten stays so");
        prop_assert!(running.iter().all(|life| next.contains(life)), "every process is found again");
    }
}
