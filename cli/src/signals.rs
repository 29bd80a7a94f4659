//! Signals that ask a command to end, heard like everything else.
//!
//! They are blocked in every thread and waited for in one, so that no code ever runs in a signal
//! handler. A signal that whoever started us ignores (as `nohup` does) stays ignored.

use std::sync::mpsc::Sender;

use nix::sys::signal::{SigSet, Signal};

use crate::failure::Failure;
use crate::session::Heard;

const ASKING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The signals, blocked from now on in this thread and those it starts.
pub struct Signals(SigSet);

impl Signals {
    /// Must be called before any other thread is started.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn block() -> Result<Self, Failure> {
        let ignored = ignored();
        let set = SigSet::from_iter(ASKING.into_iter().filter(|signal| ignored & bit(*signal) == 0));
        set.thread_block().map_err(|why| Failure::System(format!("signals cannot be blocked: {why}")))?;
        Ok(Signals(set))
    }

    /// Waits for the next one; its number.
    pub fn wait(&self) -> Option<u8> {
        self.0.wait().ok().and_then(|signal| u8::try_from(signal as i32).ok())
    }

    /// Has them heard for the rest of the process's life.
    pub fn tell(self, ear: Sender<Heard>) {
        std::thread::spawn(move || {
            while let Some(number) = self.wait() {
                if ear.send(Heard::Signal(number)).is_err() {
                    return;
                }
            }
        });
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

/// The signals that this process ignores. One that is blocked would come all the same.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
