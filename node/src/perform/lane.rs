//! One slot of a lane at work: orders in, events out.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use chameleon_core::job::{InjectionKind, OsBytes, Stdin};
use chameleon_core::names::{ExecutionId, SlotId};
use chameleon_core::world::{Changes, End, Ended, Region, SlotEvent, SlotSample};
use tokio::sync::mpsc::UnboundedReceiver;

use super::feeder::Feeder;
use super::slots::{Order, os_string};
use crate::event_loop::Reporter;
use crate::slot::{self, BlockedWhy, Exit, Slot, SlotError, Start};
use crate::timers;

/// Exit codes with which `env` says that it could not start a program.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// A slot and what it does for the lane.
pub(super) struct Lane {
    id: SlotId,
    slot: Slot,
    /// Where the job's standard input is spooled.
    spool: PathBuf,
    reporter: Reporter,
    is_ready: bool,
    running: Option<Running>,
    asked: u64,
    answered: u64,
}

struct Running {
    execution: ExecutionId,
    began_us: u64,
    /// Bytes of output so far, and up to where they may be read.
    length: u64,
    allowed: u64,
    feeder: Option<Feeder>,
}

/// What has become of a slot.
enum Fate {
    Goes,
    Gone,
}

impl Lane {
    pub fn new(id: SlotId, slot: Slot, spool: PathBuf, reporter: Reporter) -> Lane {
        Lane { id, slot, spool, reporter, is_ready: false, running: None, asked: 0, answered: 0 }
    }

    /// Works until the slot is closed or lost.
    pub async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        loop {
            let fate = tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).unwrap_or_else(|error| self.lost(format!("cannot {error}"))),
                    None => return,
                },
                event = self.slot.next() => self.report(event),
            };
            match fate {
                Fate::Goes => {}
                Fate::Gone => return,
            }
        }
    }

    fn obey(&mut self, order: Order) -> Result<Fate, SlotError> {
        match order {
            Order::Start { execution, command, stdin, fault } => self.start(execution, command, &stdin, fault)?,
            Order::Kill => self.slot.kill()?,
            Order::Allow { upto } => {
                if let Some(running) = &mut self.running {
                    running.allowed = upto;
                    self.hold_or_release();
                }
            }
            Order::Feed { upto, end } => {
                if let Some(feeder) = self.running.as_ref().and_then(|running| running.feeder.as_ref()) {
                    feeder.feed(upto, end);
                }
            }
            Order::Prefix { execution, offset } => {
                if let Some(digest) = self.slot.digest_at(offset)? {
                    let so_far = Region { slot: self.id, offset: self.slot.output_begins(), length: offset, digest };
                    self.reporter.slot(SlotEvent::Prefix { slot: self.id, execution, so_far });
                }
            }
            Order::Sample => self.sample()?,
        }
        Ok(Fate::Goes)
    }

    fn start(
        &mut self,
        execution: ExecutionId,
        argv: Vec<OsBytes>,
        stdin: &Stdin,
        fault: Option<InjectionKind>,
    ) -> Result<(), SlotError> {
        let (input, feeder) = match open_stdin(stdin, &self.spool) {
            Ok(opened) => opened,
            Err(error) => {
                let why = format!("standard input cannot be read: {error}");
                self.reporter.slot(SlotEvent::Unheld { slot: self.id, execution, why });
                return Ok(());
            }
        };
        let began_us = timers::micros();
        self.running = Some(Running { execution, began_us, length: 0, allowed: u64::MAX, feeder });
        self.hold_or_release();
        self.slot.start(Start { execution, argv, stdin: input, fault })
    }

    /// A program that is held back comes to a halt when its pipe is full.
    fn hold_or_release(&mut self) {
        match &self.running {
            Some(running) if running.length >= running.allowed => self.slot.hold_output(),
            _ => self.slot.release_output(),
        }
    }

    fn sample(&mut self) -> Result<(), SlotError> {
        self.asked += 1;
        self.slot.ping(self.asked)?;
        let slot::Sample { cpu, stopped, .. } = self.slot.sample();
        let sample = SlotSample { asked: self.asked, answered: self.answered, cpu_us: cpu, stopped };
        self.reporter.slot(SlotEvent::Sampled { slot: self.id, sample });
        Ok(())
    }

    fn report(&mut self, event: slot::SlotEvent) -> Fate {
        let slot = self.id;
        match event {
            slot::SlotEvent::Ready => {
                self.is_ready = true;
                self.reporter.slot(SlotEvent::Ready { slot });
            }
            slot::SlotEvent::Started { .. } => {}
            slot::SlotEvent::Pong(number) => self.answered = number,
            slot::SlotEvent::Output { execution, prefix } => {
                if let Some(running) = &mut self.running {
                    running.length = prefix.len;
                }
                self.hold_or_release();
                let so_far =
                    Region { slot, offset: self.slot.output_begins(), length: prefix.len, digest: prefix.digest };
                self.reporter.slot(SlotEvent::Output { slot, execution, so_far });
            }
            slot::SlotEvent::Blocked {
                execution,
                path,
                why: BlockedWhy::ReadOnly | BlockedWhy::Outside | BlockedWhy::Unsupported,
            } => {
                let path = path.into_os_string().into_vec().into();
                self.reporter.slot(SlotEvent::Blocked { slot, execution, path });
            }
            slot::SlotEvent::Refused { execution, code, why } => self.refused(execution, code, why),
            slot::SlotEvent::Ended(ended) => self.ended(&ended),
            slot::SlotEvent::Lost { why } => return self.lost(why),
        }
        Fate::Goes
    }

    /// Nothing was started. That there is no such program is a result; any other cause is not.
    fn refused(&mut self, execution: ExecutionId, code: u8, why: String) {
        let end = match code {
            NOT_FOUND => End::NotFound,
            NOT_EXECUTABLE => End::NotExecutable,
            _ => {
                self.running = None;
                return self.reporter.slot(SlotEvent::Unheld { slot: self.id, execution, why });
            }
        };
        let nothing = chameleon_core::names::Digest(*blake3::hash(&[]).as_bytes());
        let empty = Region { slot: self.id, offset: self.slot.output_begins(), length: 0, digest: nothing };
        let wall_us = self.wall_us();
        let ended = Ended { end, stdout: empty, stderr: empty, changes: None, cpu_us: 0, wall_us };
        self.running = None;
        self.reporter.slot(SlotEvent::Ended { slot: self.id, execution, ended });
    }

    fn ended(&mut self, ended: &slot::Ended) {
        let region = |region: slot::Region| Region {
            slot: self.id,
            offset: region.offset,
            length: region.len,
            digest: region.digest,
        };
        let changes = ended.changes.map(|changes| Changes {
            manifest: changes.manifest,
            voted: changes.vote,
            count: changes.count,
            bytes: changes.bytes,
        });
        let end = match ended.exit {
            Exit::Code(code) => End::Exit(code),
            Exit::Signal(number) => End::Signal(number),
        };
        let (stdout, stderr) = (region(ended.stdout), region(ended.stderr));
        let ended_here = Ended { end, stdout, stderr, changes, cpu_us: ended.cpu, wall_us: self.wall_us() };
        self.running = None;
        let event = SlotEvent::Ended { slot: self.id, execution: ended.execution, ended: ended_here };
        self.reporter.slot(event);
    }

    fn wall_us(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| timers::micros().saturating_sub(running.began_us))
    }

    fn lost(&mut self, why: String) -> Fate {
        let slot = self.id;
        let execution = self.running.take().map(|running| running.execution);
        self.reporter.slot(match self.is_ready {
            true => SlotEvent::Lost { slot, execution, why },
            false => SlotEvent::Unavailable { slot, why },
        });
        Fate::Gone
    }
}

/// A program's standard input, and who feeds it.
fn open_stdin(stdin: &Stdin, spool: &Path) -> io::Result<(Option<OwnedFd>, Option<Feeder>)> {
    match stdin {
        Stdin::Null => Ok((None, None)),
        Stdin::File(path, position) => {
            let mut file = File::open(os_string(path))?;
            file.seek(SeekFrom::Start(*position))?;
            Ok((Some(file.into()), None))
        }
        Stdin::Spool => {
            let (program_end, feeder) = Feeder::new(File::open(spool)?)?;
            Ok((Some(program_end), Some(feeder)))
        }
    }
}
