//! Three candidates and the store that they share: who is given the reign, and what that does to the one before.
//!
//! The candidates are the real element; their daemons, which raise the FTM and see it end, are two lines here. Time goes
//! on in steps, so that silence is judged. What a candidate asks of the store may take effect late, and the answer may be
//! lost. An FTM changes something in the store if it still reigns, and each candidate hears of that or does not.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::elements::candidacy::{Act, Candidacy, STILL};
use chameleon_core::names::{HostId, Millis, Term};
use chameleon_core::world::{Reign, ReignSight};
use stateright::{Model, Property};

use crate::check::{Report, lead};

/// A step of time: shorter than any silence that is judged, and not much.
const STEP: Millis = Millis(350);
const HOSTS: [HostId; 3] = [HostId(1), HostId(2), HostId(3)];

const ONE_REIGN: &str = "one reign a term: a term is given once, and raised once, where it was given";
const NO_HARM: &str = "no reign is replaced that worked: its FTM had ended, or had changed nothing for a while";
const ONE_WRITES: &str = "of all FTMs one may change the store";
const PASSES_ON: &str = "the reign can pass from host to host";

/// How much may happen, and whether the store compares what it is to.
#[derive(Debug, Clone)]
pub struct Candidates {
    pub steps: u8,
    pub deaths: u8,
    pub losses: u8,
    pub store_compares: bool,
}

impl Default for Candidates {
    fn default() -> Self {
        Candidates { steps: 9, deaths: 3, losses: 3, store_compares: true }
    }
}

type Request = Option<(Term, u64, Option<u64>)>;

/// All there is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// From where on steps are counted.
    began: Millis,
    now: Millis,
    hosts: Vec<Host>,
    reign: Reign,
    changes: u64,
    changed: Millis,
    /// What candidates asked for and the store has not heard yet.
    asked: BTreeSet<(usize, u8, Request)>,
    /// Where the FTM of each term was raised.
    raised: BTreeMap<Term, usize>,
    given: BTreeSet<Term>,
    broken: Option<&'static str>,
    deaths: u8,
    losses: u8,
}

/// A candidate's host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Host {
    life: u8,
    candidate: Candidacy,
    /// The FTM that is raised here.
    ftm: Option<Term>,
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Time goes on, and every candidate looks after the reign.
    Step,
    /// The store does what was asked, and answers; or the answer is lost.
    Serve(usize, u8, Request, bool),
    /// What was asked never arrives.
    Lose(usize, u8, Request),
    /// The FTM of this host changes something in the store; these hear of it.
    Beat(usize, [bool; 3]),
    FtmDies(usize),
    DaemonDies(usize),
}

fn candidate(host: usize, life: u8) -> Candidacy {
    let mut seed = [0; 32];
    (seed[0], seed[1]) = (u8::try_from(host).unwrap_or_default() + 1, life + 1);
    Candidacy::new(HOSTS[host], &seed)
}

impl Candidates {
    fn act(state: &mut State, host: usize, acts: Vec<Act>) {
        for act in acts {
            let life = state.hosts[host].life;
            match act {
                Act::Look => drop(state.asked.insert((host, life, None))),
                Act::Ask { accused, request, changes } => {
                    state.asked.insert((host, life, Some((accused, request, changes))));
                }
                // Another daemon's word only ever keeps a candidate from asking.
                Act::Inquire { .. } => {}
                Act::Raise { term, .. } => {
                    if state.raised.insert(term, host).is_some() || state.reign.term < term {
                        state.broken = Some(ONE_REIGN);
                    }
                    state.hosts[host].ftm = Some(term);
                }
            }
        }
    }

    fn beginning() -> State {
        let hosts = (0..HOSTS.len()).map(|host| Host { life: 0, candidate: candidate(host, 0), ftm: None });
        State {
            began: Millis(1_000),
            now: Millis(1_000),
            hosts: hosts.collect(),
            reign: Reign::default(),
            changes: 0,
            changed: Millis::default(),
            asked: BTreeSet::new(),
            raised: BTreeMap::new(),
            given: BTreeSet::new(),
            broken: None,
            deaths: 0,
            losses: 0,
        }
    }

    fn serve(&self, state: &mut State, host: usize, life: u8, request: Request, heard: bool) {
        if let Some((accused, request, changes)) = request {
            let is_so = state.reign.term == accused && changes.is_none_or(|changes| changes == state.changes);
            if is_so || !self.store_compares {
                Candidates::judge(state, changes.is_some());
                let term = Term(accused.0 + 1);
                if !state.given.insert(term) {
                    state.broken = Some(ONE_REIGN);
                }
                state.reign = Reign { term, host: HOSTS[host], request };
            }
        }
        if state.hosts[host].life != life {
            return;
        }
        let sight = match heard {
            true => ReignSight::Seen { reign: state.reign, changes: state.changes },
            false => ReignSight::Nothing,
        };
        let Host { candidate, ftm, .. } = &mut state.hosts[host];
        let acts = candidate.saw(state.now, &sight, *ftm);
        Candidates::act(state, host, acts);
    }

    /// A reign is about to be replaced; for its silence, or because nobody can have it.
    fn judge(state: &mut State, for_silence: bool) {
        let lives = state.hosts.iter().any(|host| host.ftm == Some(state.reign.term));
        let works = lives && (!for_silence || state.now.since(state.changed) < STILL);
        if works {
            state.broken = Some(NO_HARM);
        }
    }

    fn step(state: &mut State) {
        state.now = state.now + STEP;
        for index in 0..state.hosts.len() {
            let Host { candidate, ftm, .. } = &mut state.hosts[index];
            let over = ftm.filter(|term| *term < candidate.term());
            let acts = candidate.look_after(state.now, *ftm);
            if over.is_some() {
                *ftm = None;
            }
            Candidates::act(state, index, acts);
        }
    }

    fn beat(state: &mut State, index: usize, heard: [bool; 3]) {
        let Some(term) = state.hosts[index].ftm else { return };
        if term != state.reign.term || HOSTS[index] != state.reign.host {
            // The store does not take it, and it dies of that.
            return Candidates::ftm_ends(state, index);
        }
        state.changes += 1;
        state.changed = state.now;
        for (host, _) in state.hosts.iter_mut().zip(heard).filter(|(_, heard)| *heard) {
            host.candidate.heard(state.now, term, HOSTS);
        }
    }

    fn ftm_ends(state: &mut State, index: usize) {
        let host = &mut state.hosts[index];
        if let Some(term) = host.ftm.take() {
            host.candidate.ended(state.now, term);
            let acts = host.candidate.look_after(state.now, None);
            Candidates::act(state, index, acts);
        }
    }
}

impl Model for Candidates {
    type State = State;
    type Action = Action;

    /// Every point of a run in which each FTM is silent from its first moment, so that the reign passes on.
    fn init_states(&self) -> Vec<State> {
        let mut states = vec![Candidates::beginning()];
        for _ in 0..self.steps {
            let mut state = states.last().expect("there is a first").clone();
            Candidates::step(&mut state);
            states.push(state.clone());
            while let Some((host, life, request)) = state.asked.pop_first() {
                self.serve(&mut state, host, life, request, true);
            }
            states.push(state);
        }
        // As much time is left from each of them on.
        states.iter_mut().for_each(|state| state.began = state.now);
        states
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        if state.now.since(state.began) < Millis(STEP.0 * u64::from(self.steps)) {
            actions.push(Action::Step);
        }
        for &(host, life, request) in &state.asked {
            actions.push(Action::Serve(host, life, request, true));
            if state.losses < self.losses {
                actions.push(Action::Serve(host, life, request, false));
                actions.push(Action::Lose(host, life, request));
            }
        }
        for index in 0..state.hosts.len() {
            let raised = state.hosts[index].ftm.is_some();
            if raised && state.changed < state.now {
                actions.push(Action::Beat(index, [true; 3]));
                actions.push(Action::Beat(index, [index == 0, index == 1, index == 2]));
            }
            if state.deaths < self.deaths {
                actions.push(Action::DaemonDies(index));
                if raised {
                    actions.push(Action::FtmDies(index));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Step => Candidates::step(&mut state),
            Action::Serve(host, life, request, heard) => {
                state.asked.remove(&(host, life, request));
                state.losses += u8::from(!heard);
                self.serve(&mut state, host, life, request, heard);
            }
            Action::Lose(host, life, request) => {
                state.asked.remove(&(host, life, request));
                state.losses += 1;
            }
            Action::Beat(index, heard) => Candidates::beat(&mut state, index, heard),
            Action::FtmDies(index) => {
                state.deaths += 1;
                Candidates::ftm_ends(&mut state, index);
            }
            Action::DaemonDies(index) => {
                state.deaths += 1;
                let life = state.hosts[index].life + 1;
                let mut next = candidate(index, life);
                next.excuse(state.now);
                (state.hosts[index].life, state.hosts[index].candidate) = (life, next);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let holds = |sentence: &'static str, check: fn(&Candidates, &State) -> bool| Property::always(sentence, check);
        vec![
            holds(ONE_REIGN, |_, state| state.broken != Some(ONE_REIGN)),
            holds(NO_HARM, |_, state| state.broken != Some(NO_HARM)),
            holds(ONE_WRITES, |_, state| {
                let may =
                    |index: usize| state.hosts[index].ftm == Some(state.reign.term) && HOSTS[index] == state.reign.host;
                (0..HOSTS.len()).filter(|index| may(*index)).count() <= 1
            }),
            Property::sometimes(PASSES_ON, |_, state: &State| state.raised.values().collect::<BTreeSet<_>>().len() > 1),
        ]
    }
}

/// Explores it until so many states were visited.
#[must_use]
pub fn explore(candidates: Candidates, visits: usize) -> Report {
    lead(candidates, visits, |_, state, action| format!("{} {action:?}", state.now))
}
