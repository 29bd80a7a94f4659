//! One ARMOR in its process: what arrives goes to the ARMOR, what it answers is carried out.
//!
//! Inputs are taken in batches of what is ready, each source in turn; what a batch wants saved is
//! written together, and what it says leaves together when the process turns to waiting. Idle, a batch
//! is one input: prompt. Under load it is many: cheap.

use std::convert::Infallible;

use chameleon_core::armor::LinkEvent;
use chameleon_core::message::DaemonMessage;
use chameleon_core::names::ArmorName;
use chameleon_core::shell::{Input, Output, Running};
use tokio::sync::mpsc;

use crate::perform::World;
use crate::process::mark;
use crate::saving::{Completed, Saving, SavingError};
use crate::timers;

/// The most inputs of one source in a batch.
const BATCH: usize = 128;

/// What happens around an ARMOR, other than on its links.
#[derive(Debug)]
pub enum Happening {
    Input(Input),
    /// A sync or commit is done.
    Saved(Completed),
    /// A watched process has exited.
    Exited(u32),
}

/// An ARMOR, restored, with everything around it.
pub struct EventLoop {
    pub armor: Box<dyn Running>,
    pub world: World,
    pub saving: Saving,
    /// What comes in on links; bounded, so that peers wait for an ARMOR that falls behind.
    pub inputs: mpsc::Receiver<Input>,
    pub happenings: mpsc::UnboundedReceiver<Happening>,
}

impl EventLoop {
    /// Runs the ARMOR until it can no longer be run.
    ///
    /// # Errors
    /// See [`SavingError`]: what cannot be saved must not be said.
    pub async fn run(mut self) -> Result<Infallible, SavingError> {
        let daemon = ArmorName::Daemon(self.armor.identity().host);
        if self.armor.identity().name != daemon {
            self.world.links.open(daemon);
        }
        let output = self.armor.resume(timers::now());
        self.take(output);
        loop {
            let saved = self.saving.flush()?;
            self.release(saved)?;
            tokio::task::yield_now().await;
            self.wait().await?;
            self.drain()?;
        }
    }

    /// Waits for something to happen, and deals with it.
    async fn wait(&mut self) -> Result<(), SavingError> {
        tokio::select! {
            Some(happening) = self.happenings.recv() => self.happened(happening)?,
            Some(input) = self.inputs.recv() => self.handle(input),
            () = self.world.timers.next_due() => {}
        }
        Ok(())
    }

    /// Deals with everything that is ready.
    fn drain(&mut self) -> Result<(), SavingError> {
        let now = timers::now().boot;
        while let Some(timer) = self.world.timers.pop(now) {
            self.handle(Input::Timer(timer));
        }
        for _ in 0..BATCH {
            let Ok(happening) = self.happenings.try_recv() else { break };
            self.happened(happening)?;
        }
        for _ in 0..BATCH {
            let Ok(input) = self.inputs.try_recv() else { break };
            self.handle(input);
        }
        Ok(())
    }

    fn happened(&mut self, happening: Happening) -> Result<(), SavingError> {
        match happening {
            Happening::Input(input) => self.handle(input),
            Happening::Saved(completed) => {
                let saved = self.saving.complete(completed)?;
                self.release(saved)?;
            }
            Happening::Exited(pid) => {
                if let Some(event) = self.world.processes.exited(pid) {
                    self.handle(Input::Process(event));
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, input: Input) {
        if let Input::Link(LinkEvent::Up { peer, .. }) = input {
            self.report_ready(peer);
        }
        let output = self.armor.handle(timers::now(), input);
        self.take(output);
    }

    /// A daemon that has just come, or come back, learns that this ARMOR runs.
    fn report_ready(&mut self, peer: ArmorName) {
        let identity = self.armor.identity();
        let (name, incarnation) = (identity.name, identity.incarnation);
        if peer == ArmorName::Daemon(identity.host) && peer != name {
            let ready = DaemonMessage::Ready { name, incarnation, process: mark::own() };
            self.world.links.send(peer, ready.into());
        }
    }

    fn take(&mut self, output: Output) {
        if let Some(request) = output.save {
            self.saving.add(request);
        }
        for effect in output.effects {
            self.world.perform(effect);
        }
    }

    /// Tells the ARMOR what is saved, and saves what it answers, until there is no news.
    fn release(&mut self, mut saved: Option<u64>) -> Result<(), SavingError> {
        while let Some(number) = saved {
            self.handle(Input::Saved(number));
            saved = self.saving.flush()?;
        }
        Ok(())
    }
}
