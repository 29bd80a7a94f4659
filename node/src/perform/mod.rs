//! Carries out what an ARMOR wants to happen: one arm for each effect.

use chameleon_core::armor::Effect;
use chameleon_core::world::ProcessCommand;

mod build;
mod commits;
mod files;
mod handed;
mod inputs;
mod slots;
mod spool;

use crate::datagrams::Datagrams;
use crate::links::Links;
use crate::process::Processes;
use crate::timers::{self, Timers};

pub use files::Files;
pub use slots::Slots;

/// What an ARMOR acts on.
#[derive(Debug)]
pub struct World {
    pub links: Links,
    pub timers: Timers,
    pub processes: Processes,
    pub slots: Slots,
    pub files: Files,
    pub datagrams: Datagrams,
}

impl World {
    pub fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, message } => self.links.send(to, message),
            Effect::SetTimer { timer, after } => self.timers.set(timer, timers::now().boot + after),
            Effect::CancelTimer { timer } => self.timers.cancel(timer),
            Effect::Slot(command) => self.slots.command(command),
            Effect::Process(command) => self.process(command),
            Effect::File(command) => self.files.command(command, &mut self.slots),
            Effect::Locate { name, host } => self.links.locate(name, host),
            Effect::Forget { peer } => self.links.forget(peer),
            Effect::Renew { peer } => {
                self.links.forget(peer);
                self.links.open(peer);
            }
            Effect::Acquaint { host, key } => self.datagrams.acquaint(host, key),
            Effect::Datagram { to, datagram } => self.datagrams.send(to, datagram),
        }
    }

    fn process(&mut self, command: ProcessCommand) {
        match command {
            ProcessCommand::Stock { blanks } => self.processes.stock(blanks),
            ProcessCommand::Assign { pid, name, incarnation, mirror } => {
                self.processes.assign(pid, name, incarnation, mirror);
            }
            ProcessCommand::Adopt { name, incarnation, process } => self.processes.adopt(name, incarnation, &process),
            ProcessCommand::Kill { name, incarnation } => {
                let linked = self.links.process(name);
                self.processes.kill(name, incarnation, linked);
            }
            ProcessCommand::Sample { name, incarnation } => {
                let linked = self.links.process(name);
                self.processes.sample(name, incarnation, linked);
            }
            ProcessCommand::Clean { name, job } => self.processes.clean(name, job),
            ProcessCommand::Notify { notice, command, text } => self.processes.notify(notice, command, text),
            ProcessCommand::Summon { host, command, text } => self.processes.summon(host, command, text),
            ProcessCommand::Stop => self.processes.stop(),
            ProcessCommand::Revive => self.processes.revive(),
            ProcessCommand::Knock { host } => self.processes.knock(host),
            ProcessCommand::Sign { to, member, role, key } => self.processes.sign(to, member, role, key),
            ProcessCommand::BackUp { to, number, keys } => self.processes.back_up(to, number, keys),
            ProcessCommand::KeepBook(book) => self.processes.keep_book(&book),
            ProcessCommand::Transfers => self.processes.transfers(),
            ProcessCommand::Profile => self.processes.profile(),
            ProcessCommand::LookUpReign => self.processes.seek_reign(None),
            ProcessCommand::AskReign { accused, request, changes } => {
                self.processes.seek_reign(Some((accused, request, changes)));
            }
        }
    }
}
