//! Bytes between hosts of one home: whole and right, or not at all.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use chameleon_core::names::{Digest, HostId, JobId, LaneId, SlotId};
use chameleon_node::bulk::frame::{Pack, Wish};
use chameleon_node::bulk::{BulkError, Caller, Desk, Refusal, Roads, Stream, fetch, shelf};
use chameleon_node::files::blobs::Blobs;
use chameleon_node::home::Home;

const JOB: JobId = JobId(1);
const PASS: Digest = Digest([9; 32]);
const ORIGIN: HostId = HostId(1);
const OTHER: HostId = HostId(2);
const THIRD: HostId = HostId(3);
const MOST: u64 = 1 << 30;

struct System {
    directory: tempfile::TempDir,
    home: Arc<Home>,
}

impl System {
    /// A home whose hosts serve the job; the desks of those that are `open` are.
    fn new(open: &[HostId]) -> System {
        let directory = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::create(&directory.path().join("home")).unwrap());
        for host in [ORIGIN, OTHER, THIRD] {
            home.make_host(host).unwrap();
            shelf::admit(&home, host, JOB, PASS).unwrap();
        }
        for &host in open {
            Desk::new(&home, host).unwrap().open(&home, host).unwrap();
        }
        System { directory, home }
    }

    fn blobs(&self, host: HostId) -> Blobs {
        Blobs::open(&self.home.job_on(host, JOB).join("blobs")).unwrap()
    }

    fn caller(&self) -> Caller {
        Caller::new(Roads::new(self.home.clone(), None), JOB, PASS)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn kept(&self, host: HostId) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.job_on(host, JOB).join("blobs")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// A desk in front of a host's own that breaks off after so many bytes of each stream, while there are any left to
    /// break off after, and counts what it lets through.
    fn cut(&self, host: HostId, breaks: Vec<usize>) -> Arc<AtomicU64> {
        let (desk, through) = (Desk::new(&self.home, host).unwrap(), Arc::new(AtomicU64::default()));
        let listener = UnixListener::bind(self.home.bulk_socket(host)).unwrap();
        let (home, counter) = (self.home.clone(), through.clone());
        thread::spawn(move || {
            let _home = home;
            let mut breaks = breaks.into_iter();
            for stream in listener.incoming() {
                let mut cut = Cut { stream: stream.unwrap(), left: breaks.next(), through: counter.clone() };
                let _ = desk.serve(&mut cut);
            }
        });
        through
    }
}

struct Cut {
    stream: UnixStream,
    left: Option<usize>,
    through: Arc<AtomicU64>,
}

impl Read for Cut {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.left.map_or(bytes.len(), |left| left.min(bytes.len()));
        if most == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let written = self.stream.write(&bytes[..most])?;
        self.left = self.left.map(|left| left - written);
        self.through.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * at) >> 5) as u8).collect()
}

#[test]
fn a_content_arrives_whole_and_is_not_asked_for_again() {
    let system = System::new(&[ORIGIN]);
    let content = bytes(3_000_000);
    let digest = system.blobs(ORIGIN).put(&content).unwrap();
    let (mut caller, blobs) = (system.caller(), system.blobs(OTHER));
    for _ in 0..2 {
        fetch::blob(&mut caller, &[ORIGIN], digest, MOST, &blobs).unwrap();
    }
    assert_eq!(blobs.read(digest).unwrap(), content);
    assert_eq!(caller.received(), content.len() as u64, "it travelled once");
    assert_eq!(system.kept(OTHER), [blobs.path(digest)], "and nothing else is left");
}

#[test]
fn a_file_that_is_on_offer_is_read_where_it_is_and_a_change_is_noticed() {
    let system = System::new(&[ORIGIN]);
    let file = system.path("input");
    fs::write(&file, "as it was").unwrap();
    let digest = Digest(*blake3::hash(b"as it was").as_bytes());
    let offered = system.home.job_on(ORIGIN, JOB).join(shelf::OFFERED);
    fs::create_dir_all(&offered).unwrap();
    symlink(&file, offered.join(digest.to_string())).unwrap();
    let blobs = system.blobs(OTHER);
    fetch::blob(&mut system.caller(), &[ORIGIN], digest, MOST, &blobs).unwrap();
    assert_eq!(blobs.read(digest).unwrap(), b"as it was");
    fs::write(&file, "changed!!").unwrap();
    let error = fetch::blob(&mut system.caller(), &[ORIGIN], digest, MOST, &system.blobs(THIRD)).unwrap_err();
    assert!(matches!(error, BulkError::Wrong { host: ORIGIN, .. }), "{error}");
    assert!(system.kept(THIRD).is_empty());
}

#[test]
fn a_transfer_that_is_cut_goes_on_from_where_it_was() {
    let system = System::new(&[]);
    let content = bytes(4_000_000);
    let digest = system.blobs(ORIGIN).put(&content).unwrap();
    let through = system.cut(ORIGIN, vec![1_000_000, 1_500_000]);
    let (mut caller, blobs) = (system.caller(), system.blobs(OTHER));
    fetch::blob(&mut caller, &[ORIGIN], digest, MOST, &blobs).unwrap();
    assert_eq!(blobs.read(digest).unwrap(), content);
    assert_eq!(caller.received(), content.len() as u64, "no byte came twice");
    assert!(through.load(Ordering::Relaxed) < content.len() as u64 + 1_000, "nor was sent twice");
}

#[test]
fn wrong_bytes_and_hosts_that_are_gone_are_passed_over() {
    let system = System::new(&[ORIGIN, OTHER]);
    let content = bytes(500_000);
    let digest = system.blobs(ORIGIN).put(&content).unwrap();
    let mut wrong = content.clone();
    wrong[250_000] ^= 1;
    fs::write(system.blobs(OTHER).path(digest), wrong).unwrap();
    let blobs = Blobs::open(&system.path("here")).unwrap();
    fetch::blob(&mut system.caller(), &[THIRD, OTHER, ORIGIN], digest, MOST, &blobs).unwrap();
    assert_eq!(blobs.read(digest).unwrap(), content);
}

#[test]
fn bytes_that_nobody_has_right_are_refused_and_nothing_half_is_left() {
    let system = System::new(&[ORIGIN, OTHER]);
    let digest = Digest(*blake3::hash(b"right").as_bytes());
    for host in [ORIGIN, OTHER] {
        fs::write(system.blobs(host).path(digest), "wrong").unwrap();
    }
    let blobs = Blobs::open(&system.path("here")).unwrap();
    let error = fetch::blob(&mut system.caller(), &[ORIGIN, OTHER], digest, MOST, &blobs).unwrap_err();
    assert!(matches!(&error, BulkError::Everywhere(errors) if errors.len() == 2), "{error}");
    assert_eq!(fs::read_dir(system.path("here")).unwrap().count(), 0);
    let error = fetch::blob(&mut system.caller(), &[ORIGIN], digest, 4, &blobs).unwrap_err();
    assert!(matches!(error, BulkError::TooLong { length: 5, most: 4, .. }), "{error}");
}

#[test]
fn who_does_not_know_the_pass_is_told_nothing() {
    let system = System::new(&[ORIGIN]);
    let digest = system.blobs(ORIGIN).put(b"private").unwrap();
    let blobs = Blobs::open(&system.path("here")).unwrap();
    for (job, pass) in [(JOB, Digest::default()), (JobId(7), PASS)] {
        let mut caller = Caller::new(Roads::new(system.home.clone(), None), job, pass);
        let error = fetch::blob(&mut caller, &[ORIGIN], digest, MOST, &blobs).unwrap_err();
        assert!(matches!(error, BulkError::Refused { refusal: Refusal::Unknown, .. }), "{error}");
        assert!(caller.packs(ORIGIN).is_err());
    }
}

#[test]
fn everyone_on_a_host_who_wants_a_content_shares_one_transfer() {
    let system = System::new(&[]);
    let content = bytes(2_000_000);
    let digest = system.blobs(ORIGIN).put(&content).unwrap();
    let through = system.cut(ORIGIN, Vec::new());
    let blobs = system.blobs(OTHER);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fetch::blob(&mut system.caller(), &[ORIGIN], digest, MOST, &blobs).unwrap());
        }
    });
    assert_eq!(blobs.read(digest).unwrap(), content);
    assert!(through.load(Ordering::Relaxed) < content.len() as u64 + 1_000);
}

#[test]
fn a_region_of_a_pack_and_the_spool_come_from_where_they_are_asked() {
    let system = System::new(&[ORIGIN]);
    let slot = system.home.lane(ORIGIN, JOB, LaneId(2)).join("slot-5");
    fs::create_dir_all(&slot).unwrap();
    fs::write(slot.join("out.pack"), "earlier decided later").unwrap();
    let mut caller = system.caller();
    let pack = |length| Pack { lane: LaneId(2), slot: SlotId(5), stream: Stream::Out, length };
    assert_eq!(caller.packs(ORIGIN).unwrap(), [pack(21)]);
    let file = fs::File::options().create_new(true).read(true).write(true).open(system.path("part")).unwrap();
    caller.output(ORIGIN, &pack(7), 8, &file).unwrap();
    assert_eq!(&fs::read(system.path("part")).unwrap()[8..], b"decided");
    let error = caller.output(ORIGIN, &pack(100), 8, &file).unwrap_err();
    assert!(matches!(error, BulkError::Refused { refusal: Refusal::Missing, .. }), "{error}");

    let (spool, copy) = (system.home.spool(ORIGIN, JOB), system.home.spool(OTHER, JOB));
    for (whole, length) in [("one ", 4), ("one two", 7), ("one two", 5)] {
        fs::write(&spool, whole).unwrap();
        fetch::spool(&mut caller, ORIGIN, length, &copy).unwrap();
    }
    assert_eq!(fs::read(&copy).unwrap(), b"one two");
    assert_eq!(caller.whole(ORIGIN, Wish::Spool { offset: 4, length: 3 }, 3).unwrap(), b"two");
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half() {
    let system = System::new(&[ORIGIN]);
    let digest = system.blobs(ORIGIN).put(&bytes(3_000_000)).unwrap();
    let small = system.path("small");
    fs::create_dir(&small).unwrap();
    let options = Some(c"size=1m");
    if rustix::mount::mount("tmpfs", &small, "tmpfs", rustix::mount::MountFlags::empty(), options).is_err() {
        println!("skipped: a small file system can be mounted by root only");
        return;
    }
    let blobs = Blobs::open(&small.join("blobs")).unwrap();
    let error = fetch::blob(&mut system.caller(), &[ORIGIN], digest, MOST, &blobs).unwrap_err();
    let left = fs::read_dir(small.join("blobs")).unwrap().count();
    rustix::mount::unmount(&small, rustix::mount::UnmountFlags::DETACH).unwrap();
    let is_full = |source: &io::Error| source.kind() == io::ErrorKind::StorageFull;
    assert!(matches!(&error, BulkError::Unkept { source, .. } if is_full(source)), "{error}");
    assert_eq!(left, 0);
}

#[test]
fn a_desk_outlives_those_who_ask_nonsense() {
    let system = System::new(&[ORIGIN]);
    let digest = system.blobs(ORIGIN).put(b"right").unwrap();
    for nonsense in [&b"\xff\xff\xff\xff"[..], b"\x04\x00\x00\x00\xff\xff\xff\xff", b"\x10\x00"] {
        let mut stream = UnixStream::connect(system.home.bulk_socket(ORIGIN)).unwrap();
        stream.write_all(nonsense).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "it hangs up");
    }
    let blobs = Blobs::open(&system.path("here")).unwrap();
    fetch::blob(&mut system.caller(), &[ORIGIN], digest, MOST, &blobs).unwrap();
    let mode = fs::metadata(blobs.path(digest)).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0o044 & mode, "{mode:o}");
}
