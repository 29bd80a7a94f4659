//! Backups as commands take them and tell of them.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, absolute};

use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::message::{FtmMessage, UserMessage};
use chameleon_core::names::JobId;
use chameleon_node::backup::{self, Backup, Done, Recovered};
use chameleon_node::home::Home;
use chameleon_node::random;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen;
use crate::session::ask;
use crate::system::Place;

/// Takes a backup and writes it there; what is told of it is what is read there again.
///
/// # Errors
/// It cannot be taken or written, or something is there.
pub fn back_up(place: &Place, file: &Path, keys: bool) -> Result<Backup, Failure> {
    let file = absolute(file).map_err(|why| unwritable(file, why))?;
    if file.exists() {
        return Err(Failure::Asked(format!("{} is there already; name another file", file.display())));
    }
    let home = Home::open(place.path()).map_err(failed)?;
    let bytes = match backup::take(&home, keys).map_err(failed)? {
        Some(backup) => backup.encode(),
        None => taken_by_ftm(place, &home, keys)?,
    };
    write_secret(&file, &bytes).map_err(|why| unwritable(&file, why))?;
    read(&file)
}

/// The store is the FTM's own file: it writes a copy of it, as it is at one moment.
fn taken_by_ftm(place: &Place, home: &Home, keys: bool) -> Result<Vec<u8>, Failure> {
    let number = u64::from_le_bytes(random::bytes());
    ask(&mut place.standing()?.connect()?, &FtmMessage::BackUp { number, keys }, |answer| match answer {
        UserMessage::BackedUp { number: of } => (of == number).then_some(()),
        _ => None,
    })?;
    let path = home.backup(number);
    let bytes =
        fs::read(&path).map_err(|why| Failure::Unreadable { what: "what the FTM wrote", path: path.clone(), why })?;
    let _ = fs::remove_file(path);
    Ok(bytes)
}

/// Beside its place first: a backup is there whole or not at all.
fn write_secret(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    let write = || {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        fs::hard_link(&beside, file)
    };
    let written = write();
    let _ = fs::remove_file(&beside);
    written
}

fn unwritable(file: &Path, why: std::io::Error) -> Failure {
    Failure::Unwritable { what: "the backup", path: file.to_owned(), why }
}

/// As a sentence about the store of a home.
pub fn failed(why: impl Display) -> Failure {
    Failure::Store(why.to_string())
}

/// # Errors
/// It is no backup that can be used.
pub fn read(file: &Path) -> Result<Backup, Failure> {
    Backup::read(file).map_err(failed)
}

fn count(backup: &Backup, is_one: impl Fn(&FtmRecord) -> bool) -> usize {
    backup.records.iter().filter(|record| is_one(record)).count()
}

fn jobs(backup: &Backup) -> (usize, usize) {
    let open = |record: &FtmRecord| matches!(record, FtmRecord::Job(job) if job.end.is_none());
    (count(backup, |record| matches!(record, FtmRecord::Job(_))), count(backup, open))
}

fn has_authority(backup: &Backup) -> bool {
    let files = backup.cluster.iter().flat_map(|cluster| &cluster.files);
    files.into_iter().any(|kept| kept.name == "authority.key")
}

pub fn json_of(backup: &Backup) -> Value {
    let (all, open) = jobs(backup);
    json!({
        "taken": screen::timestamp(backup.taken_unix_ms),
        "version": backup.written_by,
        "cluster": backup.cluster.as_ref().map(|cluster| &cluster.name),
        "keys": backup.cluster.as_ref().is_some_and(|cluster| !cluster.files.is_empty()),
        "authority_key": has_authority(backup),
        "hosts": backup.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "jobs": all,
        "open_jobs": open,
        "events": count(backup, |record| matches!(record, FtmRecord::Event(_))),
    })
}

pub fn text_of(file: &Path, backup: &Backup, zone: &TimeZone) -> String {
    let (all, open) = jobs(backup);
    let keys = match (&backup.cluster, has_authority(backup)) {
        (None, _) => None,
        (Some(_), true) => {
            Some("the keys of this home and of the cluster's authority are in it: whoever has it can let anybody in")
        }
        (Some(cluster), false) if cluster.files.is_empty() => {
            Some("no keys are in it: it can be put back into this home only")
        }
        (Some(_), false) => Some("the keys of this home are in it: whoever has it can speak in its name"),
    };
    let mut lines = vec![format!(
        "{}: {all} jobs, {open} of them open, and what happened, as of {}",
        file.display(),
        screen::date(backup.taken_unix_ms, zone)
    )];
    lines.extend(keys.map(str::to_owned));
    lines.push("results' bytes, journals and hosts' own policies are not in it: they stay on the hosts".to_owned());
    lines.join("\n")
}

pub fn json_of_restore(taken_unix_ms: u64, done: &Done) -> Value {
    json!({ "taken": screen::timestamp(taken_unix_ms), "ended": names(&done.ended), "aside": done.aside })
}

pub fn text_of_restore(home: &Path, backup: &Backup, done: &Done, zone: &TimeZone) -> String {
    let taken = screen::date(backup.taken_unix_ms, zone);
    let start = if backup.cluster.is_some() { "daemon" } else { "dev" };
    let mut lines = vec![format!("{} is as it was at {taken}; `chameleon {start}` starts it", home.display())];
    lines.extend(told_of_ended(&done.ended));
    lines.extend(done.aside.as_ref().map(|aside| format!("what was there before is in {}", aside.display())));
    if backup.cluster.is_some() {
        let since =
            "who was revoked since then must be revoked again, and a host that joined since then must join again";
        lines.push(since.to_owned());
    }
    lines.join("\n")
}

fn names(jobs: &[JobId]) -> Vec<String> {
    jobs.iter().map(ToString::to_string).collect()
}

/// A line about jobs that had not ended.
fn told_of_ended(ended: &[JobId]) -> Option<String> {
    let what = "had not ended; what became of them since is on no record, so they end here";
    (!ended.is_empty()).then(|| format!("{} {what}", names(ended).join(", ")))
}

/// Makes the etcd of a home serve again.
///
/// # Errors
/// It needs no help, or cannot be helped.
pub fn recover(place: &Place) -> Result<Recovered, Failure> {
    let home = Home::open(place.path()).map_err(failed)?;
    backup::recover(&home).map_err(failed)
}

pub fn json_of_recovery(recovered: &Recovered) -> Value {
    match recovered {
        Recovered::StartedAgain { members } => json!({ "did": "started-again", "members": members }),
        Recovered::Rebuilt { survivor, known_until_unix_ms, ended, aside } => json!({
            "did": "rebuilt",
            "survivor": survivor,
            "known_until": known_until_unix_ms.map(screen::timestamp),
            "ended": names(ended),
            "aside": aside,
        }),
    }
}

pub fn text_of_recovery(recovered: &Recovered, zone: &TimeZone) -> String {
    match recovered {
        Recovered::StartedAgain { members } => {
            format!("{members} members had what they kept and serve again: nothing was lost")
        }
        Recovered::Rebuilt { survivor, known_until_unix_ms, ended, aside } => {
            let known = known_until_unix_ms.map_or("nothing that happened".to_owned(), |at| {
                format!("what happened up to {}", screen::date(at, zone))
            });
            let mut lines = vec![format!("three new members have what {survivor} had: {known}")];
            lines.extend(told_of_ended(ended));
            lines
                .extend(aside.as_ref().map(|aside| format!("what was left of the old ones is in {}", aside.display())));
            lines.join("\n")
        }
    }
}
