//! Leads a model through its states, and says how far that went and what was found.

use std::fmt;
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use crate::lives::Raise;
use crate::setting::Setting;
use crate::world::World;

/// Side by side, so many explore.
const THREADS: usize = 2;

/// How an exploration went.
#[derive(Debug)]
pub struct Report {
    /// States that differ, and how often one was come to.
    pub states: usize,
    pub visits: usize,
    /// Steps from the nearest point of the run without faults to the farthest state.
    pub depth: usize,
    /// Whether these are all states there are.
    pub complete: bool,
    /// Sentences that do not hold, each with the way to where it breaks.
    pub broken: Vec<(&'static str, Vec<String>)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { states, visits, depth, complete, broken } = self;
        let bound = if *complete { "all there are" } else { "to the bound" };
        write!(f, "{states} states ({bound}), {visits} visits, depth {depth}")?;
        for (sentence, way) in broken {
            write!(f, "\ndoes not hold: {sentence}")?;
            way.iter().try_for_each(|step| write!(f, "\n    {step}"))?;
        }
        Ok(())
    }
}

/// Explores a setting, breadth first, until so many states were visited or all were.
pub fn explore<S: Setting>(setting: S, raise: Raise, visits: usize) -> Report {
    lead(World::new(setting, raise), visits, World::tell)
}

/// As [`explore`], any model of which a step can be told.
pub(crate) fn lead<M>(model: M, visits: usize, tell: fn(&M, &M::State, &M::Action) -> String) -> Report
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + fmt::Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + PartialEq,
{
    let failures = HasDiscoveries::AnyFailures;
    let builder = model.checker().threads(THREADS).finish_when(failures).target_state_count(visits);
    let checker = builder.spawn_bfs().join();
    let model = checker.model();
    let complete = checker.state_count() < visits;
    let mut broken = Vec::new();
    let found = checker.discoveries();
    for property in model.properties() {
        match (property.expectation, found.get(property.name)) {
            (Expectation::Always, Some(path)) => broken.push((property.name, way(model, path, tell))),
            (Expectation::Sometimes, None) => broken.push((property.name, Vec::new())),
            _ => {}
        }
    }
    let (states, visits, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    Report { states, visits, depth, complete, broken }
}

/// The steps of a path, in words.
fn way<M>(model: &M, path: &Path<M::State, M::Action>, tell: fn(&M, &M::State, &M::Action) -> String) -> Vec<String>
where
    M: Model,
    M::State: Clone,
    M::Action: Clone,
{
    let steps = path.clone().into_vec();
    steps.into_iter().filter_map(|(state, action)| Some(tell(model, &state, &action?))).collect()
}
