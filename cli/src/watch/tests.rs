use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::rc::Rc;

use chameleon_core::job::{Job, Stdin};
use chameleon_core::message::{FtmMessage, Message, Outcome, SurrogateMessage, UserMessage};
use chameleon_core::names::{Attempt, Digest, ExecutionId, HostId, LaneId, SlotId, TaskId};
use chameleon_core::world::{End, IndexEntry, Piece, Region};
use chameleon_node::home::Home;

use super::*;
use crate::packs::{Packs, Stream};
use crate::printer::Printer;
use crate::request::{self, Here, JobFlags};

const JOB: JobId = JobId(1);

/// What is heard next: first what the hands did, then what the script says.
#[derive(Default)]
struct Script {
    done: VecDeque<Heard>,
    says: VecDeque<Heard>,
    told: Vec<(ArmorName, Message)>,
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Script>>);

impl Session for Shared {
    fn send(&mut self, to: ArmorName, message: Message) {
        self.0.borrow_mut().told.push((to, message));
    }

    fn renew(&mut self, _peer: ArmorName) {}

    fn next(&mut self, _patience: Duration) -> Option<Heard> {
        let mut script = self.0.borrow_mut();
        let heard = script.done.pop_front();
        Some(heard.or_else(|| script.says.pop_front()).expect("the script goes on"))
    }
}

/// Hands that print to memory, at once.
struct Printing<O: Write> {
    script: Shared,
    printer: Printer<O, Vec<u8>>,
}

impl<O: Write> Hands for Printing<O> {
    fn accepted(&mut self, _job: JobId) -> Result<(), Failure> {
        Ok(())
    }

    fn spool(&mut self, _job: JobId) {}

    fn print(&mut self, release: Release) {
        let printed = self.printer.print(&release).map(|()| Heard::Printed { upto: self.printer.position() });
        self.script.0.borrow_mut().done.push_back(printed.unwrap_or_else(Heard::Broken));
    }

    fn print_rest(&mut self, length: u64) {
        let printed = self.printer.print_rest(length).map(|()| Heard::RestPrinted { upto: self.printer.position() });
        self.script.0.borrow_mut().done.push_back(printed.unwrap_or_else(Heard::Broken));
    }

    fn show(&mut self, _stage: StageId, _decided: u64, _tasks: u64, _lanes: &[LaneRow]) {}
}

fn job() -> Job {
    let here = Here { directory: "/".into(), environment: vec![], stdin: Stdin::Null, umask: 0o022 };
    request::of_command(vec!["true".into()], JobFlags::default(), here).unwrap()
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

fn packs(home: &tempfile::TempDir) -> Packs {
    Packs::new(home.path(), JOB).unwrap()
}

/// A home in which lane 0 printed `out` and `err`.
fn home(out: &[u8], err: &[u8]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    Home::create(home.path()).unwrap();
    let packs = packs(&home);
    for (stream, bytes) in [(Stream::Out, out), (Stream::Err, err)] {
        let pack = packs.pack(HostId(1), LaneId(0), SlotId(0), stream);
        std::fs::create_dir_all(pack.parent().unwrap()).unwrap();
        std::fs::write(pack, bytes).unwrap();
    }
    home
}

fn release(out: &[u8], from: usize, to: usize) -> Release {
    Release {
        position: from as u64,
        host: HostId(1),
        lane: LaneId(0),
        execution: ExecutionId { stage: StageId(0), task: TaskId(0), attempt: Attempt(0) },
        offset: from as u64,
        length: (to - from) as u64,
        digest: digest(&out[..to]),
        slot: SlotId(0),
        begins: 0,
        stderr: None,
        others: vec![],
    }
}

fn region(bytes: &[u8]) -> Region {
    Region { slot: SlotId(0), offset: 0, length: bytes.len() as u64, digest: digest(bytes) }
}

fn said(message: UserMessage) -> Heard {
    Heard::Message(message)
}

fn accepted() -> Heard {
    said(UserMessage::Accepted { request: 7, job: JOB })
}

fn ended(outcome: Outcome, length: usize) -> Heard {
    said(UserMessage::Ended { job: JOB, outcome, length: length as u64 })
}

fn result() -> Outcome {
    Outcome::Result { end: End::Exit(0) }
}

/// What was watched, what came out, and what was told.
struct Seen<O> {
    watched: Watched,
    out: O,
    err: Vec<u8>,
    told: Vec<(ArmorName, Message)>,
}

fn watch<O: Write + Clone>(home: &tempfile::TempDir, out: O, says: Vec<Heard>) -> Seen<O> {
    let mut script = Shared::default();
    script.0.borrow_mut().says = says.into();
    let err = Vec::new();
    let printer = Printer::new(packs(home), out, err);
    let mut hands = Printing { script: script.clone(), printer };
    let watched = Watch::new(&mut script, &mut hands, Follower::new(7, job(), true)).run();
    let (out, err) = hands.printer.into_inner();
    let told = std::mem::take(&mut script.0.borrow_mut().told);
    Seen { watched, out, err, told }
}

#[test]
fn output_told_twice_late_and_in_pieces_is_printed_once() {
    let (out, err) = (b"first second third\n", b"a word aside\n");
    let home = home(out, err);
    let last = Release { stderr: Some(region(err)), ..release(out, 13, out.len()) };
    let seen = watch(
        &home,
        Vec::new(),
        vec![
            accepted(),
            said(UserMessage::Released(vec![release(out, 0, 6), release(out, 0, 6)])),
            said(UserMessage::Released(vec![release(out, 13, 19)])),
            said(UserMessage::Released(vec![release(out, 0, 13)])),
            said(UserMessage::Released(vec![last.clone(), last])),
            ended(result(), out.len()),
        ],
    );
    assert_eq!((seen.out.as_slice(), seen.err.as_slice()), (&out[..], &err[..]));
    assert!(matches!(seen.watched, Watched::Ended { broken: None, .. }), "{:?}", seen.watched);
    let consumed = SurrogateMessage::Consumed { upto: out.len() as u64 };
    assert!(seen.told.contains(&(ArmorName::Surrogate(JOB), consumed.into())), "{:?}", seen.told);
}

#[test]
fn what_was_never_told_comes_from_the_index() {
    let (out, err) = (b"decided\n", b"warning\n");
    let home = home(out, err);
    let execution = release(out, 0, 1).execution;
    let piece =
        Piece { host: HostId(1), lane: LaneId(0), execution, stdout: region(out), stderr: region(err), others: vec![] };
    let directory = packs(&home).job_directory();
    std::fs::create_dir_all(&directory).unwrap();
    let entries = [IndexEntry::Piece(piece), IndexEntry::Whole];
    chameleon_node::index::append(&directory.join("output.index"), 0, &entries).unwrap();
    let begun = said(UserMessage::Released(vec![release(out, 0, 3)]));
    for says in [vec![accepted(), ended(result(), 8)], vec![accepted(), begun, ended(result(), 8)]] {
        let seen = watch(&home, Vec::new(), says);
        assert_eq!((seen.out.as_slice(), seen.err.as_slice()), (&out[..], &err[..]));
    }
}

#[test]
fn not_one_byte_is_shown_of_what_was_not_voted_on() {
    let home = home(b"good bad", b"");
    let wrong = Release { digest: digest(b"good good"), ..release(b"good bad", 4, 8) };
    let seen = watch(
        &home,
        Vec::new(),
        vec![
            accepted(),
            said(UserMessage::Released(vec![release(b"good bad", 0, 4), wrong])),
            ended(Outcome::Cancelled { code: 125 }, 8),
        ],
    );
    assert_eq!(seen.out, b"good");
    let Watched::Ended { broken: Some(broken), .. } = seen.watched else { panic!("{:?}", seen.watched) };
    assert!(matches!(broken, Failure::Altered { .. }), "{broken}");
    assert_eq!(broken.exit_code(), 125);
    assert!(seen.told.contains(&(ArmorName::Ftm, FtmMessage::Cancel { job: JOB, code: 125 }.into())));
}

#[test]
fn an_index_that_ends_too_early_is_a_failure_and_no_result() {
    let home = home(b"lost", b"");
    let seen = watch(&home, Vec::new(), vec![accepted(), ended(result(), 4)]);
    let Watched::Ended { broken: Some(broken), .. } = seen.watched else { panic!("{:?}", seen.watched) };
    assert_eq!(broken.exit_code(), 125, "{broken}");
}

/// Somebody who stops reading, or a disk that is full.
#[derive(Clone)]
struct Refusing(io::ErrorKind);

impl Write for Refusing {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn output_that_nobody_takes_cancels_the_job() {
    let table = [(io::ErrorKind::BrokenPipe, 141, true), (io::ErrorKind::StorageFull, 125, false)];
    for (kind, code, quiet) in table {
        let home = home(b"y\n", b"");
        let seen = watch(
            &home,
            Refusing(kind),
            vec![
                accepted(),
                said(UserMessage::Released(vec![release(b"y\n", 0, 2)])),
                ended(Outcome::Cancelled { code }, 0),
            ],
        );
        let cancel = FtmMessage::Cancel { job: JOB, code };
        assert!(seen.told.contains(&(ArmorName::Ftm, cancel.into())), "{kind}: {:?}", seen.told);
        let Watched::Ended { broken: Some(broken), .. } = seen.watched else { panic!("{:?}", seen.watched) };
        assert_eq!((broken.exit_code(), broken.is_broken_pipe()), (code, quiet));
        assert!(matches!(seen.out, Refusing(refused) if refused == kind));
    }
}

#[test]
fn the_first_signal_cancels_and_the_second_ends_the_waiting() {
    let home = home(b"", b"");
    let interrupt = || Heard::Signal(2);
    let seen = watch(&home, Vec::new(), vec![accepted(), interrupt(), ended(Outcome::Cancelled { code: 130 }, 0)]);
    let Watched::Ended { ending, broken: None } = seen.watched else { panic!("{:?}", seen.watched) };
    assert_eq!(ending.outcome.exit_code(), 130);
    let seen = watch(&home, Vec::new(), vec![accepted(), interrupt(), interrupt()]);
    assert!(matches!(seen.watched, Watched::Abandoned { code: 130, job: Some(JOB), .. }), "{:?}", seen.watched);
}

#[test]
fn a_refused_job_is_told_as_such() {
    let home = home(b"", b"");
    let refused = UserMessage::Refused { why: "no host has room".to_owned() };
    let seen = watch(&home, Vec::new(), vec![said(refused)]);
    assert!(matches!(seen.watched, Watched::Refused { why } if why == "no host has room"));
}
