//! What there is of a home on this machine, as the audit compares it with what the FTM says; and what it has repaired.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chameleon_core::audit::{Difference, Sight};
use chameleon_core::names::{ArmorName, HostId, JobId};
use rustix::event::Timespec;

use super::{Process, shims};
use crate::files::{commit, tree};
use crate::home::{Home, Lock, LockError};
use crate::launch::{self, LaunchError};

/// How long a killed process may take to be gone.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// What is younger may still be written.
const LEFT_AFTER: Duration = Duration::from_secs(60);

/// Why the home cannot be looked over, or something not repaired.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error("cannot look over {path}: {source}")]
    System { path: PathBuf, source: io::Error },
    #[error("cannot delete {path}: {source}")]
    Undeleted { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("{0}")]
    Stays(String),
}

/// One look at a home.
#[derive(Debug, Default)]
pub struct Survey {
    pub sights: Vec<Sight>,
    /// Those that were seen.
    processes: BTreeMap<u32, Process>,
}

impl Survey {
    /// Looks, and changes nothing.
    ///
    /// # Errors
    /// See [`SurveyError`].
    pub fn of(home: &Home) -> Result<Survey, SurveyError> {
        let mut survey = Survey::default();
        let look = |survey: &mut Survey| {
            survey.see_links(home)?;
            survey.see_processes(home)?;
            names::<HostId>(&home.path().join("hosts"))?.into_iter().try_for_each(|host| survey.see_host(home, host))
        };
        look(&mut survey).map_err(|source| SurveyError::System { path: home.path().to_owned(), source })?;
        survey.see_remains(home);
        for (host, job, process) in shims::living(home) {
            let pid = process.mark().pid;
            survey.processes.insert(pid, process);
            survey.sights.push(Sight::Slot { host, job, pid });
        }
        Ok(survey)
    }

    /// Who can be spoken to under which name.
    fn see_links(&mut self, home: &Home) -> io::Result<()> {
        for name in home.linked()? {
            match UnixStream::connect(home.socket(name)).and_then(Process::at_other_end) {
                Ok(process) => {
                    let pid = process.mark().pid;
                    self.processes.insert(pid, process);
                    self.sights.push(Sight::Process { name: Some(name), pid });
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.sights.push(Sight::DeadSocket { name });
                }
                // It went meanwhile, or is too busy to be asked.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Processes that have this home open, as ARMORs and daemons have, and no name in it.
    fn see_processes(&mut self, home: &Home) -> io::Result<()> {
        let links = home.path().join("links");
        for pid in names::<u32>(Path::new("/proc"))? {
            if self.processes.contains_key(&pid) || !serves(pid) || !has_open(pid, &links) {
                continue;
            }
            if let Ok(process) = Process::open_pid(pid) {
                self.processes.insert(pid, process);
                self.sights.push(Sight::Process { name: None, pid });
            }
        }
        Ok(())
    }

    fn see_host(&mut self, home: &Home, host: HostId) -> io::Result<()> {
        let lock = home.daemon_lock(host);
        let holds = lock.exists() && matches!(Lock::take(&lock), Err(LockError::Held { .. }));
        self.sights.push(Sight::Daemon { host, holds, last: home.last_daemon(host).process.pid });
        let armors = names::<ArmorName>(&home.host(host).join("armors"))?;
        self.sights.extend(armors.into_iter().map(|name| Sight::ArmorDirectory { host, name }));
        let jobs = names::<JobId>(&home.host(host).join("jobs"))?;
        self.sights.extend(jobs.into_iter().map(|job| Sight::JobDirectory { host, job }));
        Ok(())
    }

    fn see_remains(&mut self, home: &Home) {
        let backups = fs::read_dir(home.path().join("ftm")).into_iter().flatten().flatten();
        let backups = backups.filter(|entry| entry.file_name().as_bytes().starts_with(b"backup-"));
        let paths = backups.map(|entry| entry.path()).chain([home.etcd().join("alone")]);
        let old = |path: &PathBuf| {
            let changed = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
            changed.and_then(|at| SystemTime::now().duration_since(at).ok()).is_some_and(|age| age > LEFT_AFTER)
        };
        let within = |path: PathBuf| path.strip_prefix(home.path()).map(|path| path.display().to_string()).ok();
        self.sights.extend(paths.filter(old).filter_map(within).map(|path| Sight::Remains { path }));
    }

    /// Does what can safely be done about a difference that this look showed.
    ///
    /// # Errors
    /// It stays.
    pub fn repair(&self, home: &Home, difference: &Difference, blanks: u16) -> Result<(), SurveyError> {
        let delete = |path: PathBuf| {
            let deleted = if path.is_dir() { tree::remove(&path) } else { fs::remove_file(&path) };
            deleted.map_err(|source| SurveyError::Undeleted { path, source })
        };
        match difference {
            Difference::NoDaemon { host, .. } => Ok(launch::start(home, *host, blanks)?),
            Difference::StrayProcess { pid, .. } | Difference::StraySlot { pid, .. } => self.kill(*pid),
            Difference::DeadSocket { name } => {
                home.drop_name(*name);
                Ok(())
            }
            Difference::LeftArmor { host, name } => delete(home.armor(*host, *name)),
            Difference::LeftJob { host, job } => {
                let _ = commit::forget_all(&Home::commits(), &home.commits_of(*job));
                delete(home.job_on(*host, *job))
            }
            Difference::Remains { path } => delete(home.path().join(path)),
            Difference::OtherProcess { .. } | Difference::NoProcess { .. } => {
                Err(SurveyError::Stays("the daemon of its host sees to it".to_owned()))
            }
        }
    }

    fn kill(&self, pid: u32) -> Result<(), SurveyError> {
        let Some(process) = self.processes.get(&pid) else { return Ok(()) };
        process.kill();
        match process.wait(Some(&GONE_WITHIN)) {
            true => Ok(()),
            false => Err(SurveyError::Stays(format!("process {pid} was killed and does not end"))),
        }
    }
}

/// Whether a process is an ARMOR or a daemon of some home of ours.
fn serves(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    words.next() == Some(b"chameleon") && matches!(words.next(), Some(b"armor" | b"daemon"))
}

fn has_open(pid: u32, path: &Path) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok()).any(|open| open == path)
}

/// The names in a directory that are of this kind; none if there is no directory.
fn names<T: std::str::FromStr + Ord>(directory: &Path) -> io::Result<BTreeSet<T>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        entries => {
            let name =
                |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str().and_then(|name| name.parse().ok());
            Ok(entries?.filter_map(name).collect())
        }
    }
}
