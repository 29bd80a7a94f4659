//! What a process of the system says to whoever looks for the cause of a trouble: lines on standard
//! error, which is the log of its daemon or ARMOR. A log that cannot be written never hurts its writer.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

static READ_BY_A_PERSON: AtomicBool = AtomicBool::new(false);

/// In this process standard error is no log: a person reads it, as it comes.
pub fn is_read_by_a_person() {
    READ_BY_A_PERSON.store(true, Ordering::Relaxed);
}

/// Writes one line, in a log with the time (seconds since 1970) and the process in front.
pub fn line(text: fmt::Arguments<'_>) {
    if READ_BY_A_PERSON.load(Ordering::Relaxed) {
        let _ = writeln!(std::io::stderr(), "chameleon: {text}");
        return;
    }
    let now = crate::timers::now().unix_ms;
    let _ = writeln!(std::io::stderr(), "{}.{:03} [{}] {text}", now / 1000, now % 1000, std::process::id());
}

/// `log!("cannot … {error}")`: see [`line`].
#[macro_export]
macro_rules! log {
    ($($text:tt)*) => { $crate::log::line(format_args!($($text)*)) };
}
