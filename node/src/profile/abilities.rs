//! What the system offers for keeping programs apart, tried and not only looked up.
//!
//! Namespaces and mounts are tried in a process of its own with one thread, which is this program
//! again under the hidden word `probe`: what is tried ends with it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chameleon_core::profile::{Ability, FACILITIES};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::PidfdFlags;
use rustix::thread::UnshareFlags;

use crate::os::facilities::Facilities;
use crate::os::linux::{landlock, namespace};
use crate::os::spawn;

/// How long the trial process may take.
const MOST: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);

const NAMESPACES: &str = "namespaces";
const OVERLAYS: &str = "overlay mounts";

/// Tries everything. `set`: the facilities that the host is set to use.
pub fn find(set: Option<Facilities>) -> Vec<Ability> {
    let tried = run_trial();
    let outcome = |name: &str| {
        let line = tried.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
        match line {
            Some("works") => Ok("works".to_owned()),
            Some(why) => Err(why.to_owned()),
            None => Err("could not be tried".to_owned()),
        }
    };
    vec![
        facilities(set, outcome(NAMESPACES).is_ok()),
        ability(NAMESPACES, outcome(NAMESPACES), "programs cannot be kept apart from the host without root"),
        ability(OVERLAYS, outcome(OVERLAYS), "the run directory is copied for every execution that writes to it"),
        ability(
            "Landlock",
            landlock::version().map(|version| format!("version {version}")).ok_or_else(absent),
            "paths are kept from programs by mounts alone",
        ),
        ability("seccomp", seccomp(), "a write that is forbidden is not named in the report"),
        ability("cgroup v2", cgroups(), "memory is limited for each process and not for a whole slot"),
        ability("pidfd", pidfd(), "the end of a process cannot be known beyond doubt, and no daemon runs here"),
    ]
}

/// What keeps programs from the host.
fn facilities(set: Option<Facilities>, has_namespaces: bool) -> Ability {
    let used = set.unwrap_or(if has_namespaces { Facilities::Linux } else { Facilities::Posix });
    let lacking = match used {
        Facilities::Linux => None,
        Facilities::Posix => Some(format!(
            "{FACILITIES}: POSIX alone; programs get a copy of the run directory and are kept from nothing else: what \
             they write elsewhere is done at once, the network is open, and what leaves their process group is not \
             ended with them"
        )),
    };
    Ability { name: FACILITIES.to_owned(), found: used.word().to_owned(), lacking }
}

fn absent() -> String {
    "is not there".to_owned()
}

fn ability(name: &str, found: Result<String, String>, meaning: &str) -> Ability {
    let lacking = found.as_ref().err().map(|why| format!("{name}: {why}; {meaning}"));
    Ability { name: name.to_owned(), found: found.unwrap_or_else(|why| why), lacking }
}

fn seccomp() -> Result<String, String> {
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").map_err(|_| absent())?;
    match actions.split_whitespace().any(|action| action == "user_notif") {
        true => Ok("with notices to the supervisor".to_owned()),
        false => Err("is there, but tells no supervisor".to_owned()),
    }
}

fn cgroups() -> Result<String, String> {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let found = roots.iter().find_map(|root| {
        let controllers = fs::read_to_string(Path::new(root).join("cgroup.controllers")).ok()?;
        Some(controllers.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    });
    match found {
        None => Err(absent()),
        Some(controllers) if !controllers.iter().any(|name| name == "memory") => {
            Err("is there without the memory controller".to_owned())
        }
        Some(controllers) => Ok(controllers.join(" ")),
    }
}

fn pidfd() -> Result<String, String> {
    let own = rustix::process::getpid();
    rustix::process::pidfd_open(own, PidfdFlags::empty())
        .map(|_| "works".to_owned())
        .map_err(|error| format!("cannot be opened ({error})"))
}

/// The lines that a trial process writes.
fn run_trial() -> Vec<String> {
    let Ok(mut command) = spawn::command(Path::new(spawn::THIS_PROGRAM)) else { return Vec::new() };
    command.arg("probe").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Vec::new() };
    let began = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if began.elapsed() >= MOST {
            let _ = child.kill();
            let _ = child.wait();
            return Vec::new();
        }
        thread::sleep(PAUSE);
    }
    // It has ended and started nobody: all that it wrote is there.
    let mut text = String::new();
    let _ = child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut text));
    text.lines().map(str::to_owned).collect()
}

/// What `chameleon probe` does; started by an Init only.
#[must_use]
pub fn probe_main() -> ExitCode {
    let said = |outcome: Result<(), String>| outcome.map_or_else(|why| why, |()| "works".to_owned());
    let namespaces = enter_namespaces();
    let is_in = namespaces.is_ok();
    println!("{NAMESPACES}\t{}", said(namespaces));
    let overlay = if is_in { mount_overlay() } else { Err("needs a mount namespace".to_owned()) };
    println!("{OVERLAYS}\t{}", said(overlay));
    ExitCode::SUCCESS
}

/// As a slot does: with root a mount namespace suffices.
fn enter_namespaces() -> Result<(), String> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut flags = UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    flags.set(UnshareFlags::NEWUSER, !user.is_root());
    namespace::leave(flags).map_err(|error| format!("are refused ({error})"))?;
    if !user.is_root() {
        let map = |file: &str, content: String| {
            fs::write(format!("/proc/self/{file}"), content).map_err(|error| format!("cannot be mapped ({error})"))
        };
        map("setgroups", "deny".into())?;
        map("uid_map", format!("{user} {user} 1", user = user.as_raw()))?;
        map("gid_map", format!("{group} {group} 1", group = group.as_raw()))?;
    }
    Ok(())
}

/// An overlay over a fresh file system in memory, which both end with the mount namespace.
fn mount_overlay() -> Result<(), String> {
    let why = |error: rustix::io::Errno| format!("are refused ({error})");
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(why)?;
    rustix::mount::mount("tmpfs", "/tmp", "tmpfs", MountFlags::empty(), None).map_err(why)?;
    for directory in ["lower", "upper", "work", "merged"] {
        fs::create_dir(Path::new("/tmp").join(directory)).map_err(|error| format!("are refused ({error})"))?;
    }
    let options = c"lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work,userxattr";
    let plain = c"lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work";
    let mount = |options| rustix::mount::mount("overlay", "/tmp/merged", "overlay", MountFlags::empty(), options);
    mount(Some(options)).or_else(|_| mount(Some(plain))).map_err(why)
}
