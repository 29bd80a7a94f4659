//! The world of a model: ARMORs in their seats, links between them, saves under way, and what may happen next.
//!
//! Between two ARMORs messages keep their order, unless one overtakes, and a link that breaks loses what is in it; among
//! links any order is possible. What a dead life has said may still arrive. A save that is asked for is lost if its
//! process dies before it is written; if it dies after that, what was to be done then is not done.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::{LinkEvent, Timer};
use chameleon_core::names::{ArmorName, Incarnation};
use chameleon_core::shell::{Identity, Input};
use stateright::{Model, Property};

use crate::lives::{Deed, Heard, Life, Lives, Raise, Saving, Stepped, Store};
use crate::setting::{Fact, Faults, Outside, Setting};

/// An ARMOR by its place in the cast.
pub type Seat = usize;

/// How all stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State<F> {
    pub sitters: Vec<Sitter>,
    links: BTreeMap<(Seat, Seat), Link>,
    /// What is on its way, by sender, the sender's life, and recipient.
    on_the_way: BTreeMap<(Seat, Incarnation, Seat), Vec<Heard>>,
    pub faults: Faults,
    pub facts: F,
    /// The sentence that was broken.
    pub broken: Option<&'static str>,
}

/// An ARMOR, or where one was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sitter {
    life: Option<Life>,
    /// Of its present life, or of its last.
    pub incarnation: Incarnation,
    pub store: Store,
    saving: Vec<Saving>,
    timers: BTreeSet<Timer>,
    /// Answers of the machine that are to come; of each, one of several.
    owed: BTreeSet<Vec<Heard>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Link {
    Dialled,
    Up,
    /// It was up and broke.
    Broken,
}

/// What may happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A dead ARMOR begins its next life.
    Begin(Seat),
    /// The oldest save under way is written, and the ARMOR is told.
    Saved(Seat),
    Connect(Seat, Seat),
    /// One of several answers that the machine owes.
    Answered(Seat, usize, usize),
    Outside(usize),
    Arrives(Seat, Incarnation, Seat),
    Rings(Seat, Timer),
    /// From here on: faults.
    Dies(Seat),
    /// It dies just after its saves under way were written.
    DiesHavingSaved(Seat),
    Breaks(Seat, Seat),
    ArrivesTwice(Seat, Incarnation, Seat),
    Overtakes(Seat, Incarnation, Seat),
}

/// A setting, with the ARMORs that play in it.
pub struct World<S> {
    pub setting: S,
    pub lives: Lives,
    cast: Vec<Identity>,
}

impl<S: Setting> World<S> {
    #[must_use]
    pub fn new(setting: S, raise: Raise) -> Self {
        World { cast: setting.cast(), setting, lives: Lives::new(raise) }
    }

    /// The seat of an ARMOR that takes part.
    #[must_use]
    pub fn seat(&self, name: ArmorName) -> Option<Seat> {
        self.cast.iter().position(|identity| identity.name == name)
    }

    /// The present life of an ARMOR that takes part and lives.
    #[must_use]
    pub fn living(&self, state: &State<S::Facts>, name: ArmorName) -> Option<Incarnation> {
        let sitter = &state.sitters[self.seat(name)?];
        sitter.life.map(|_| sitter.incarnation)
    }

    /// Whether nothing more happens by itself: all that was to be said and done is.
    #[must_use]
    pub fn is_calm(&self, state: &State<S::Facts>) -> bool {
        let mut actions = Vec::new();
        self.usual(state, &mut actions);
        actions.is_empty()
    }

    /// What happens next, in words.
    #[must_use]
    pub fn tell(&self, state: &State<S::Facts>, action: &Action) -> String {
        let name = |seat: Seat| self.cast[seat].name;
        let text = |heard: Heard| format!("{:?}", self.lives.input(heard)).chars().take(200).collect::<String>();
        let next = |from, incarnation, to, index: usize| {
            let queue: &[Heard] = state.on_the_way.get(&(from, incarnation, to)).map_or(&[], Vec::as_slice);
            queue.get(index).map_or_else(String::new, |&heard| text(heard))
        };
        match *action {
            Action::Begin(seat) => format!("{} begins", name(seat)),
            Action::Saved(seat) => format!("{} has saved", name(seat)),
            Action::Connect(from, to) => format!("{} reaches {}", name(from), name(to)),
            Action::Answered(seat, index, choice) => {
                let heard = state.sitters[seat].owed.iter().nth(index).map(|choices| choices[choice]);
                format!("{} is answered: {}", name(seat), heard.map(text).unwrap_or_default())
            }
            Action::Outside(index) => match self.setting.outside(self, state).swap_remove(index).to {
                Some((to, input)) => format!("from outside, to {to}: {}", text(self.lives.hear(&input))),
                None => "something happens outside".to_owned(),
            },
            Action::Arrives(from, incarnation, to) => format!("{} hears {}", name(to), next(from, incarnation, to, 0)),
            Action::Rings(seat, timer) => format!("{}: {timer:?}", name(seat)),
            Action::Dies(seat) => format!("✗ {} dies", name(seat)),
            Action::DiesHavingSaved(seat) => format!("✗ {} dies, having saved", name(seat)),
            Action::Breaks(from, to) => format!("✗ the link from {} to {} breaks", name(from), name(to)),
            Action::ArrivesTwice(from, incarnation, to) => {
                format!("✗ {} hears, not for the last time, {}", name(to), next(from, incarnation, to, 0))
            }
            Action::Overtakes(from, incarnation, to) => {
                format!("✗ {} hears, out of order, {}", name(to), next(from, incarnation, to, 1))
            }
        }
    }

    fn origin(&self) -> State<S::Facts> {
        let store = self.lives.empty();
        let empty = Sitter {
            life: None,
            incarnation: Incarnation::default(),
            store,
            saving: Vec::new(),
            timers: BTreeSet::new(),
            owed: BTreeSet::new(),
        };
        State {
            sitters: vec![empty; self.cast.len()],
            links: BTreeMap::new(),
            on_the_way: BTreeMap::new(),
            faults: self.setting.faults(),
            facts: S::Facts::default(),
            broken: None,
        }
    }

    // ---- what may happen ----

    fn usual(&self, state: &State<S::Facts>, actions: &mut Vec<Action>) {
        let is_living = |seat: Seat| state.sitters[seat].life.is_some();
        for (seat, sitter) in state.sitters.iter().enumerate() {
            if !is_living(seat) {
                actions.push(Action::Begin(seat));
            } else if !sitter.saving.is_empty() {
                actions.push(Action::Saved(seat));
            }
        }
        let dialling = state.links.iter().filter(|(_, link)| **link != Link::Up);
        actions
            .extend(dialling.filter(|((_, to), _)| is_living(*to)).map(|(&(from, to), _)| Action::Connect(from, to)));
        for (seat, sitter) in state.sitters.iter().enumerate() {
            for (index, choices) in sitter.owed.iter().enumerate() {
                let affordable = if state.faults.wrong > 0 { choices.len() } else { 1 };
                actions.extend((0..affordable).map(|choice| Action::Answered(seat, index, choice)));
            }
        }
        actions.extend((0..self.setting.outside(self, state).len()).map(Action::Outside));
        let on_the_way = state.on_the_way.keys().filter(|(_, _, to)| is_living(*to));
        actions.extend(on_the_way.map(|&(from, incarnation, to)| Action::Arrives(from, incarnation, to)));
        for (seat, sitter) in state.sitters.iter().enumerate() {
            let timers = sitter.timers.iter().filter(|timer| self.setting.rings(**timer));
            actions.extend(timers.map(|&timer| Action::Rings(seat, timer)));
        }
    }

    fn faulty(&self, state: &State<S::Facts>, actions: &mut Vec<Action>) {
        let is_living = |seat: Seat| state.sitters[seat].life.is_some();
        if state.faults.crashes > 0 {
            for (seat, sitter) in state.sitters.iter().enumerate().filter(|(seat, _)| is_living(*seat)) {
                actions.push(Action::Dies(seat));
                if !sitter.saving.is_empty() {
                    actions.push(Action::DiesHavingSaved(seat));
                }
            }
        }
        if state.faults.losses > 0 {
            let up = state.links.iter().filter(|(_, link)| **link == Link::Up);
            actions.extend(up.map(|(&(from, to), _)| Action::Breaks(from, to)));
        }
        for (&(from, incarnation, to), queue) in state.on_the_way.iter().filter(|((_, _, to), _)| is_living(*to)) {
            if state.faults.duplicates > 0 {
                actions.push(Action::ArrivesTwice(from, incarnation, to));
            }
            if state.faults.overtakings > 0 && queue.len() > 1 {
                actions.push(Action::Overtakes(from, incarnation, to));
            }
        }
    }

    // ---- what happens ----

    fn happen(&self, state: &mut State<S::Facts>, action: Action) {
        match action {
            Action::Begin(seat) => self.begin(state, seat),
            Action::Saved(seat) => {
                let number = self.write(state, seat);
                self.hear(state, seat, &Input::Saved(number));
            }
            Action::Connect(from, to) => self.connect(state, from, to),
            Action::Answered(seat, index, choice) => {
                let choices = state.sitters[seat].owed.iter().nth(index).cloned().unwrap_or_default();
                state.sitters[seat].owed.remove(&choices);
                state.faults.wrong -= u8::from(choice > 0);
                self.take(state, seat, choices[choice]);
            }
            Action::Outside(index) => {
                let Outside { facts, to, costs } = self.setting.outside(self, state).swap_remove(index);
                state.facts = facts;
                state.faults.crashes -= costs.crashes;
                if let Some((name, input)) = to
                    && let Some(seat) = self.seat(name)
                {
                    self.hear(state, seat, &input);
                }
            }
            Action::Arrives(from, incarnation, to) => self.arrive(state, (from, incarnation, to), 0, false),
            Action::Rings(seat, timer) => {
                state.sitters[seat].timers.remove(&timer);
                self.hear(state, seat, &Input::Timer(timer));
            }
            Action::Dies(seat) => self.die(state, seat),
            Action::DiesHavingSaved(seat) => {
                while !state.sitters[seat].saving.is_empty() {
                    self.write(state, seat);
                }
                self.die(state, seat);
            }
            Action::Breaks(from, to) => {
                state.faults.losses -= 1;
                state.links.insert((from, to), Link::Broken);
                state.on_the_way.remove(&(from, state.sitters[from].incarnation, to));
            }
            Action::ArrivesTwice(from, incarnation, to) => {
                state.faults.duplicates -= 1;
                self.arrive(state, (from, incarnation, to), 0, true);
            }
            Action::Overtakes(from, incarnation, to) => {
                state.faults.overtakings -= 1;
                self.arrive(state, (from, incarnation, to), 1, false);
            }
        }
    }

    fn begin(&self, state: &mut State<S::Facts>, seat: Seat) {
        let sitter = &mut state.sitters[seat];
        sitter.incarnation.0 += 1;
        let identity = Identity { incarnation: sitter.incarnation, ..self.cast[seat].clone() };
        let stepped = self.lives.born(&identity, sitter.store);
        self.carry_out(state, seat, &stepped);
    }

    /// The oldest save is written; its number.
    fn write(&self, state: &mut State<S::Facts>, seat: Seat) -> u64 {
        let sitter = &mut state.sitters[seat];
        let saving = sitter.saving.remove(0);
        sitter.store = self.lives.written(sitter.store, saving);
        let request = self.lives.saving(saving);
        self.look(state, &Fact::Kept { who: self.cast[seat].name, records: &request.records });
        request.number
    }

    fn connect(&self, state: &mut State<S::Facts>, from: Seat, to: Seat) {
        let peer = self.cast[to].name;
        if state.links.insert((from, to), Link::Up) == Some(Link::Broken) {
            self.hear(state, from, &Input::Link(LinkEvent::Down { peer }));
        }
        let incarnation = state.sitters[to].incarnation;
        self.hear(state, from, &Input::Link(LinkEvent::Up { peer, incarnation }));
    }

    fn arrive(&self, state: &mut State<S::Facts>, way: (Seat, Incarnation, Seat), index: usize, stays: bool) {
        let Some(queue) = state.on_the_way.get_mut(&way) else { return };
        let heard = queue[index];
        if !stays {
            queue.remove(index);
        }
        if queue.is_empty() {
            state.on_the_way.remove(&way);
        }
        self.take(state, way.2, heard);
    }

    fn die(&self, state: &mut State<S::Facts>, seat: Seat) {
        state.faults.crashes -= 1;
        let sitter = &mut state.sitters[seat];
        *sitter = Sitter {
            life: None,
            incarnation: sitter.incarnation,
            store: sitter.store,
            saving: Vec::new(),
            timers: BTreeSet::new(),
            owed: BTreeSet::new(),
        };
        state.links.retain(|(from, _), _| *from != seat);
        state.on_the_way.retain(|(_, _, to), _| *to != seat);
        for ((_, to), link) in &mut state.links {
            if *to == seat && *link == Link::Up {
                *link = Link::Broken;
            }
        }
        self.look(state, &Fact::Died { who: self.cast[seat].name });
    }

    fn hear(&self, state: &mut State<S::Facts>, seat: Seat, input: &Input) {
        let heard = self.lives.hear(input);
        self.take(state, seat, heard);
    }

    /// An ARMOR hears something, if it lives.
    fn take(&self, state: &mut State<S::Facts>, seat: Seat, heard: Heard) {
        let Some(life) = state.sitters[seat].life else { return };
        let stepped = self.lives.step(life, heard);
        let input = self.lives.input(heard);
        self.look(state, &Fact::Took { who: self.cast[seat].name, input: &input, stepped: &stepped });
        self.carry_out(state, seat, &stepped);
    }

    fn carry_out(&self, state: &mut State<S::Facts>, seat: Seat, stepped: &Stepped) {
        let sitter = &mut state.sitters[seat];
        sitter.life = Some(stepped.life);
        sitter.saving.extend(stepped.saving);
        for deed in &stepped.deeds {
            self.perform(state, seat, deed);
        }
    }

    fn perform(&self, state: &mut State<S::Facts>, seat: Seat, deed: &Deed) {
        let who = self.cast[seat].name;
        match deed {
            Deed::Send { to, heard, message } => {
                let incarnation = state.sitters[seat].incarnation;
                self.look(state, &Fact::Says { from: who, incarnation, to: *to, message });
                let Some(to) = self.seat(*to).filter(|to| *to != seat) else { return };
                if *state.links.entry((seat, to)).or_insert(Link::Dialled) == Link::Up {
                    state.on_the_way.entry((seat, incarnation, to)).or_default().push(*heard);
                }
            }
            Deed::Set(timer) => drop(state.sitters[seat].timers.insert(*timer)),
            Deed::Cancel(timer) => drop(state.sitters[seat].timers.remove(timer)),
            Deed::Forget(peer) => {
                if let Some(to) = self.seat(*peer) {
                    state.links.remove(&(seat, to));
                }
            }
            Deed::Ask(effect) => {
                self.look(state, &Fact::Asks { who, effect });
                let answers = self.setting.answers(&mut state.facts, who, effect);
                let hear = |choices: Vec<Input>| choices.iter().map(|input| self.lives.hear(input)).collect();
                state.sitters[seat].owed.extend(answers.into_iter().map(hear).collect::<Vec<_>>());
            }
        }
    }

    fn look(&self, state: &mut State<S::Facts>, fact: &Fact<'_>) {
        if let Err(sentence) = self.setting.look(self, state, fact) {
            state.broken.get_or_insert(sentence);
        }
    }
}

impl<S: Setting> Model for World<S> {
    type State = State<S::Facts>;
    type Action = Action;

    /// Every moment of the run in which nothing goes wrong: so faults strike at any point of it, however far it is.
    fn init_states(&self) -> Vec<Self::State> {
        let mut moments = vec![self.origin()];
        loop {
            let mut state = moments[moments.len() - 1].clone();
            let mut actions = Vec::new();
            self.usual(&state, &mut actions);
            let Some(action) = actions.into_iter().next() else { return moments };
            self.happen(&mut state, action);
            moments.push(state);
        }
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Action>) {
        if state.broken.is_none() {
            self.usual(state, actions);
            self.faulty(state, actions);
        }
    }

    fn next_state(&self, last: &Self::State, action: Action) -> Option<Self::State> {
        let mut state = last.clone();
        self.happen(&mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        S::properties()
    }
}
