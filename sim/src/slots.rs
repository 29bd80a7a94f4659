//! Invented slots: where programs run, deed by deed, and the packs that hold what they wrote.
//!
//! A slot dies with its Execution ARMOR; the packs, like everything written to files, do not.

use std::collections::BTreeMap;

use chameleon_core::job::{InjectionKind, Stdin};
use chameleon_core::names::{Digest, ExecutionId, HostId, JobId, LaneId, SlotId};
use chameleon_core::world::{Changes, End, Ended, Region, SlotPlan, SlotSample};

use crate::programs::Deed;

/// Where a slot's output lies.
pub type PackName = (HostId, JobId, LaneId, SlotId);

/// What the programs of one slot wrote, one behind the other.
#[derive(Debug, Default)]
pub struct Pack {
    pub out: Vec<u8>,
    pub err: Vec<u8>,
}

/// A place of a lane in which one program at a time runs.
#[derive(Debug)]
pub struct Slot {
    /// Told from earlier slots of the same id.
    pub opening: u64,
    pub plan: SlotPlan,
    pub ready: bool,
    pub run: Option<Run>,
    /// The execution that ended last here, and where its output lies.
    pub last: Option<(ExecutionId, Region)>,
    /// The slot's init answers no more.
    pub deaf: bool,
    pub asked: u64,
    pub answered: u64,
    pub cpu_us: u64,
}

impl Slot {
    #[must_use]
    pub fn new(opening: u64, plan: SlotPlan) -> Self {
        Slot { opening, plan, ready: false, run: None, last: None, deaf: false, asked: 0, answered: 0, cpu_us: 0 }
    }

    /// How it fares, as it would answer now.
    pub fn sample(&mut self) -> SlotSample {
        self.asked += 1;
        if !self.deaf {
            self.answered = self.asked;
        }
        let stopped = self.run.as_ref().is_some_and(|run| run.stopped);
        SlotSample { asked: self.asked, answered: self.answered, cpu_us: self.cpu_us, stopped }
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Run {
    pub execution: ExecutionId,
    /// Told from those that ran there before.
    pub number: u64,
    script: Vec<Deed>,
    next: usize,
    /// Where its output begins in the pack.
    pub begins: (u64, u64),
    stdin: Stdin,
    /// Output of an earlier stage that is its standard input instead.
    pub handed: Option<Vec<u8>>,
    /// Bytes of standard input read, and how many may be.
    read: u64,
    fed: (u64, bool),
    /// Bytes that did not fit below what is allowed yet.
    blocked: Vec<u8>,
    allowed: u64,
    pub stopped: bool,
    /// It does nothing until something changes.
    pub waits: bool,
    pub killed: bool,
    /// Waits a hundred times as long.
    pub slow: bool,
    /// The bits that are flipped in the first byte of its output.
    pub flip: u8,
    pub started_us: u64,
    pub cpu_us: u64,
    files: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a program does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It wrote something.
    Wrote,
    /// It goes on after so long, in microseconds.
    After(u64),
    /// It tried to write where it may not.
    Blocked(Vec<u8>),
    /// It ended.
    Ended(End),
    /// It waits for standard input, for its output to be read, or for ever.
    Waits,
}

/// How long a deed takes at least, in microseconds.
const DEED_US: u64 = 50;

impl Run {
    #[must_use]
    pub fn new(execution: ExecutionId, number: u64, script: Vec<Deed>, stdin: Stdin, begins: (u64, u64)) -> Self {
        Run {
            execution,
            number,
            script,
            next: 0,
            begins,
            stdin,
            handed: None,
            read: 0,
            fed: (0, false),
            blocked: Vec::new(),
            allowed: u64::MAX,
            stopped: false,
            waits: false,
            killed: false,
            slow: false,
            flip: 0,
            started_us: 0,
            cpu_us: 0,
            files: BTreeMap::new(),
        }
    }

    /// A fault is put into it on purpose.
    pub fn inject(&mut self, fault: InjectionKind) {
        match fault {
            InjectionKind::Kill => self.script.insert(self.script.len().min(1), Deed::End(End::Signal(9))),
            InjectionKind::Stop => self.script.insert(self.script.len().min(1), Deed::Freeze),
            InjectionKind::Slow => self.slow = true,
            InjectionKind::Flip => self.flip = 1,
            InjectionKind::Lie => {}
        }
    }

    /// So many bytes of output may be read.
    pub fn allow(&mut self, upto: u64) {
        self.allowed = upto;
    }

    /// So many bytes of spooled standard input may be read.
    pub fn feed(&mut self, upto: u64, end: bool) {
        self.fed = (self.fed.0.max(upto), self.fed.1 || end);
    }

    /// Where the first bytes of its output lie, at most so many.
    #[must_use]
    pub fn so_far(&self, slot: SlotId, pack: &Pack, most: u64) -> Region {
        region(slot, &pack.out, self.begins.0, most.min(self.length(pack)))
    }

    /// Bytes written so far.
    #[must_use]
    pub fn length(&self, pack: &Pack) -> u64 {
        pack.out.len() as u64 - self.begins.0
    }

    /// Does the next deed.
    pub fn go_on(&mut self, pack: &mut Pack, spool: &[u8], draw: u64) -> Move {
        if self.killed {
            return Move::Ended(End::Signal(9));
        }
        if self.stopped {
            return Move::Waits;
        }
        if !self.blocked.is_empty() {
            let bytes = std::mem::take(&mut self.blocked);
            return self.write(pack, bytes);
        }
        let Some(deed) = self.script.get(self.next).cloned() else { return Move::Ended(End::Exit(0)) };
        if deed == Deed::Cat && self.stdin == Stdin::Spool {
            return self.copy(pack, spool);
        }
        self.next += 1;
        self.act(deed, pack, spool, draw)
    }

    fn act(&mut self, deed: Deed, pack: &mut Pack, spool: &[u8], draw: u64) -> Move {
        match deed {
            Deed::Out(bytes) => self.write(pack, bytes),
            Deed::Cat => {
                let bytes = self.handed.clone().unwrap_or_else(|| spool.to_vec());
                self.write(pack, bytes)
            }
            Deed::Faulty(per_million) if draw % 1_000_000 >= u64::from(per_million) => Move::After(DEED_US),
            Deed::Unique | Deed::Faulty(_) => self.write(pack, draw.to_string().into_bytes()),
            Deed::Coin => self.write(pack, if draw.is_multiple_of(2) { b"heads".to_vec() } else { b"tails".to_vec() }),
            Deed::Err(bytes) => {
                pack.err.extend(bytes);
                Move::After(DEED_US)
            }
            Deed::Write(path, content) => {
                self.files.insert(path, content);
                Move::After(DEED_US)
            }
            Deed::WaitMs(ms) => Move::After(self.pace(ms)),
            Deed::WorkMs(ms) => {
                self.cpu_us += ms * 1_000;
                Move::After(self.pace(ms))
            }
            Deed::Forbidden(path) => Move::Blocked(path),
            Deed::Crash(attempts) if self.execution.attempt.0 < attempts => Move::Ended(End::Signal(11)),
            Deed::Crash(_) => Move::After(DEED_US),
            Deed::End(end) => Move::Ended(end),
            Deed::Freeze => {
                self.stopped = true;
                Move::Waits
            }
            Deed::Hang => {
                self.next -= 1;
                Move::Waits
            }
        }
    }

    fn pace(&self, ms: u64) -> u64 {
        DEED_US + if self.slow { ms * 100_000 } else { ms * 1_000 }
    }

    /// Copies what may be read of the spooled standard input.
    fn copy(&mut self, pack: &mut Pack, spool: &[u8]) -> Move {
        let (upto, end) = self.fed;
        let upto = upto.min(spool.len() as u64);
        let bytes = part(spool, self.read, upto.saturating_sub(self.read)).to_vec();
        self.read = self.read.max(upto);
        if end {
            self.next += 1;
        } else if bytes.is_empty() {
            return Move::Waits;
        }
        self.write(pack, bytes)
    }

    fn write(&mut self, pack: &mut Pack, mut bytes: Vec<u8>) -> Move {
        let room = usize::try_from(self.allowed.saturating_sub(self.length(pack))).unwrap_or(usize::MAX);
        if bytes.len() > room {
            self.blocked = bytes.split_off(room);
        }
        if bytes.is_empty() {
            return if self.blocked.is_empty() { Move::After(DEED_US) } else { Move::Waits };
        }
        if self.length(pack) == 0 {
            bytes[0] ^= self.flip;
        }
        pack.out.extend(bytes);
        Move::Wrote
    }

    /// What the Execution is told of its end, with the change set it made.
    #[must_use]
    pub fn ended(&self, slot: SlotId, pack: &Pack, end: End, held: bool, now_us: u64) -> (Ended, Option<ChangeSet>) {
        let changes = held.then(|| ChangeSet { files: self.files.clone() });
        let ended = Ended {
            end,
            stdout: self.so_far(slot, pack, u64::MAX),
            stderr: region(slot, &pack.err, self.begins.1, pack.err.len() as u64 - self.begins.1),
            changes: changes.as_ref().map(ChangeSet::summary),
            cpu_us: self.cpu_us,
            wall_us: now_us - self.started_us,
        };
        (ended, changes)
    }
}

/// What a program changed in the files that are held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChangeSet {
    /// Path and new content.
    pub files: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl ChangeSet {
    fn summary(&self) -> Changes {
        let digest = self.digest();
        let bytes = self.files.values().map(|content| content.len() as u64).sum();
        Changes { manifest: digest, voted: digest, count: self.files.len() as u64, bytes }
    }

    /// What it is known by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        for (path, content) in &self.files {
            for part in [path, content] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

/// So many bytes of a pack, from there on.
#[must_use]
pub fn region(slot: SlotId, bytes: &[u8], offset: u64, length: u64) -> Region {
    Region { slot, offset, length, digest: digest(part(bytes, offset, length)) }
}

/// So many bytes from there on, as many as there are.
#[must_use]
pub fn part(bytes: &[u8], offset: u64, length: u64) -> &[u8] {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[place(offset)..place(offset.saturating_add(length))]
}

/// The digest of these bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::script;
    use chameleon_core::names::{Attempt, StageId, TaskId};

    const EXECUTION: ExecutionId = ExecutionId { stage: StageId(0), task: TaskId(0), attempt: Attempt(0) };

    /// Runs a program to its end or to where it waits.
    fn run(line: &str, fault: Option<InjectionKind>, allowed: u64) -> (Pack, Move, Run) {
        let words: Vec<_> = line.split(' ').map(|word| word.as_bytes().to_vec().into()).collect();
        let mut pack = Pack { out: b"earlier".to_vec(), err: Vec::new() };
        let mut run = Run::new(EXECUTION, 0, script(&words).unwrap(), Stdin::Spool, (7, 0));
        run.allow(allowed);
        run.feed(3, false);
        if let Some(fault) = fault {
            run.inject(fault);
        }
        loop {
            match run.go_on(&mut pack, b"spooled", 4) {
                Move::Wrote | Move::After(_) | Move::Blocked(_) => {}
                last => return (pack, last, run),
            }
        }
    }

    #[test]
    fn a_program_does_its_deeds_one_by_one() {
        let exit = |code| Move::Ended(End::Exit(code));
        for (line, fault, allowed, out, last) in [
            ("p out:ab wait:3 out:c exit:3", None, 99, "abc", exit(3)),
            ("p out:ab coin", None, 99, "abheads", exit(0)),
            ("p crash:1 out:x", None, 99, "", Move::Ended(End::Signal(11))),
            ("p out:abcdef", None, 4, "abcd", Move::Waits),
            ("p cat out:never", None, 99, "spo", Move::Waits),
            ("p out:a out:b", Some(InjectionKind::Kill), 99, "a", Move::Ended(End::Signal(9))),
            ("p out:a out:b", Some(InjectionKind::Stop), 99, "a", Move::Waits),
            ("p out:b out:b", Some(InjectionKind::Flip), 99, "cb", exit(0)),
        ] {
            let (pack, end, _) = run(line, fault, allowed);
            assert_eq!((String::from_utf8_lossy(&pack.out[7..]).as_ref(), end), (out, last), "{line}");
        }
    }

    #[test]
    fn what_was_held_back_follows_once_it_is_allowed() {
        let (mut pack, _, mut run) = run("p out:abcdef", None, 4);
        run.allow(5);
        assert_eq!(run.go_on(&mut pack, b"", 0), Move::Wrote);
        run.allow(9);
        run.go_on(&mut pack, b"", 0);
        assert_eq!(pack.out, b"earlierabcdef");
        let (ended, _) = run.ended(SlotId(0), &pack, End::Exit(0), false, 0);
        assert_eq!(ended.stdout, Region { slot: SlotId(0), offset: 7, length: 6, digest: digest(b"abcdef") });
    }
}
