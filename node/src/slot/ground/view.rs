//! What programs in a slot see: everything read-only, private temporary directories, and overlays over the
//! directories that they may write to.
//!
//! The order matters. Descriptors of what must outlive the hiding are taken first; then the whole tree is made
//! read-only; then private and held directories are mounted on top. The slot's own work directory must stay
//! writable for the overlays but unseen by programs: it is mounted at /proc, and the fresh /proc covers it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::{GroundError, OnPath};
use crate::files::copy::{CopyError, LIMIT, copy_directory};
use crate::files::{FilesError, tree};
use crate::os::linux::mount::{Reach, set_read_only};
use crate::slot::layers::{self, COPY};
use crate::slot::plan::{Overlay, Plan, as_path};

/// The view of one slot, from inside.
#[derive(Debug)]
pub struct View {
    plan: Plan,
    work: OwnedFd,
    lowers: Vec<OwnedFd>,
    /// One an overlay of the plan; `None`: unmounted.
    layers: Option<Vec<Layer>>,
    private: Vec<Private>,
    last_pid: Option<OwnedFd>,
}

/// The writable layer that is mounted over a directory now.
#[derive(Debug)]
enum Layer {
    /// The upper layer of an overlay, and the mode it began with.
    Upper { directory: OwnedFd, mode: u32 },
    /// A copy of the directory, where no overlay can be made. Whether anything was written is found by comparing.
    Copy,
}

/// A private directory, and how many files it can take while it is empty.
#[derive(Debug)]
struct Private {
    directory: OwnedFd,
    free_when_empty: u64,
}

const PROC: &str = "/proc";
/// Kernel settings that a privileged program must not change from inside.
const KERNEL_SETTINGS: [&str; 2] = ["/proc/sys", "/proc/sysrq-trigger"];

impl View {
    /// Builds the view in a fresh mount namespace, whose mounts are private, and enters the run directory. Called by the first process of the
    /// slot's PID namespace, once.
    pub fn build(plan: Plan) -> Result<View, GroundError> {
        let root = Path::new("/");
        let lowers = plan.overlays.iter().map(|overlay| open_path(overlay.source())).collect::<Result<_, _>>()?;
        let visible =
            plan.visible.iter().map(|shown| Ok((as_path(&shown.path), copy_of_mount(as_path(&shown.source))?)));
        let visible: Vec<_> = visible.collect::<Result<_, GroundError>>()?;
        make_room(&plan)?;
        let work = Path::new(PROC);
        rustix::mount::mount_bind(as_path(&plan.work), work).on("keep the work directory", as_path(&plan.work))?;
        set_read_only(root, Reach::Tree, true).on("make read-only", root)?;
        set_read_only(work, Reach::One, false).on("keep writable", as_path(&plan.work))?;
        let work = open_path(work)?;
        let hidden: Vec<&Path> = plan.hidden.iter().map(as_path).collect();
        let mut private = hidden.iter().map(|path| Private::mount(path)).collect::<Result<Vec<_>, _>>()?;
        for (path, copy) in visible {
            show(path, copy)?;
        }
        for overlay in &plan.overlays {
            if hidden.iter().any(|hidden| overlay.directory().starts_with(hidden)) {
                make_mount_point(overlay.directory(), true)?;
            }
        }
        private.iter_mut().try_for_each(Private::remember_empty)?;
        let last_pid = mount_proc(plan.mapped.is_none())?;
        rustix::process::umask(Mode::from_raw_mode(plan.umask));
        let mut view = View { plan, work, lowers, layers: None, private, last_pid };
        view.make_fresh()?;
        Ok(view)
    }

    /// Sees to it that nothing of an earlier execution is left: fresh layers, and process ids that start anew.
    pub fn make_fresh(&mut self) -> Result<(), GroundError> {
        if self.layers.is_none() {
            self.layers = Some(self.mount_layers()?);
            let directory = as_path(&self.plan.directory);
            rustix::process::chdir(directory).on("enter", directory)?;
        }
        if let Some(last_pid) = &self.last_pid {
            let _ = rustix::io::pwrite(last_pid, b"1", 0);
        }
        Ok(())
    }

    /// After everything in the slot has ended: empties the private directories and says whether anything was written to
    /// the layers. If so, they are unmounted, to be emptied from outside.
    pub fn settle(&mut self) -> Result<bool, GroundError> {
        for private in &self.private {
            private.empty_if_used();
        }
        let written = match &self.layers {
            Some(layers) => layers.iter().any(Layer::may_be_written),
            None => false,
        };
        if !written {
            return Ok(false);
        }
        rustix::process::chdir("/").on("leave", as_path(&self.plan.directory))?;
        self.layers = None;
        for overlay in self.plan.overlays.iter().rev() {
            let directory = overlay.directory();
            rustix::mount::unmount(directory, UnmountFlags::DETACH).on("unmount the overlay over", directory)?;
        }
        Ok(true)
    }

    fn mount_layers(&self) -> Result<Vec<Layer>, GroundError> {
        self.plan.overlays.iter().zip(&self.lowers).map(|(overlay, lower)| self.mount(overlay, lower)).collect()
    }

    fn mount(&self, overlay: &Overlay, lower: &OwnedFd) -> Result<Layer, GroundError> {
        let target = overlay.directory();
        let base = layers::directory(overlay.root);
        let outside = as_path(&self.plan.work).join(&base);
        let attributes = rustix::fs::fstat(lower).on("read", target)?;
        let inside = Path::new("/proc/self/fd").join(self.work.as_raw_fd().to_string()).join(&base);
        for part in ["upper", "work"] {
            std::fs::create_dir_all(inside.join(part)).on("make a layer in", &outside)?;
        }
        // What the overlay before leaves here keeps its successor from taking over the directory.
        tree::remove(&inside.join("work/work")).on("prepare the layer", &outside)?;
        let upper = rustix::fs::open(inside.join("upper"), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .on("open the layer", &outside)?;
        let mode = attributes.st_mode & if overlay.sealed { 0o7555 } else { 0o7777 };
        rustix::fs::fchmod(&upper, Mode::from_raw_mode(mode)).on("prepare the layer", &outside)?;
        if self.plan.mapped.is_none() {
            let (user, group) = (attributes.st_uid, attributes.st_gid);
            std::os::unix::fs::fchown(&upper, Some(user), Some(group)).on("prepare the layer", &outside)?;
        }
        match self.mount_overlay(lower, &inside, target) {
            Ok(()) => Ok(Layer::Upper { directory: upper, mode }),
            Err(no_overlay) => self.mount_copy(lower, &inside, target, mode).map(|()| Layer::Copy).map_err(|no_copy| {
                let both = format!("{no_overlay}; and a copy instead of it: failed to {no_copy}");
                GroundError { step: "mount an overlay over", path: target.to_owned(), source: io::Error::other(both) }
            }),
        }
    }

    /// Serves where the kernel makes no overlay, such as with layers that lie on an overlay themselves.
    fn mount_copy(&self, lower: &OwnedFd, layer: &Path, target: &Path, mode: u32) -> Result<(), CopyError> {
        let source = PathBuf::from(format!("/proc/self/fd/{}", lower.as_raw_fd()));
        let work = as_path(&self.plan.work);
        if work.starts_with(target) {
            let within =
                io::Error::other(format!("the copy would lie in itself, at {}; use --home or TMPDIR", work.display()));
            return Err(FilesError::Path { action: "copy", path: target.to_owned(), source: within }.into());
        }
        let copy = layer.join(COPY);
        copy_directory(&source, &copy, target, LIMIT)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let shown = rustix::fs::chmod(&copy, Mode::from_raw_mode(mode));
        let mount = shown.and_then(|()| rustix::mount::open_tree(CWD, &copy, flags));
        let mount = mount.and_then(|mount| attach(&mount, target));
        mount.map_err(|source| {
            let action = "show the copy of";
            FilesError::Path { action, path: target.to_owned(), source: source.into() }.into()
        })
    }

    fn mount_overlay(&self, lower: &OwnedFd, layer: &Path, target: &Path) -> io::Result<()> {
        mount_overlay(self.plan.mapped.is_some(), lower, layer, target)
    }
}

fn mount_overlay(is_mapped: bool, lower: &OwnedFd, layer: &Path, target: &Path) -> io::Result<()> {
    let overlay = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let overlay = overlay.as_fd();
    let set = |key: &str, value: &Path| rustix::mount::fsconfig_set_string(overlay, key, value);
    set("lowerdir", Path::new(&format!("/proc/self/fd/{}", lower.as_raw_fd())))?;
    set("upperdir", &layer.join("upper"))?;
    set("workdir", &layer.join("work"))?;
    rustix::mount::fsconfig_set_flag(overlay, "volatile")?;
    match is_mapped {
        true => rustix::mount::fsconfig_set_flag(overlay, "userxattr")?,
        false => {
            // Renamed directories are understood by the harvest; a system's other defaults might not be.
            for (option, value) in [("redirect_dir", "on"), ("metacopy", "off"), ("index", "off")] {
                set(option, Path::new(value))?;
            }
        }
    }
    rustix::mount::fsconfig_create(overlay)?;
    let mount = rustix::mount::fsmount(overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(attach(&mount, target)?)
}

/// Where the host has no directory of that path, so that nothing can be mounted there, the nearest directory above is
/// put under an overlay in memory in which there is one.
fn make_room(plan: &Plan) -> Result<(), GroundError> {
    let overlays = plan.overlays.iter().map(|overlay| (overlay.directory(), true));
    let visible = plan.visible.iter().map(|shown| (as_path(&shown.path), as_path(&shown.source).is_dir()));
    let is_hidden = |path: &Path| plan.hidden.iter().any(|hidden| path.starts_with(as_path(hidden)));
    let missing = |(path, _): &(&Path, bool)| !path.exists() && !is_hidden(path);
    for (number, (path, is_directory)) in overlays.chain(visible).filter(missing).enumerate() {
        // An earlier one may have made it.
        if path.exists() {
            continue;
        }
        let nearest = path.ancestors().skip(1).find(|above| above.is_dir()).unwrap_or(Path::new("/"));
        if nearest == Path::new("/") {
            let source = io::Error::other("make it, or the first directory of its path, on this host; it may be empty");
            return Err(GroundError { step: "find room for", path: path.to_owned(), source });
        }
        let memory = as_path(&plan.work).join(format!("room-{number}"));
        std::fs::create_dir_all(&memory).on("make", &memory)?;
        Private::mount(&memory)?;
        for part in ["upper", "work"] {
            std::fs::create_dir(memory.join(part)).on("make a layer in", &memory)?;
        }
        let lower = open_path(nearest)?;
        mount_overlay(plan.mapped.is_some(), &lower, &memory, nearest).on("make room in", nearest)?;
        make_mount_point(path, is_directory)?;
    }
    Ok(())
}

impl Layer {
    fn may_be_written(&self) -> bool {
        match self {
            Layer::Copy => true,
            Layer::Upper { directory, mode } => {
                let changed = rustix::fs::fstat(directory).map_or(true, |now| now.st_mode & 0o7777 != *mode);
                changed || has_entries(directory)
            }
        }
    }
}

/// Whether a directory contains anything. An unreadable one counts as containing something.
fn has_entries(directory: &OwnedFd) -> bool {
    if rustix::fs::seek(directory, SeekFrom::Start(0)).is_err() {
        return true;
    }
    let mut space = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(directory, &mut space);
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            Ok(_) | Err(_) => return true,
        }
    }
    false
}

impl Private {
    fn mount(path: &Path) -> Result<Private, GroundError> {
        let mode = rustix::fs::stat(path).on("read", path)?.st_mode & 0o7777;
        let directory = (|| {
            let tmpfs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            rustix::mount::fsconfig_set_string(&tmpfs, "mode", format!("{mode:o}"))?;
            rustix::mount::fsconfig_create(&tmpfs)?;
            let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            let mount = rustix::mount::fsmount(&tmpfs, FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
            attach(&mount, path)?;
            rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        })();
        Ok(Private { directory: directory.on("make private", path)?, free_when_empty: 0 })
    }

    fn remember_empty(&mut self) -> Result<(), GroundError> {
        self.free_when_empty = self.free().on("measure", Path::new("a private directory"))?;
        Ok(())
    }

    fn free(&self) -> rustix::io::Result<u64> {
        Ok(rustix::fs::fstatfs(&self.directory)?.f_ffree as u64)
    }

    fn empty_if_used(&self) {
        if self.free() != Ok(self.free_when_empty) {
            empty(&self.directory);
        }
    }
}

/// Removes everything beneath a directory but mount points and what leads to them.
fn empty(directory: &OwnedFd) {
    let Ok(listing) = rustix::fs::Dir::read_from(directory) else { return };
    let names = listing.filter_map(|entry| entry.ok().map(|entry| entry.file_name().to_owned()));
    for name in names.filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
        if rustix::fs::unlinkat(directory, &name, AtFlags::empty()).is_ok() {
            continue;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let on_same_mount = rustix::fs::ResolveFlags::NO_XDEV;
        if let Ok(inner) = rustix::fs::openat2(directory, &name, flags, Mode::empty(), on_same_mount) {
            empty(&inner);
            let _ = rustix::fs::unlinkat(directory, &name, AtFlags::REMOVEDIR);
        }
    }
}

fn open_path(path: &Path) -> Result<OwnedFd, GroundError> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on("open", path)
}

fn copy_of_mount(path: &Path) -> Result<OwnedFd, GroundError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags).on("keep visible", path)
}

fn attach(mount: &OwnedFd, target: &Path) -> rustix::io::Result<()> {
    rustix::mount::move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Shows a path again, read-only, beneath a directory that has been hidden.
fn show(path: &Path, copy: OwnedFd) -> Result<(), GroundError> {
    let is_directory = rustix::fs::fstat(&copy).on("read", path)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    if rustix::fs::stat(path).is_err() {
        make_mount_point(path, is_directory)?;
    }
    attach(&copy, path).on("keep visible", path)?;
    set_read_only(path, Reach::Tree, true).on("make read-only", path)
}

fn make_mount_point(path: &Path, is_directory: bool) -> Result<(), GroundError> {
    let parents = if is_directory { Some(path) } else { path.parent() };
    parents.map_or(Ok(()), std::fs::create_dir_all).on("make a place for", path)?;
    if !is_directory {
        std::fs::File::create(path).on("make a place for", path)?;
    }
    Ok(())
}

/// Mounts a fresh /proc. Returns the file that sets the next process id, where the kernel has it.
fn mount_proc(privileged: bool) -> Result<Option<OwnedFd>, GroundError> {
    let target = Path::new(PROC);
    let mount = (|| {
        let proc = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(&proc)?;
        let flags =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mount = rustix::mount::fsmount(&proc, FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
        attach(&mount, target)?;
        Ok::<_, rustix::io::Errno>(mount)
    })()
    .on("mount a fresh", target)?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let last_pid = rustix::fs::openat(&mount, "sys/kernel/ns_last_pid", flags, Mode::empty()).ok();
    for settings in KERNEL_SETTINGS.map(Path::new).into_iter().filter(|path| privileged && path.exists()) {
        rustix::mount::mount_bind(settings, settings).on("protect", settings)?;
        set_read_only(settings, Reach::One, true).on("protect", settings)?;
    }
    Ok(last_pid)
}
