//! A daemon that no ARMOR guards, as it starts and as its system ends: whoever waits for it looks after it.

use chameleon_core::elements::guardian;
use chameleon_core::names::HostId;
use chameleon_core::world::ProcessMark;

use super::Process;
use crate::home::Home;

/// A daemon that is looked at now and then.
#[derive(Debug)]
pub struct Unguarded {
    process: Process,
    looks: guardian::Unguarded,
}

impl Unguarded {
    /// One that was just started.
    #[must_use]
    pub fn newborn(process: Process) -> Self {
        Unguarded { process, looks: guardian::Unguarded::newborn() }
    }

    /// The one that lives on a host.
    #[must_use]
    pub fn living(home: &Home, host: HostId) -> Option<Self> {
        let process = Process::open(&home.last_daemon(host).process).ok()?;
        let looks = guardian::Unguarded::living(process.sample()?);
        Some(Unguarded { process, looks })
    }

    #[must_use]
    pub fn mark(&self) -> &ProcessMark {
        self.process.mark()
    }

    #[must_use]
    pub fn has_exited(&self) -> bool {
        self.process.has_exited()
    }

    /// Looks at it, and ends it if it hangs; whether it does.
    pub fn end_if_it_hangs(&mut self) -> bool {
        let hangs = self.process.sample().is_some_and(|sample| self.looks.hangs(sample));
        if hangs {
            self.process.kill();
        }
        hangs
    }
}
