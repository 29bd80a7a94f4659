//! How many small programs a second two slots run, beside a bare `posix_spawn` loop that keeps two running.
//!
//! `cargo run --release -p chameleon-node --example spawn_rate [PROGRAMS] [ROUNDS]`
#![expect(unsafe_code, reason = "the floor is the C library's own posix_spawn")]

use std::ffi::CStr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chameleon_core::job::Files;
use chameleon_core::names::ExecutionId;
use chameleon_node::slot::{Slot, SlotEvent, SlotSpec, Start};

/// What is run, and how its files are held. The last one writes, so that each run needs fresh layers.
const ROWS: [(&[&CStr], Files); 3] = [
    (&[c"/bin/true"], Files::Overlay),
    (&[c"/bin/true"], Files::None),
    (&[c"/bin/sh", c"-c", c"echo written > file"], Files::Overlay),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("slot") {
        return chameleon_node::slot::shim::main();
    }
    let programs = first.and_then(|number| number.parse().ok()).unwrap_or(10_000);
    let rounds = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(3);
    for (argv, files) in ROWS {
        for _ in 0..rounds {
            let floor = measure(programs, || bare(programs, argv));
            let slots = measure(programs, || through_slots(programs, argv, files));
            println!(
                "{argv:?} {files:?}: posix_spawn {:.0}/s at {:.0} us of CPU each, slots {:.0}/s at {:.0} us: {:.1} % of the rate, \
                 {:.1} % of the CPU",
                floor.rate,
                floor.cpu,
                slots.rate,
                slots.cpu,
                slots.rate / floor.rate * 100.0,
                slots.cpu / floor.cpu * 100.0,
            );
        }
    }
    ExitCode::SUCCESS
}

/// Programs a second, and microseconds of processor time each, of this process and all that it started.
struct Cost {
    rate: f64,
    cpu: f64,
}

fn measure(programs: u32, run: impl FnOnce() -> Duration) -> Cost {
    let before = cpu();
    let took = run();
    Cost { rate: f64::from(programs) / took.as_secs_f64(), cpu: (cpu() - before) / f64::from(programs) }
}

fn cpu() -> f64 {
    let of = |who| {
        // SAFETY: an all-zero rusage is a valid value of that plain C struct, and getrusage fills it.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is valid for the call.
        unsafe { libc::getrusage(who, &raw mut usage) };
        let micros = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
        micros(usage.ru_utime) + micros(usage.ru_stime)
    };
    of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
}

fn bare(programs: u32, argv: &[&CStr]) -> Duration {
    let folder = tempfile::tempdir().expect("a directory");
    std::env::set_current_dir(folder.path()).expect("a directory");
    let begin = Instant::now();
    let (mut started, mut ended) = (0, 0);
    while ended < programs {
        while started < programs && started - ended < 2 {
            spawn(argv);
            started += 1;
        }
        // SAFETY: wait accepts a null status.
        unsafe { libc::wait(std::ptr::null_mut()) };
        ended += 1;
    }
    begin.elapsed()
}

fn spawn(argv: &[&CStr]) {
    let mut pid = 0;
    let arguments: Vec<_> = argv.iter().map(|word| word.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect();
    let environment = [c"PATH=/usr/bin:/bin".as_ptr().cast_mut(), std::ptr::null_mut()];
    // SAFETY: all pointers are valid and null-terminated for the call; no actions and no attributes are given.
    let error = unsafe {
        let (no_actions, no_attributes) = (std::ptr::null(), std::ptr::null());
        libc::posix_spawn(
            &raw mut pid,
            arguments[0],
            no_actions,
            no_attributes,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    };
    assert_eq!(error, 0, "posix_spawn");
}

fn through_slots(programs: u32, argv: &[&CStr], files: Files) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let keep = tempfile::tempdir().expect("a directory");
    let run = tempfile::tempdir().expect("a directory");
    runtime.block_on(async {
        let open = |number: u32| {
            Slot::open(&SlotSpec {
                mirror: None,
                shim: "/proc/self/exe".into(),
                work: keep.path().join(number.to_string()),
                blobs: keep.path().join("blobs"),
                directory: run.path().to_owned(),
                files,
                outputs: Vec::new(),
                inputs: Vec::new(),
                program: "/bin/true".into(),
                environment: vec!["PATH=/usr/bin:/bin".into()],
                umask: 0o022,
                net: false,
                masked: Arc::new(|_| false),
                facilities: None,
            })
            .unwrap_or_else(|error| panic!("failed to {error}"))
        };
        let (mut one, mut two) = (open(1), open(2));
        assert!(matches!(one.next().await, SlotEvent::Ready));
        assert!(matches!(two.next().await, SlotEvent::Ready));
        let begin = Instant::now();
        start(&mut one, argv);
        start(&mut two, argv);
        let (mut started, mut ended) = (2, 0);
        while ended < programs {
            let slot = tokio::select! {
                () = end(&mut one) => &mut one,
                () = end(&mut two) => &mut two,
            };
            ended += 1;
            if started < programs {
                start(slot, argv);
                started += 1;
            }
        }
        begin.elapsed()
    })
}

fn start(slot: &mut Slot, argv: &[&CStr]) {
    let argv = argv.iter().map(|word| word.to_bytes().to_vec().into()).collect();
    let execution = ExecutionId { stage: Default::default(), task: Default::default(), attempt: Default::default() };
    slot.start(Start { execution, argv, stdin: None, fault: None }).expect("a slot that can start");
}

async fn end(slot: &mut Slot) {
    loop {
        match slot.next().await {
            SlotEvent::Ended(_) => return,
            SlotEvent::Started { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
}
