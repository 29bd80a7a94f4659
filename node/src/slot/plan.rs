//! What a slot shall look like from inside, worked out before anything is mounted.
//!
//! All refusals that can be known beforehand are made here, by name, with what the user can do about it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chameleon_core::job::{Files, OsBytes};
use minicbor::{Decode, Encode};

use super::{SlotError, SlotSpec};
use crate::files::listing::{self, beneath};
use crate::os::facilities::Facilities;

/// The view that the shim builds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Plan {
    /// The run directory without symbolic links.
    #[n(0)]
    pub directory: OsBytes,
    /// Directories under an overlay, outermost first.
    #[n(1)]
    pub overlays: Vec<Overlay>,
    /// Directories that are replaced by empty private ones.
    #[n(2)]
    pub hidden: Vec<OsBytes>,
    /// Paths that are shown, read-only: beneath hidden directories, or fetched from the job's origin.
    #[n(3)]
    pub visible: Vec<Shown>,
    /// The slot's own directory, where the layers lie.
    #[n(4)]
    pub work: OsBytes,
    /// `NAME=value`.
    #[n(5)]
    pub environment: Vec<OsBytes>,
    #[n(6)]
    pub net: bool,
    #[n(7)]
    pub umask: u32,
    /// User and group to map onto themselves in a user namespace; `None`: privileged, none is needed.
    #[n(8)]
    pub mapped: Option<(u32, u32)>,
    /// What keeps programs from the host.
    #[n(9)]
    pub facilities: Facilities,
}

/// A path that is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Shown {
    #[n(0)]
    pub path: OsBytes,
    /// What is shown there.
    #[n(1)]
    pub source: OsBytes,
}

/// A directory that programs may write to, with what they write held aside.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Overlay {
    /// The number of the root in the manifest: 0 the run directory, then the outputs as the job lists them.
    #[n(0)]
    pub root: u16,
    #[n(1)]
    pub path: OsBytes,
    /// What is written is kept (voted on and committed) rather than thrown away.
    #[n(2)]
    pub kept: bool,
    /// The only path (relative to `path`) that may change; `None`: anything.
    #[n(3)]
    pub only: Option<OsBytes>,
    /// The user may not make entries in it, so programs may not either.
    #[n(4)]
    pub sealed: bool,
    /// What lies under the overlay instead of what is at its path.
    #[n(5)]
    pub lower: Option<OsBytes>,
}

impl Overlay {
    #[must_use]
    pub fn directory(&self) -> &Path {
        as_path(&self.path)
    }

    /// What lies under it.
    #[must_use]
    pub fn source(&self) -> &Path {
        as_path(self.lower.as_ref().unwrap_or(&self.path))
    }
}

pub(super) fn as_path(bytes: &OsBytes) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

pub(super) fn as_bytes(path: impl Into<OsString>) -> OsBytes {
    path.into().into_vec().into()
}

/// Works out the view of a slot, or refuses with the reason.
pub(super) fn plan(spec: &SlotSpec) -> Result<Plan, SlotError> {
    let directory = match spec.mirror {
        None => canonical(&spec.directory)?,
        Some(_) => spec.directory.clone(),
    };
    let place = Place { mirror: spec.mirror.as_deref() };
    let mut overlays = Vec::new();
    // On a read-only file system nothing can be kept, so programs see it as it is.
    let held = spec.files != Files::None && (spec.mirror.is_some() || !is_read_only(&directory));
    if held {
        overlays.push(place.overlay(0, &directory, spec.files == Files::Overlay, None)?);
    }
    for (number, output) in (1..).zip(&spec.outputs) {
        let overlay = place.output(number, &directory.join(output))?;
        if !overlays.iter().any(|outer| covers(outer, &overlay)) {
            overlays.push(overlay);
        }
    }
    overlays.sort_by(|one, other| one.path.cmp(&other.path));
    let mounts = if spec.mirror.is_none() { mount_points()? } else { Vec::new() };
    for overlay in &overlays {
        refuse_unfit(overlay.directory(), &mounts)?;
    }
    let mut hidden = hidden_directories(&spec.environment);
    hidden.retain(|hidden| !hidden.starts_with(&directory));
    let visible = match &spec.mirror {
        None => visible_paths(spec, held, &directory, &hidden).into_iter().map(as_bytes).map(Shown::itself).collect(),
        Some(mirror) => laid_paths(held, mirror, &directory)?,
    };
    Ok(Plan {
        directory: as_bytes(directory),
        overlays,
        hidden: hidden.into_iter().map(as_bytes).collect(),
        visible,
        work: as_bytes(canonical(&spec.work)?),
        environment: spec.environment.iter().cloned().map(as_bytes).collect(),
        net: spec.net,
        umask: spec.umask,
        mapped: user_to_map(),
        facilities: spec.facilities.unwrap_or(Facilities::Linux),
    })
}

fn canonical(path: &Path) -> Result<PathBuf, SlotError> {
    path.canonicalize().map_err(|source| SlotError::Path { path: path.to_owned(), source })
}

impl Shown {
    fn itself(path: OsBytes) -> Shown {
        Shown { source: path.clone(), path }
    }
}

/// Where the files are that programs see: at their own paths, or in a mirror.
struct Place<'a> {
    mirror: Option<&'a Path>,
}

impl Place<'_> {
    fn overlay(&self, root: u16, path: &Path, kept: bool, only: Option<OsBytes>) -> Result<Overlay, SlotError> {
        let (path, lower) = match self.mirror {
            None => (canonical(path)?, None),
            Some(mirror) => {
                let lower = beneath(mirror, path);
                std::fs::create_dir_all(&lower).map_err(|source| SlotError::Path { path: lower.clone(), source })?;
                (path.to_owned(), Some(as_bytes(lower)))
            }
        };
        let sealed = is_sealed(lower.as_ref().map_or(&path, |lower: &OsBytes| as_path(lower)));
        Ok(Overlay { root, path: as_bytes(path), kept, only, sealed, lower })
    }

    /// An output that is a directory is held whole; any other is a path in a directory of which nothing else may change.
    fn output(&self, root: u16, output: &Path) -> Result<Overlay, SlotError> {
        let there = self.mirror.map_or(output.to_owned(), |mirror| beneath(mirror, output));
        if there.is_dir() || output.as_os_str().as_bytes().ends_with(b"/") {
            return self.overlay(root, output, true, None);
        }
        let missing = || SlotError::Path { path: output.to_owned(), source: io::ErrorKind::NotFound.into() };
        let (parent, name) = output.parent().zip(output.file_name()).ok_or_else(missing)?;
        self.overlay(root, parent, true, Some(as_bytes(name)))
    }
}

/// What was fetched from the job's origin, and a run directory without an overlay; each with all beneath it, once.
fn laid_paths(held: bool, mirror: &Path, directory: &Path) -> Result<Vec<Shown>, SlotError> {
    let mut paths = listing::laid(mirror)?;
    if !held {
        let lower = beneath(mirror, directory);
        std::fs::create_dir_all(&lower).map_err(|source| SlotError::Path { path: lower, source })?;
        paths.push(directory.to_owned());
    }
    paths.sort();
    let mut shown: Vec<PathBuf> = Vec::new();
    for path in paths {
        let seen = held && path.starts_with(directory);
        if !seen && !shown.iter().any(|outer| path.starts_with(outer)) {
            shown.push(path);
        }
    }
    let show = |path: PathBuf| Shown { source: as_bytes(beneath(mirror, &path)), path: as_bytes(path) };
    Ok(shown.into_iter().map(show).collect())
}

/// Whether this user may not make entries in a directory.
fn is_sealed(directory: &Path) -> bool {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).is_err()
}

/// Where the files are the system's own and no data.
const SYSTEM: [&str; 2] = ["/proc", "/sys"];

/// Whether everything that `inner` holds is held by `outer` anyway.
fn covers(outer: &Overlay, inner: &Overlay) -> bool {
    outer.kept && outer.only.is_none() && inner.directory().starts_with(outer.directory())
}

fn is_read_only(directory: &Path) -> bool {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK) == Err(rustix::io::Errno::ROFS)
}

/// Every mount point of this mount namespace.
fn mount_points() -> Result<Vec<PathBuf>, SlotError> {
    let table = Path::new("/proc/self/mountinfo");
    let text = std::fs::read(table).map_err(|source| SlotError::Path { path: table.to_owned(), source })?;
    let points = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(points.map(unescape).collect())
}

/// The kernel writes blanks, tabs, newlines and backslashes as a backslash and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => plain.push(*first),
        }
    }
    OsString::from_vec(plain).into()
}

fn refuse_unfit(directory: &Path, mounts: &[PathBuf]) -> Result<(), SlotError> {
    if directory == Path::new("/") {
        return Err(SlotError::WholeSystem);
    }
    if SYSTEM.iter().any(|system| directory.starts_with(system)) {
        return Err(SlotError::System { directory: directory.to_owned() });
    }
    match mounts.iter().find(|mount| *mount != directory && mount.starts_with(directory)) {
        None => Ok(()),
        Some(mount) => Err(SlotError::Submount { directory: directory.to_owned(), mount: mount.clone() }),
    }
}

/// The directories that are private to each lane under this environment, as far as they exist.
#[must_use]
pub fn hidden_directories(environment: &[OsString]) -> Vec<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let runtime = variable(environment, "XDG_RUNTIME_DIR").map(PathBuf::from);
    let all = [Some("/tmp".into()), Some("/dev/shm".into()), runtime, Some(format!("/run/user/{user}").into())];
    let mut hidden: Vec<PathBuf> = Vec::new();
    for path in all.into_iter().flatten().filter_map(|path: PathBuf| path.canonicalize().ok()) {
        if path != Path::new("/") && path.is_dir() && !hidden.iter().any(|outer| path.starts_with(outer)) {
            hidden.push(path);
        }
    }
    hidden
}

/// The value of a variable, as the C library would find it.
pub(super) fn variable<'a>(environment: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    let value = |entry: &'a OsString| entry.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    environment.iter().find_map(value).map(OsStr::from_bytes)
}

/// What must not vanish with the hidden directories: the run directory if it is not under an overlay, the inputs, and
/// the program.
fn visible_paths(spec: &SlotSpec, held: bool, directory: &Path, hidden: &[PathBuf]) -> Vec<PathBuf> {
    let program = super::program::find(&spec.program, directory, &spec.environment);
    let inputs = spec.inputs.iter().map(|input| directory.join(input));
    let run_directory = (!held).then(|| directory.to_owned());
    let mut visible: Vec<PathBuf> = Vec::new();
    for path in run_directory.into_iter().chain(inputs).chain(program) {
        let Ok(path) = path.canonicalize() else { continue };
        let is_hidden = hidden.iter().any(|hidden| path.starts_with(hidden) && path != *hidden);
        let is_seen = held && path.starts_with(directory);
        if is_hidden && !is_seen && !visible.contains(&path) {
            visible.push(path);
        }
    }
    visible.sort();
    visible
}

/// The inode of the first user namespace, fixed by the kernel (`PROC_USER_INIT_INO`).
const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// Root in the first user namespace needs none of its own; anyone else does.
fn user_to_map() -> Option<(u32, u32)> {
    let user = rustix::process::geteuid().as_raw();
    let first = std::fs::metadata("/proc/self/ns/user").is_ok_and(|namespace| namespace.ino() == FIRST_USER_NAMESPACE);
    (user != 0 || !first).then(|| (user, rustix::process::getegid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_blanks_are_read_as_they_are() {
        for (escaped, plain) in
            [(&b"/a\\040b"[..], "/a b"), (b"/a\\134b", "/a\\b"), (b"/plain", "/plain"), (b"/end\\04", "/end\\04")]
        {
            assert_eq!(unescape(escaped), Path::new(plain));
        }
    }

    #[test]
    fn the_whole_system_and_directories_with_mounts_beneath_are_refused() {
        let mounts = [PathBuf::from("/"), "/srv/data".into()];
        let cases = [("/", true), ("/srv", true), ("/srv/data", false), ("/srv/data/x", false), ("/srv/da", false)];
        for (directory, refused) in cases {
            assert_eq!(refuse_unfit(Path::new(directory), &mounts).is_err(), refused, "{directory}");
        }
    }

    #[test]
    fn what_is_written_to_the_system_itself_is_refused_by_name() {
        for (directory, refused) in [("/proc", true), ("/proc/sys/vm", true), ("/sys/class", true), ("/process", false)]
        {
            let found = refuse_unfit(Path::new(directory), &["/proc/sys/fs".into()]);
            assert_eq!(matches!(found, Err(SlotError::System { .. })), refused, "{directory}: {found:?}");
        }
    }
}
