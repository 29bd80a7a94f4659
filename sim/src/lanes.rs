//! What Execution ARMORs ask of their slots, and what the slots report.

use std::collections::BTreeMap;

use chameleon_core::job::{Files, InjectionKind, OsBytes, Stdin};
use chameleon_core::names::{ArmorName, Digest, ExecutionId, HostId, JobId, SlotId};
use chameleon_core::shell::Input;
use chameleon_core::world::{BlockedWhy, Piece, SlotCommand, SlotEvent, SlotPlan};

use crate::faults::Mischief;
use crate::history::Fact;
use crate::process::{Arrival, Pid, Process};
use crate::programs;
use crate::slots::{ChangeSet, Move, Pack, PackName, Run, Slot, digest, part};
use crate::world::{Next, World};

/// How long it usually takes to make a slot, to start a program and to report, in microseconds.
const OPEN_US: u64 = 1_500;
const START_US: u64 = 400;
const REPORT_US: u64 = 60;

/// All slots there are, and all they ever wrote.
#[derive(Debug, Default)]
pub struct Lanes {
    slots: BTreeMap<(Pid, SlotId), Slot>,
    pub packs: BTreeMap<PackName, Pack>,
    pub change_sets: BTreeMap<(JobId, Digest), ChangeSet>,
    runs: u64,
}

impl Lanes {
    /// The slots of an Execution end with it.
    pub fn end(&mut self, execution: Pid) {
        self.slots.retain(|&(of, _), _| of != execution);
    }

    /// Everything that a job kept on a host goes.
    pub fn clean(&mut self, host: HostId, job: JobId) {
        self.packs.retain(|name, _| (name.0, name.1) != (host, job));
        self.change_sets.retain(|(of, _), _| *of != job);
    }

    /// The slots of an Execution.
    pub fn slots_of(&mut self, execution: Pid) -> impl Iterator<Item = (SlotId, &mut Slot)> {
        self.slots
            .range_mut((execution, SlotId(0))..=(execution, SlotId(u16::MAX)))
            .map(|(&(_, slot), state)| (slot, state))
    }

    /// How many slots there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.len()
    }
}

impl World {
    /// Tells an Execution what happened in a slot, in the order in which it happened.
    fn report_slot(&mut self, of: Pid, event: SlotEvent) {
        let delay_us = self.chance.delay_us(REPORT_US);
        let now_us = self.agenda.now_us();
        let Some(process) = self.processes.get_mut(&of) else { return };
        process.reported_us = (process.reported_us + 1).max(now_us + delay_us);
        let at_us = process.reported_us;
        self.agenda.at(at_us, &mut self.chance, Next::Arrive { at: of, what: Arrival::Input(Input::Slot(event)) });
    }

    fn lane_of(&self, pid: Pid) -> Option<(HostId, ArmorName)> {
        let identity = self.processes.get(&pid).and_then(Process::identity)?;
        Some((identity.host, identity.name))
    }

    fn pack_name(&self, pid: Pid, slot: SlotId) -> Option<PackName> {
        match self.lane_of(pid)? {
            (host, ArmorName::Execution(job, lane)) => Some((host, job, lane, slot)),
            _ => None,
        }
    }

    pub(crate) fn slot_command(&mut self, pid: Pid, command: SlotCommand) {
        match command {
            SlotCommand::Open { slot, opening, plan } => self.open_slot(pid, slot, opening, plan),
            SlotCommand::Start { slot, execution, command, stdin, handed, fault } => {
                let handed = self.handed(pid, &handed);
                self.start_program(pid, slot, execution, &command, (stdin, handed), fault);
            }
            SlotCommand::Kill { slot } => self.change_run(pid, slot, |run| run.killed = true),
            SlotCommand::Allow { slot, upto } => self.change_run(pid, slot, |run| run.allow(upto)),
            SlotCommand::Feed { slot, upto, end } => self.change_run(pid, slot, |run| run.feed(upto, end)),
            SlotCommand::Prefix { slot, execution, offset } => self.prefix(pid, slot, execution, offset),
            SlotCommand::Sample { slot } => {
                if let Some(state) = self.lanes.slots.get_mut(&(pid, slot)) {
                    let sample = state.sample();
                    self.report_slot(pid, SlotEvent::Sampled { slot, sample });
                }
            }
            SlotCommand::Close { slot } => drop(self.lanes.slots.remove(&(pid, slot))),
        }
    }

    fn open_slot(&mut self, pid: Pid, slot: SlotId, opening: u64, plan: SlotPlan) {
        let Some(name) = self.pack_name(pid, slot) else { return };
        self.lanes.packs.entry(name).or_default();
        self.lanes.slots.insert((pid, slot), Slot::new(opening, plan));
        self.later(OPEN_US, Next::SlotReady { of: pid, slot, opening });
    }

    pub(crate) fn slot_ready(&mut self, of: Pid, slot: SlotId, opening: u64) {
        if let Some(state) = self.lanes.slots.get_mut(&(of, slot)).filter(|state| state.opening == opening) {
            state.ready = true;
            if self.lane_of(of).is_some_and(|(host, _)| self.posix.contains(&host)) {
                let why = "it is set to use POSIX facilities alone".to_owned();
                self.report_slot(of, SlotEvent::Unconfined { slot, opening, why });
            }
            self.report_slot(of, SlotEvent::Ready { slot, opening });
        }
    }

    /// The decided output that a program reads, if it is handed some: checked as a real slot does.
    fn handed(&mut self, pid: Pid, pieces: &[Piece]) -> Option<Vec<u8>> {
        let (_, ArmorName::Execution(job, _)) = self.lane_of(pid)? else { return None };
        let mut bytes = Vec::new();
        for Piece { host, lane, stdout, execution, .. } in pieces {
            let pack = self.lanes.packs.get(&(*host, job, *lane, stdout.slot));
            let region = pack.map(|pack| part(&pack.out, stdout.offset, stdout.length).to_vec()).unwrap_or_default();
            if digest(&region) != stdout.digest {
                let text = format!("the output of {execution} in lane {lane} is not what was decided");
                self.violate("what is handed over is what was decided", text);
            }
            bytes.extend(region);
        }
        (!pieces.is_empty()).then_some(bytes)
    }

    fn start_program(
        &mut self,
        pid: Pid,
        slot: SlotId,
        execution: ExecutionId,
        command: &[OsBytes],
        (stdin, handed): (Stdin, Option<Vec<u8>>),
        fault: Option<InjectionKind>,
    ) {
        let (Some(name), Some((_, who))) = (self.pack_name(pid, slot), self.lane_of(pid)) else { return };
        if !self.lanes.slots.contains_key(&(pid, slot)) {
            // It died meanwhile, and said so.
            return;
        }
        let mischief = self.standing.mischief.get(&name.2).copied();
        let now_us = self.agenda.now_us();
        self.lanes.runs += 1;
        let number = self.lanes.runs;
        let pack = self.lanes.packs.entry(name).or_default();
        let begins = (pack.out.len() as u64, pack.err.len() as u64);
        let Some(state) = self.lanes.slots.get_mut(&(pid, slot)).filter(|state| state.ready && state.run.is_none())
        else {
            let text = format!("{who} starts {execution} in slot {slot}, which is not ready or not idle");
            return self.violate("a program is started in an idle slot", text);
        };
        let script = programs::script(command).unwrap_or_default();
        let mut run = Run::new(execution, number, script, stdin, begins);
        run.started_us = now_us;
        run.handed = handed;
        run.slow = mischief == Some(Mischief::Slow);
        run.flip = match mischief {
            Some(Mischief::Flip) => 1,
            Some(Mischief::Garble) => 2 + u8::try_from(name.2.0).unwrap_or_default(),
            Some(Mischief::Lie | Mischief::Slow | Mischief::OtherInput | Mischief::NoCompiler) | None => 0,
        };
        if let Some(fault) = fault {
            run.inject(fault);
        }
        state.run = Some(run);
        self.tell(|| format!("{who} starts {execution}"));
        self.observe(&Fact::Started { host: name.0, job: name.1, lane: name.2, execution });
        self.later(START_US, Next::Program { of: pid, slot, run: number });
    }

    /// Something changed for a program that runs: it goes on if it waited for that.
    pub fn change_run(&mut self, pid: Pid, slot: SlotId, change: impl FnOnce(&mut Run)) {
        let Some(run) = self.lanes.slots.get_mut(&(pid, slot)).and_then(|state| state.run.as_mut()) else { return };
        change(run);
        if run.waits || run.killed {
            run.waits = false;
            self.lanes.runs += 1;
            run.number = self.lanes.runs;
            let number = run.number;
            self.later(REPORT_US, Next::Program { of: pid, slot, run: number });
        }
    }

    /// A program does its next deed.
    pub(crate) fn program(&mut self, of: Pid, slot: SlotId, number: u64) {
        let Some(name) = self.pack_name(of, slot) else { return };
        if self.fabric.is_frozen(name.0) {
            return self.after(20_000, Next::Program { of, slot, run: number });
        }
        let draw = self.chance.number();
        let Some(state) = self.lanes.slots.get_mut(&(of, slot)) else { return };
        let Some(run) = state.run.as_mut().filter(|run| run.number == number) else { return };
        let pack = self.lanes.packs.entry(name).or_default();
        let spool = self.files.spools.get(&name.1).map(Vec::as_slice).unwrap_or_default();
        let execution = run.execution;
        let so_far =
            |run: &Run, pack: &Pack| SlotEvent::Output { slot, execution, so_far: run.so_far(slot, pack, u64::MAX) };
        match run.go_on(pack, spool, draw) {
            Move::Wrote => {
                let event = so_far(run, pack);
                self.report_slot(of, event);
                self.later(50, Next::Program { of, slot, run: number });
            }
            Move::After(after_us) => self.after(after_us, Next::Program { of, slot, run: number }),
            Move::Blocked(path) => {
                self.report_slot(
                    of,
                    SlotEvent::Blocked { slot, execution, path: path.into(), why: BlockedWhy::ReadOnly },
                );
                self.later(50, Next::Program { of, slot, run: number });
            }
            Move::Waits => run.waits = true,
            Move::Ended(end) => self.end_program(of, slot, name, end),
        }
    }

    fn end_program(&mut self, of: Pid, slot: SlotId, name: PackName, end: chameleon_core::world::End) {
        let now_us = self.agenda.now_us();
        let Some(state) = self.lanes.slots.get_mut(&(of, slot)) else { return };
        let Some(run) = state.run.take() else { return };
        let pack = self.lanes.packs.entry(name).or_default();
        let held = state.plan.files == Files::Overlay;
        let (ended, changes) = run.ended(slot, pack, end, held, now_us);
        state.cpu_us += run.cpu_us;
        state.last = Some((run.execution, ended.stdout));
        if let Some(changes) = changes {
            self.lanes.change_sets.insert((name.1, changes.digest()), changes);
        }
        let execution = run.execution;
        self.observe(&Fact::Ended { host: name.0, job: name.1, lane: name.2, execution, ended: &ended });
        self.report_slot(of, SlotEvent::Ended { slot, execution, ended });
    }

    fn prefix(&mut self, pid: Pid, slot: SlotId, execution: ExecutionId, offset: u64) {
        let Some(name) = self.pack_name(pid, slot) else { return };
        let (Some(state), Some(pack)) = (self.lanes.slots.get(&(pid, slot)), self.lanes.packs.get(&name)) else {
            return;
        };
        let running = state.run.as_ref().filter(|run| run.execution == execution);
        let so_far = match (running, state.last) {
            (Some(run), _) => run.so_far(slot, pack, offset),
            (None, Some((last, region))) if last == execution => {
                crate::slots::region(slot, &pack.out, region.offset, offset.min(region.length))
            }
            (None, _) => return,
        };
        self.report_slot(pid, SlotEvent::Prefix { slot, execution, so_far });
    }

    /// A slot dies, with whatever runs in it.
    pub fn kill_slot(&mut self, pid: Pid, slot: SlotId) {
        let Some(state) = self.lanes.slots.remove(&(pid, slot)) else { return };
        let (opening, execution) = (state.opening, state.run.map(|run| run.execution));
        let why = "its first process was killed".to_owned();
        self.report_slot(pid, SlotEvent::Lost { slot, opening, execution, why });
    }
}
