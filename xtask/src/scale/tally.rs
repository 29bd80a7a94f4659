//! ARMORs whose work is counted.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use chameleon_core::armor::{Effect, Moment};
use chameleon_core::armors;
use chameleon_core::names::ArmorName;
use chameleon_core::shell::{BadRecord, Identity, Input, Output, Running};

/// What all ARMORs did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// What ARMORs said to others.
    pub messages: u64,
    /// Messages of these that the FTM said or was told.
    pub with_ftm: u64,
    pub datagrams: u64,
    /// Saves of the FTM: each is a commit of the store.
    pub commits: u64,
    /// Saves of all others: each is a write to a journal.
    pub saves: u64,
    /// Processor time of the FTM's decisions.
    pub ftm: Duration,
}

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::default();
}

/// Counts from nought again.
pub fn restart() {
    TALLY.replace(Tally::default());
}

/// What was counted since.
pub fn taken() -> Tally {
    TALLY.with_borrow(Clone::clone)
}

/// The real ARMOR of this name, and a count of what it does.
pub fn raise(identity: Identity) -> Option<Box<dyn Running>> {
    Some(Box::new(Counted(armors::raise(identity)?)))
}

#[derive(Debug)]
struct Counted(Box<dyn Running>);

impl Counted {
    fn step(&mut self, step: impl FnOnce(&mut dyn Running) -> Output) -> Output {
        let is_ftm = self.0.identity().name == ArmorName::Ftm;
        let begun = Instant::now();
        let output = step(&mut *self.0);
        let took = begun.elapsed();
        TALLY.with_borrow_mut(|tally| {
            tally.note(is_ftm, &output);
            if is_ftm {
                tally.ftm += took;
            }
        });
        output
    }
}

impl Tally {
    fn note(&mut self, is_ftm: bool, output: &Output) {
        match (&output.save, is_ftm) {
            (Some(_), true) => self.commits += 1,
            (Some(_), false) => self.saves += 1,
            (None, _) => {}
        }
        for effect in &output.effects {
            match effect {
                Effect::Send { to, .. } => {
                    self.messages += 1;
                    self.with_ftm += u64::from(is_ftm || *to == ArmorName::Ftm);
                }
                Effect::Datagram { .. } => self.datagrams += 1,
                _ => {}
            }
        }
    }
}

impl Running for Counted {
    fn restore(&mut self, records: &[Vec<u8>]) -> Result<(), BadRecord> {
        self.0.restore(records)
    }

    fn resume(&mut self, now: Moment) -> Output {
        self.step(|armor| armor.resume(now))
    }

    fn handle(&mut self, now: Moment, input: Input) -> Output {
        self.step(|armor| armor.handle(now, input))
    }

    fn identity(&self) -> &Identity {
        self.0.identity()
    }
}
