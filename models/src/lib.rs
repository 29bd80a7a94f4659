//! Models: the real ARMORs, led through every order of events that a few faults allow.
//!
//! What decides is the code of `chameleon-core` itself, not a copy of it; only the world around it is a model. A
//! simulated campaign draws one order of events from a seed, a model goes through all of them up to a bound. What it
//! leaves out for that: time stands still, so that a timer may go off at any moment but no silence is ever long
//! enough to be judged; pulses and other timers that only repeat themselves; the loss of power; and all but one small
//! job.
#![forbid(unsafe_code)]

pub mod candidacy;
mod check;
mod jobs;
pub mod lanes;
pub mod lives;
pub mod registry;
pub mod setting;
pub mod world;

pub use check::{Report, explore};

use candidacy::Candidates;
use lanes::Lanes;
use lives::Raise;
use registry::Registry;
use setting::Faults;

/// A model, with the faults that it has.
pub struct Model {
    pub name: &'static str,
    pub about: &'static str,
    /// Explores it with ARMORs that are made thus, until so many states were come to.
    pub explore: fn(Raise, usize) -> Report,
}

/// Every model there is.
pub const MODELS: &[Model] = &[
    Model {
        name: "retirement",
        about: "only the FTM retires, retired means gone: any two processes die, a link breaks",
        explore: |raise, states| {
            explore(Registry(Faults { crashes: 2, losses: 1, ..Faults::default() }), raise, states)
        },
    },
    Model {
        name: "reign",
        about: "leadership by term: the FTM and daemons die, commands come twice and those of dead reigns late",
        explore: |raise, states| {
            explore(Registry(Faults { crashes: 2, duplicates: 2, ..Faults::default() }), raise, states)
        },
    },
    Model {
        name: "takeover",
        about: "SM, Voter or any other die at any point: nothing finished is repeated, no verdict changes",
        explore: |raise, states| explore(Lanes::takeover(), raise, states),
    },
    Model {
        name: "lanes",
        about: "one vote a lane, whatever its lives say, and no wrong result with one lane in three wrong",
        explore: |raise, states| explore(Lanes::voting(), raise, states),
    },
    Model {
        name: "candidacy",
        about: "three candidates and a store: FTMs and daemons die, answers are lost, requests come late",
        explore: |_, states| candidacy::explore(Candidates::default(), states),
    },
];
