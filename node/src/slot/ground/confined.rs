//! Ground made of namespaces: programs see a view of the files of their own, and the end of the first process of their
//! PID namespace is the end of them all.

use std::io;
use std::path::Path;

use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

use super::view::View;
use super::{Entered, Ground, GroundError, OnPath};
use crate::os::linux::launch::{self, Launcher};
use crate::os::linux::network::bring_loopback_up;
use crate::os::linux::{namespace, seccomp};
use crate::os::process::{ANY, Children, Program, Reaped, reap, reap_ended};
use crate::slot::blocked;
use crate::slot::plan::Plan;

struct Confined {
    view: View,
    launcher: Launcher,
    /// Whether the last look found no process left.
    is_alone: bool,
}

/// Leaves the namespaces that programs must not share with the host.
pub(in crate::slot) fn leave_host(plan: &Plan) -> Result<(), String> {
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    flags.set(UnshareFlags::NEWNET, !plan.net);
    flags.set(UnshareFlags::NEWUSER, plan.mapped.is_some());
    namespace::leave(flags).map_err(|error| {
        format!("make namespaces of its own ({error}); without root the kernel must allow user namespaces")
    })?;
    if let Some((user, group)) = plan.mapped {
        let map = |file: &str, content: String| {
            std::fs::write(format!("/proc/self/{file}"), content)
                .map_err(|error| format!("map the user into its namespace through {file}: {error}"))
        };
        map("setgroups", "deny".into())?;
        map("uid_map", format!("{user} {user} 1"))?;
        map("gid_map", format!("{group} {group} 1"))?;
    }
    // Some systems give namespaces and refuse all that is done in them: this shows it.
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| format!("keep mounts private in a namespace of its own ({error})"))?;
    if !plan.net {
        bring_loopback_up().map_err(|error| format!("bring up the loopback device: {error}"))?;
    }
    Ok(())
}

/// Called by the first process of the slot's PID namespace.
pub(super) fn enter(plan: Plan) -> Result<Entered, GroundError> {
    let ended = launch::take_signals().on("hear of the end of children, in", Path::new("/proc/self"))?;
    launch::stop_randomising_addresses();
    let watched = blocked::watched(plan.net);
    let view = View::build(plan)?;
    let ground = Box::new(Confined { view, launcher: Launcher::default(), is_alone: true });
    // Without it nothing is blocked that would not be; it is only not named.
    Ok(Entered { ground, ended, notices: seccomp::watch(&watched).ok() })
}

impl Ground for Confined {
    fn make_fresh(&mut self) -> Result<(), GroundError> {
        self.view.make_fresh()
    }

    fn start(&mut self, program: &Program<'_>) -> io::Result<i32> {
        self.launcher.start(program)
    }

    fn signal(&self, signal: i32) {
        let _ = launch::signal_all(signal);
    }

    /// Orphans are children of the first process of a namespace: if there is no child, nothing else is left in it.
    fn reap_ended(&mut self) -> Children {
        let found = reap_ended(ANY);
        self.is_alone = found == Children::Gone;
        found
    }

    fn end_rest(&mut self) -> Vec<Reaped> {
        // Signalling all looks at every process of the host: it is spared where none is left.
        match !self.is_alone && launch::signal_all(libc::SIGKILL) {
            true => std::iter::from_fn(|| reap(ANY)).collect(),
            false => Vec::new(),
        }
    }

    fn settle(&mut self) -> Result<bool, GroundError> {
        self.view.settle()
    }
}
