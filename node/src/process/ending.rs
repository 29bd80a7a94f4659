//! Ends the whole system of a home, and leaves nothing of an ephemeral one.
//!
//! The mark `stopping` is set first. An ARMOR binds its socket and then looks for the mark: either it
//! sees the mark and exits, or its socket is there to be found. Whoever listens at a socket of the home
//! is killed, until nobody does. The mark stays: an ARMOR that was given its name and had no socket yet, such as one of a
//! host that was lost and is started to be ended, sees it when it has one. Whoever starts the system again removes it.
//!
//! A daemon does this. No ARMOR is left to guard it then: whoever waits for the end looks after it, and does what one that
//! died left undone.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use chameleon_core::names::{ArmorName, HostId, Kind};
use rustix::event::Timespec;

use super::{Process, Unguarded, shims};
use crate::home::{self, Home};

/// How long a killed process may take to be gone before it is looked for again.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Programs die with their ARMORs, but a moment later; until then they may still write.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);
/// Between two looks at a daemon that ends its system.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Ends every process of the home, this one last.
pub(super) fn end(home: &Home, own: ArmorName) -> ! {
    end_others(home, Some(own));
    // Whoever starts the system anew must not take this process for it.
    let _ = std::fs::remove_file(home.socket(own));
    clear(home);
    std::process::exit(0);
}

/// The end of a system, for whoever waits for it.
#[derive(Debug)]
pub struct Ending<'a> {
    home: &'a Home,
    daemons: BTreeMap<HostId, Unguarded>,
    look_at: Instant,
}

impl<'a> Ending<'a> {
    #[must_use]
    pub fn of(home: &'a Home) -> Self {
        Ending { home, daemons: BTreeMap::new(), look_at: Instant::now() }
    }

    /// Whether nothing of the system runs any more. A daemon that hangs is ended, now and then; when none is left, so is
    /// what the last of them left.
    pub fn is_over(&mut self) -> bool {
        if self.home.is_gone() {
            return true;
        }
        if !self.home.has_daemon() {
            end_others(self.home, None);
            clear(self.home);
            return true;
        }
        if self.look_at <= Instant::now() {
            self.look_at = Instant::now() + LOOK_EVERY;
            (1..=self.home.hosts()).for_each(|host| self.look(HostId(host)));
        }
        false
    }

    fn look(&mut self, host: HostId) {
        let mark = self.home.last_daemon(host).process;
        if let Some(daemon) = self.daemons.get_mut(&host).filter(|daemon| *daemon.mark() == mark) {
            daemon.end_if_it_hangs();
        } else {
            self.daemons.extend(Unguarded::living(self.home, host).map(|daemon| (host, daemon)));
        }
    }
}

fn end_others(home: &Home, own: Option<ArmorName>) {
    if let Err(error) = home.mark_stopping()
        && !home.is_gone()
    {
        crate::log!("cannot mark the home as stopping: {error}");
    }
    end_all(home, own);
    shims::end_all(home);
}

fn end_all(home: &Home, own: Option<ArmorName>) {
    loop {
        let others = home.linked().unwrap_or_default();
        let others = others.into_iter().filter(|name| Some(*name) != own && name.kind() != Kind::User);
        let living: Vec<Process> = others.filter_map(|name| listener(home, name)).collect();
        if living.is_empty() {
            return;
        }
        living.iter().for_each(Process::kill);
        for process in living {
            process.wait(Some(&GONE_WITHIN));
            process.reap();
        }
    }
}

/// The process that listens under a name; a socket of a dead one is removed.
fn listener(home: &Home, name: ArmorName) -> Option<Process> {
    match UnixStream::connect(home.socket(name)) {
        Ok(stream) => Process::at_other_end(&stream).ok().filter(|process| !process.has_exited()),
        Err(_) => {
            let _ = std::fs::remove_file(home.socket(name));
            None
        }
    }
}

fn clear(home: &Home) {
    for attempt in 1.. {
        match home::remove(home) {
            Ok(()) => break,
            Err(error) if attempt == ATTEMPTS => {
                crate::log!("cannot remove all of {}: {error}", home.path().display());
                break;
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
