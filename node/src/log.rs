//! What a process of the system says to whoever looks for the cause of a trouble: lines on standard
//! error, which is the log of its daemon or ARMOR. A log that cannot be written never hurts its writer.

use std::fmt;
use std::io::Write;

/// Writes one line, with the time (seconds since 1970) and the process in front.
pub fn line(text: fmt::Arguments<'_>) {
    let now = crate::timers::now().unix_ms;
    let _ = writeln!(std::io::stderr(), "{}.{:03} [{}] {text}", now / 1000, now % 1000, std::process::id());
}

/// `log!("cannot … {error}")`: see [`line`].
#[macro_export]
macro_rules! log {
    ($($text:tt)*) => { $crate::log::line(format_args!($($text)*)) };
}
