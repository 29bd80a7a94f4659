//! What a model is made of: which ARMORs take part, what the machine around them answers, what must hold.

use std::fmt::Debug;
use std::hash::Hash;

use chameleon_core::armor::{Effect, Timer};
use chameleon_core::message::Message;
use chameleon_core::names::{ArmorName, Incarnation};
use chameleon_core::shell::{Identity, Input, Saved};
use stateright::Property;

use crate::lives::Stepped;
use crate::world::{State, World};

/// How many faults of each kind may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Faults {
    /// Processes that die.
    pub crashes: u8,
    /// Links that break, with all that is on its way in them.
    pub losses: u8,
    /// Messages that come twice.
    pub duplicates: u8,
    /// Messages that overtake the one before them in the same link. Those of different links come in any order anyway.
    pub overtakings: u8,
    /// Results that are wrong.
    pub wrong: u8,
}

/// Something that happened, as a setting sees it.
pub enum Fact<'a> {
    Says {
        from: ArmorName,
        incarnation: Incarnation,
        to: ArmorName,
        message: &'a Message,
    },
    /// An ARMOR has heard this, and this is what it does about it.
    Took {
        who: ArmorName,
        input: &'a Input,
        stepped: &'a Stepped,
    },
    Asks {
        who: ArmorName,
        effect: &'a Effect,
    },
    /// Records reached the store of an ARMOR.
    Kept {
        who: ArmorName,
        records: &'a [Saved],
    },
    Died {
        who: ArmorName,
    },
}

/// Something that the world outside of the ARMORs does.
pub struct Outside<F> {
    pub facts: F,
    pub to: Option<(ArmorName, Input)>,
    pub costs: Faults,
}

/// A model of some ARMORs.
pub trait Setting: Clone + Send + Sync + Sized + 'static {
    /// What is known of the world outside, and of what happened so far.
    type Facts: Clone + Debug + Default + Eq + Hash + Send + Sync;

    /// The ARMORs that take part.
    fn cast(&self) -> Vec<Identity>;
    fn faults(&self) -> Faults;
    /// Whether a timer may go off; one that only repeats itself would make the world endless.
    fn rings(&self, timer: Timer) -> bool;
    /// What the machine answers to an effect: of each list, one.
    fn answers(&self, facts: &mut Self::Facts, who: ArmorName, effect: &Effect) -> Vec<Vec<Input>>;
    /// What may happen outside now.
    fn outside(&self, world: &World<Self>, state: &State<Self::Facts>) -> Vec<Outside<Self::Facts>>;
    /// Looks at what happened, and learns from it.
    ///
    /// # Errors
    /// The sentence that does not hold any more.
    fn look(&self, world: &World<Self>, state: &mut State<Self::Facts>, fact: &Fact<'_>) -> Result<(), &'static str>;
    /// What must hold, and what must be possible.
    fn properties() -> Vec<Property<World<Self>>>;
}
