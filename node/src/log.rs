//! What a process of the system says to whoever looks for the cause of a trouble: lines on standard
//! error, which is the log of its daemon or ARMOR. A log that cannot be written never hurts its writer. Most
//! ARMORs have nothing to say in all their lives, and no log.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static READ_BY_A_PERSON: AtomicBool = AtomicBool::new(false);
/// Where the first line, or a panic, begins a log of this process's own.
static OWN: Mutex<Option<PathBuf>> = Mutex::new(None);

/// In this process standard error is no log: a person reads it, as it comes.
pub fn is_read_by_a_person() {
    READ_BY_A_PERSON.store(true, Ordering::Relaxed);
}

/// From its first line on, the log of this process is at that path, and no longer that of whoever started it.
pub(crate) fn is_at(path: PathBuf) {
    if let Ok(mut own) = OWN.lock() {
        *own = Some(path);
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        begin_own();
        usual(panic);
    }));
}

fn begin_own() {
    let Some(path) = OWN.lock().ok().and_then(|mut own| own.take()) else { return };
    let begin = || -> io::Result<()> {
        let log = OpenOptions::new().append(true).create(true).open(&path)?;
        rustix::stdio::dup2_stdout(&log)?;
        rustix::stdio::dup2_stderr(&log)?;
        Ok(())
    };
    if let Err(error) = begin() {
        let _ = writeln!(io::stderr(), "cannot write {}: {error}", path.display());
    }
}

/// Writes one line, in a log with the time (seconds since 1970) and the process in front.
pub fn line(text: fmt::Arguments<'_>) {
    if READ_BY_A_PERSON.load(Ordering::Relaxed) {
        let _ = writeln!(io::stderr(), "chameleon: {text}");
        return;
    }
    begin_own();
    let now = crate::timers::now().unix_ms;
    let _ = writeln!(io::stderr(), "{}.{:03} [{}] {text}", now / 1000, now % 1000, std::process::id());
}

/// `log!("cannot … {error}")`: see [`line`].
#[macro_export]
macro_rules! log {
    ($($text:tt)*) => { $crate::log::line(format_args!($($text)*)) };
}
