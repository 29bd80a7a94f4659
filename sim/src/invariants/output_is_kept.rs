//! Output is kept until its job is retired (DESIGN D8): a daemon deletes what a job kept only after the
//! FTM told it so, and the FTM only after the user let the job go.

use std::collections::BTreeSet;

use chameleon_core::armor::Effect;
use chameleon_core::message::{DaemonMessage, FtmMessage, Message};
use chameleon_core::names::JobId;
use chameleon_core::shell::Input;
use chameleon_core::world::ProcessCommand;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct OutputIsKept {
    forgotten: BTreeSet<JobId>,
    cleaned: BTreeSet<JobId>,
}

impl Invariant for OutputIsKept {
    fn name(&self) -> &'static str {
        "output is kept until its job is retired"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Asks { who, effect, .. } = fact else { return Ok(()) };
        match effect {
            Effect::Send { message: Message::Daemon(DaemonMessage::Clean { job, .. }), .. }
                if !self.forgotten.contains(job) =>
            {
                Err(format!("{} has {job} deleted, which nobody let go", who.name))
            }
            Effect::Process(ProcessCommand::Clean { job: Some(job), .. }) if !self.cleaned.contains(job) => {
                Err(format!("{} deletes what {job} kept without being told so", who.name))
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        let Fact::Handles { input: Input::Message { message, .. }, .. } = fact else { return };
        match message {
            Message::Ftm(FtmMessage::Forget(job)) => drop(self.forgotten.insert(*job)),
            Message::Daemon(DaemonMessage::Clean { job, .. }) => drop(self.cleaned.insert(*job)),
            _ => {}
        }
    }
}
