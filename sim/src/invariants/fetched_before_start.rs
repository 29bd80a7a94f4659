//! A lane that does not see its job's own files starts nothing before it has fetched every input of the stage, and
//! built what is to be built (DESIGN §5: all lanes get byte-identical input or none does).

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::Effect;
use chameleon_core::job::Job;
use chameleon_core::names::{ArmorName, HostId, StageId};
use chameleon_core::shell::Input;
use chameleon_core::world::{self, FileEvent, SlotCommand};

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct FetchedBeforeStart {
    jobs: BTreeMap<ArmorName, Job>,
    fetched: BTreeSet<(HostId, ArmorName, StageId, world::Input)>,
}

impl Invariant for FetchedBeforeStart {
    fn name(&self) -> &'static str {
        "a lane elsewhere starts nothing before it has fetched its inputs"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Asks { who, effect: Effect::Slot(SlotCommand::Start { execution, .. }), .. } = fact else {
            return Ok(());
        };
        let Some(job) = self.jobs.get(&who.name).filter(|job| job.is_mirrored_on(who.host)) else { return Ok(()) };
        let Some(stage) = job.stages.get(usize::from(execution.stage.0)) else { return Ok(()) };
        let paths = stage.inputs.iter().chain(&stage.bundle).cloned().map(world::Input::Path);
        let built = job.build.iter().map(|build| world::Input::Build(Box::new(build.clone())));
        let has = |input: &world::Input| self.fetched.contains(&(who.host, who.name, execution.stage, input.clone()));
        match paths.chain(built).find(|input| !has(input)) {
            None => Ok(()),
            Some(input) => Err(format!("{} starts {execution} on {} without {input}", who.name, who.host)),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((who, job)) = fact.configures() {
            self.jobs.insert(who.name, job.clone());
        }
        let Fact::Handles { who, input: Input::File(event), .. } = fact else { return };
        if let FileEvent::Fetched { stage, input, outcome: Ok(_) } = event {
            self.fetched.insert((who.host, who.name, *stage, input.clone()));
        }
    }
}
