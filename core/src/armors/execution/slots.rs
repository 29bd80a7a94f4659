//! The slots of a lane: in which state each is, and what may be asked of it.

use std::collections::BTreeMap;

use crate::armor::Effect;
use crate::message::{Evidence, Purpose};
use crate::names::{ExecutionId, Millis, SlotId, StageId};
use crate::world::{SlotCommand, SlotPlan, SlotSample};

/// Samples without an answer after which a slot's init is taken for dead: about two seconds.
const DEAF_AFTER: u64 = 4;

/// What a slot does.
///
/// ```text
/// Opening ──ready──▶ Idle ──start──▶ Running ──ended──▶ Idle
///    └──unavailable──▶ gone      lost ◀──┘
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotState {
    Opening,
    Idle,
    Running(Run),
}

/// An execution that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub execution: ExecutionId,
    pub purpose: Purpose,
    pub since: Millis,
    /// Output so far, and up to where it may be read.
    pub length: u64,
    pub allowed: u64,
    /// Its result is not wanted any more.
    pub unwanted: bool,
    /// It was killed because of this.
    pub killed_for: Option<Evidence>,
    /// It was stopped when it was looked at last.
    pub was_stopped: bool,
}

impl Run {
    /// Whether we keep it from going on.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.length >= self.allowed
    }
}

/// All slots of the lane, made for one stage.
///
/// A slot is closed and opened again under the same id, but an order waits for the save before it: the
/// earlier slot may still report until then. So each opening has a number, and what is reported of
/// another one than the last is of no matter.
#[derive(Debug, Default)]
pub struct Slots {
    stage: Option<StageId>,
    slots: BTreeMap<SlotId, SlotState>,
    /// The number of each slot's last opening, and of the last one of all.
    openings: BTreeMap<SlotId, u64>,
    opening: u64,
    /// Slots that died in a row without an execution ending in between.
    pub losses: u32,
}

impl Slots {
    /// Makes the slots for a stage, ending those of another.
    pub fn open(&mut self, stage: StageId, count: u16, plan: &SlotPlan, effects: &mut Vec<Effect>) {
        if self.stage == Some(stage) {
            return;
        }
        self.close(effects);
        self.stage = Some(stage);
        for slot in (0..count).map(SlotId) {
            self.reopen(slot, plan, effects);
        }
    }

    /// Makes a slot again.
    pub fn reopen(&mut self, slot: SlotId, plan: &SlotPlan, effects: &mut Vec<Effect>) {
        self.opening += 1;
        self.openings.insert(slot, self.opening);
        self.slots.insert(slot, SlotState::Opening);
        effects.push(Effect::Slot(SlotCommand::Open { slot, opening: self.opening, plan: plan.clone() }));
    }

    /// Whether a report is of the slot that stands, and not of an earlier one of the same id.
    #[must_use]
    pub fn is_current(&self, slot: SlotId, opening: u64) -> bool {
        self.slots.contains_key(&slot) && self.openings.get(&slot) == Some(&opening)
    }

    /// Ends all slots.
    pub fn close(&mut self, effects: &mut Vec<Effect>) {
        let close = |slot| Effect::Slot(SlotCommand::Close { slot });
        effects.extend(std::mem::take(&mut self.slots).into_keys().map(close));
        self.stage = None;
    }

    #[must_use]
    pub fn stage(&self) -> Option<StageId> {
        self.stage
    }

    pub fn set(&mut self, slot: SlotId, state: SlotState) {
        if let Some(known) = self.slots.get_mut(&slot) {
            *known = state;
        }
    }

    #[must_use]
    pub fn idle(&self) -> Option<SlotId> {
        self.slots.iter().find(|(_, state)| **state == SlotState::Idle).map(|(&slot, _)| slot)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The execution that runs in a slot.
    pub fn run(&mut self, slot: SlotId) -> Option<&mut Run> {
        match self.slots.get_mut(&slot)? {
            SlotState::Running(run) => Some(run),
            SlotState::Opening | SlotState::Idle => None,
        }
    }

    pub fn runs(&self) -> impl Iterator<Item = (SlotId, &Run)> {
        self.slots.iter().filter_map(|(&slot, state)| match state {
            SlotState::Running(run) => Some((slot, run)),
            SlotState::Opening | SlotState::Idle => None,
        })
    }

    pub fn runs_mut(&mut self) -> impl Iterator<Item = (SlotId, &mut Run)> {
        self.slots.iter_mut().filter_map(|(&slot, state)| match state {
            SlotState::Running(run) => Some((slot, run)),
            SlotState::Opening | SlotState::Idle => None,
        })
    }

    /// Takes an execution that ended out of its slot, which is idle again.
    pub fn take(&mut self, slot: SlotId, execution: ExecutionId) -> Option<Run> {
        let state = self.slots.get_mut(&slot)?;
        let SlotState::Running(run) = state else { return None };
        if run.execution != execution {
            return None;
        }
        let run = run.clone();
        *state = SlotState::Idle;
        Some(run)
    }

    /// Takes a slot that died out of the table, with what ran in it.
    pub fn remove(&mut self, slot: SlotId) -> Option<SlotState> {
        self.slots.remove(&slot)
    }

    /// Asks every slot that runs something how it fares.
    pub fn sample(&self, effects: &mut Vec<Effect>) {
        effects.extend(self.runs().map(|(slot, _)| Effect::Slot(SlotCommand::Sample { slot })));
    }

    /// What a sample says about the execution in a slot, if it is a fault. One sample is no evidence:
    /// a program may be stopped and continued by itself.
    pub fn judge(&mut self, slot: SlotId, sample: SlotSample) -> Option<Evidence> {
        let run = self.run(slot)?;
        if run.killed_for.is_some() || run.is_held_back() {
            return None;
        }
        if sample.asked.saturating_sub(sample.answered) >= DEAF_AFTER {
            return Some(Evidence::Silent);
        }
        let stopped_before = std::mem::replace(&mut run.was_stopped, sample.stopped);
        (sample.stopped && stopped_before).then_some(Evidence::Stopped)
    }
}
