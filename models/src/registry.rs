//! The FTM, two daemons and the ARMORs of one job: what is installed, and what is retired.
//!
//! FTM and daemons are the real ones. The ARMORs of the job are processes that say that they are ready and may die; its
//! SM asks for a place for one Execution and ends the job, and says both again to every life of the FTM.

use std::collections::BTreeMap;

use chameleon_core::armor::Effect;
use chameleon_core::daemon::DaemonRecord;
use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::managers::ftm::registry::Decided;
use chameleon_core::message::{DaemonMessage, FtmMessage, Message, Outcome, SurrogateMessage};
use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId, LaneId, Term};
use chameleon_core::shell::{Identity, Input, Place, Saved};
use chameleon_core::world::{End, ProcessCommand, ProcessEvent, ProcessMark};
use stateright::Property;

use crate::jobs;
use crate::lives::{Deed, Stepped};
use crate::setting::{Fact, Faults, Outside, Setting};
use crate::world::{State, World};

const JOB: JobId = JobId(1);
const SURROGATE: ArmorName = ArmorName::Surrogate(JOB);
const USER: ArmorName = ArmorName::User(1);
/// The FTM lives apart from both hosts, so that no daemon has it in its charge: here it just begins again.
const HOSTS: [HostId; 2] = [HostId(2), HostId(3)];

const ONE_FTM_A_TERM: &str = "one FTM a term";
const NO_LOWER_TERM: &str = "a lower term is obeyed by no one";
const LIVES_ONCE: &str = "no life of an ARMOR is lived twice";
const ONE_LIFE: &str = "an ARMOR has one life at a time on a host";
const ONLY_FTM_RETIRES: &str = "what an ARMOR kept is deleted only where the FTM has decided so";
const RETIRED_IS_GONE: &str = "retired means gone";
const THEY_AGREE: &str = "when all is said and done, the registry and the hosts agree";

/// FTM, daemons and processes, with so many faults.
#[derive(Debug, Clone)]
pub struct Registry(pub Faults);

/// What is known of the hosts and of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What runs, by pid.
    processes: BTreeMap<u32, Process>,
    pids: u32,
    /// The last life of each ARMOR that was given a process.
    lived: BTreeMap<ArmorName, Incarnation>,
    /// Which life of the FTM spoke in a term.
    reigns: BTreeMap<Term, Incarnation>,
    /// The highest term that a daemon has heard, and has saved.
    terms: BTreeMap<ArmorName, (Term, Term)>,
    /// The life of the FTM to which each of these was last said.
    submitted: Incarnation,
    wanted: Incarnation,
    ended: Incarnation,
    /// What the SM has heard.
    begun: bool,
    granted: bool,
    end_kept: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    host: HostId,
    name: ArmorName,
    incarnation: Incarnation,
    /// The life of the daemon that it told that it is ready.
    told: Incarnation,
}

type RegistryWorld = World<Registry>;
type Sentence = Property<RegistryWorld>;

impl Registry {
    /// What the FTM has on its disk about an ARMOR.
    fn decided(world: &RegistryWorld, state: &State<Facts>, name: ArmorName) -> Option<Decided> {
        let ftm = world.seat(ArmorName::Ftm)?;
        let records = world.lives.records(state.sitters[ftm].store);
        let bytes = records.keyed.get(&format!("armor/{name}"))?;
        match minicbor::decode(bytes) {
            Ok(FtmRecord::Armor(entry)) => Some(entry.decided),
            _ => None,
        }
    }

    fn says(facts: &mut Facts, incarnation: Incarnation, to: ArmorName, message: &Message) -> Result<(), &'static str> {
        match message {
            Message::Daemon(message) => {
                let Some(term) = term_of(message) else { return Ok(()) };
                let first = *facts.reigns.entry(term).or_insert(incarnation);
                return if first == incarnation { Ok(()) } else { Err(ONE_FTM_A_TERM) };
            }
            Message::Surrogate(SurrogateMessage::Begin(_)) if to == SURROGATE => facts.begun = true,
            Message::Surrogate(SurrogateMessage::Granted(_)) if to == SURROGATE => facts.granted = true,
            Message::Surrogate(SurrogateMessage::EndKept) if to == SURROGATE => facts.end_kept = true,
            _ => {}
        }
        Ok(())
    }

    fn took(facts: &mut Facts, who: ArmorName, input: &Input, stepped: &Stepped) -> Result<(), &'static str> {
        let Input::Message { message: Message::Daemon(message), .. } = input else { return Ok(()) };
        let Some(term) = term_of(message) else { return Ok(()) };
        let (heard, _) = facts.terms.entry(who).or_default();
        let acts = |deed: &Deed| matches!(deed, Deed::Ask(Effect::Process(_)));
        if term < *heard && (stepped.saving.is_some() || stepped.deeds.iter().any(acts)) {
            return Err(NO_LOWER_TERM);
        }
        *heard = term.max(*heard);
        Ok(())
    }

    fn kept(facts: &mut Facts, who: ArmorName, record: &Saved) -> Result<(), &'static str> {
        match (&record.place, who) {
            (Place::Put(key), ArmorName::Daemon(_)) if key == "term" => {
                if let Ok(DaemonRecord::Term(term)) = minicbor::decode(&record.bytes) {
                    facts.terms.entry(who).or_default().1 = term;
                }
            }
            (Place::Delete(key), ArmorName::Ftm) => {
                let gone = key.strip_prefix("armor/").and_then(|name| name.parse().ok());
                if facts.processes.values().any(|process| Some(process.name) == gone) {
                    return Err(RETIRED_IS_GONE);
                }
            }
            (Place::Put(_) | Place::Append | Place::Delete(_), _) => {}
        }
        Ok(())
    }

    fn assigned(
        facts: &mut Facts,
        name: ArmorName,
        incarnation: Incarnation,
        host: HostId,
    ) -> Result<(), &'static str> {
        if facts.processes.values().any(|process| process.name == name && process.host == host) {
            return Err(ONE_LIFE);
        }
        let last = facts.lived.entry(name).or_default();
        if incarnation <= *last {
            return Err(LIVES_ONCE);
        }
        *last = incarnation;
        Ok(())
    }

    /// What the SM of the job says.
    fn surrogate(state: &State<Facts>, ftm: Incarnation) -> Vec<Outside<Facts>> {
        let facts = &state.facts;
        let is_ready = |process: &&Process| process.name == SURROGATE && process.told > Incarnation(0);
        let Some(surrogate) = facts.processes.values().find(is_ready).filter(|_| facts.begun && !facts.end_kept) else {
            return Vec::new();
        };
        let say = |facts: Facts, message: FtmMessage| {
            let input = Input::Message { from: SURROGATE, incarnation: surrogate.incarnation, message: message.into() };
            Outside { facts, to: Some((ArmorName::Ftm, input)), costs: Faults::default() }
        };
        let mut said = Vec::new();
        if facts.wanted < ftm {
            let names = vec![ArmorName::Execution(JOB, LaneId(0))];
            said.push(say(Facts { wanted: ftm, ..facts.clone() }, FtmMessage::WantPlaces { job: JOB, names }));
        }
        if facts.granted && facts.ended < ftm {
            let outcome = Outcome::Result { end: End::Exit(0) };
            let ended = FtmMessage::Ended { job: JOB, outcome, length: 0 };
            said.push(say(Facts { ended: ftm, ..facts.clone() }, ended));
        }
        said
    }

    /// What may happen to the processes of the hosts.
    fn processes(world: &RegistryWorld, state: &State<Facts>) -> Vec<Outside<Facts>> {
        let mut happenings = Vec::new();
        for (&pid, process) in &state.facts.processes {
            let (name, incarnation) = (process.name, process.incarnation);
            let daemon = ArmorName::Daemon(process.host);
            let life = world.living(state, daemon);
            if let Some(life) = life.filter(|life| process.told < *life) {
                let mut facts = state.facts.clone();
                facts.processes.insert(pid, Process { told: life, ..process.clone() });
                let ready = DaemonMessage::Ready { name, incarnation, process: mark(pid) };
                let input = Input::Message { from: name, incarnation, message: ready.into() };
                happenings.push(Outside { facts, to: Some((daemon, input)), costs: Faults::default() });
            }
            if state.faults.crashes > 0 {
                let mut facts = state.facts.clone();
                facts.processes.remove(&pid);
                let exited = Input::Process(ProcessEvent::Exited { name, incarnation });
                let costs = Faults { crashes: 1, ..Faults::default() };
                happenings.push(Outside { facts, to: life.map(|_| (daemon, exited)), costs });
            }
        }
        happenings
    }

    /// Whether what runs is what the FTM has decided.
    fn agree(world: &RegistryWorld, state: &State<Facts>) -> bool {
        let names = [SURROGATE, ArmorName::Execution(JOB, LaneId(0))];
        let runs = |name: ArmorName| state.facts.processes.values().find(|process| process.name == name);
        names.into_iter().all(|name| match Registry::decided(world, state, name) {
            Some(Decided::Installing { host, incarnation, granted, .. }) => runs(name)
                .is_some_and(|process| process.host == host && (incarnation..=granted).contains(&process.incarnation)),
            Some(Decided::Requested | Decided::Retiring { .. }) => false,
            Some(Decided::Lost { .. }) | None => runs(name).is_none(),
        })
    }
}

impl Setting for Registry {
    type Facts = Facts;

    fn cast(&self) -> Vec<Identity> {
        let daemons = HOSTS.map(|host| jobs::identity(ArmorName::Daemon(host), host));
        std::iter::once(jobs::identity(ArmorName::Ftm, HostId(1))).chain(daemons).collect()
    }

    fn faults(&self) -> Faults {
        self.0
    }

    fn rings(&self, timer: chameleon_core::armor::Timer) -> bool {
        matches!(timer, chameleon_core::armor::Timer::Restore(_))
    }

    fn answers(&self, facts: &mut Facts, who: ArmorName, effect: &Effect) -> Vec<Vec<Input>> {
        let (ArmorName::Daemon(host), Effect::Process(command)) = (who, effect) else { return Vec::new() };
        let event = match command {
            ProcessCommand::Stock { .. } => {
                facts.pids += 1;
                ProcessEvent::Blank { process: mark(facts.pids) }
            }
            &ProcessCommand::Assign { pid, name, incarnation, .. } => {
                facts.processes.insert(pid, Process { host, name, incarnation, told: Incarnation(0) });
                return Vec::new();
            }
            &ProcessCommand::Kill { name, incarnation } => {
                facts.processes.retain(|_, process| (process.name, process.incarnation) != (name, incarnation));
                ProcessEvent::Exited { name, incarnation }
            }
            &ProcessCommand::Adopt { name, incarnation, ref process } => match facts.processes.get(&process.pid) {
                Some(_) => ProcessEvent::Adopted { name, incarnation },
                None => ProcessEvent::Exited { name, incarnation },
            },
            _ => return Vec::new(),
        };
        vec![vec![Input::Process(event)]]
    }

    fn outside(&self, world: &RegistryWorld, state: &State<Facts>) -> Vec<Outside<Facts>> {
        let mut happenings = Registry::processes(world, state);
        if let Some(ftm) = world.living(state, ArmorName::Ftm) {
            if state.facts.submitted < ftm {
                let facts = Facts { submitted: ftm, ..state.facts.clone() };
                let submit = FtmMessage::Submit { request: 1, job: Box::new(jobs::job("single", 1)) };
                let input = Input::Message { from: USER, incarnation: Incarnation(1), message: submit.into() };
                happenings.push(Outside { facts, to: Some((ArmorName::Ftm, input)), costs: Faults::default() });
            }
            happenings.extend(Registry::surrogate(state, ftm));
        }
        happenings
    }

    fn look(&self, world: &RegistryWorld, state: &mut State<Facts>, fact: &Fact<'_>) -> Result<(), &'static str> {
        match fact {
            Fact::Says { from: ArmorName::Ftm, incarnation, to, message } => {
                Registry::says(&mut state.facts, *incarnation, *to, message)
            }
            Fact::Took { who, input, stepped } => Registry::took(&mut state.facts, *who, input, stepped),
            Fact::Kept { who, records } => {
                records.iter().try_for_each(|record| Registry::kept(&mut state.facts, *who, record))
            }
            Fact::Asks { who: ArmorName::Daemon(host), effect: Effect::Process(command) } => match command {
                ProcessCommand::Assign { name, incarnation, .. } => {
                    Registry::assigned(&mut state.facts, *name, *incarnation, *host)
                }
                ProcessCommand::Clean { name: Some(name), .. } => match Registry::decided(world, state, *name) {
                    Some(Decided::Installing { host: decided, .. }) if decided == *host => Err(ONLY_FTM_RETIRES),
                    _ => Ok(()),
                },
                _ => Ok(()),
            },
            Fact::Died { who } => {
                // What was heard and not saved dies with it; nothing was done about it.
                if let Some((heard, kept)) = state.facts.terms.get_mut(who) {
                    *heard = *kept;
                }
                Ok(())
            }
            Fact::Says { .. } | Fact::Asks { .. } => Ok(()),
        }
    }

    fn properties() -> Vec<Property<RegistryWorld>> {
        vec![
            Sentence::always(ONE_FTM_A_TERM, |_, state| state.broken != Some(ONE_FTM_A_TERM)),
            Sentence::always(NO_LOWER_TERM, |_, state| state.broken != Some(NO_LOWER_TERM)),
            Sentence::always(LIVES_ONCE, |_, state| state.broken != Some(LIVES_ONCE)),
            Sentence::always(ONE_LIFE, |_, state| state.broken != Some(ONE_LIFE)),
            Sentence::always(ONLY_FTM_RETIRES, |_, state| state.broken != Some(ONLY_FTM_RETIRES)),
            Sentence::always(RETIRED_IS_GONE, |_, state| state.broken != Some(RETIRED_IS_GONE)),
            Sentence::always(THEY_AGREE, |world, state| !world.is_calm(state) || Registry::agree(world, state)),
            Sentence::sometimes("the job ends and all of it is retired", |world, state| {
                let serves = |process: &Process| process.name.job().is_some();
                state.facts.end_kept && world.is_calm(state) && !state.facts.processes.values().any(serves)
            }),
        ]
    }
}

fn mark(pid: u32) -> ProcessMark {
    ProcessMark { pid, start_time: u64::from(pid), boot_id: String::new() }
}

/// The term of a command.
fn term_of(message: &DaemonMessage) -> Option<Term> {
    match message {
        DaemonMessage::Install { term, .. }
        | DaemonMessage::Retire { term, .. }
        | DaemonMessage::Clean { term, .. } => Some(*term),
        _ => None,
    }
}
