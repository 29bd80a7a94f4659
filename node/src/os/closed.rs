//! Which of the three standard descriptors were closed when this process began.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in place of a closed one, and what is printed then
//! vanishes without an error. So it is looked at before the runtime does: by a function that the
//! loader calls first.

use std::sync::atomic::{AtomicU8, Ordering};

static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Whether standard input (0), output (1) or error (2) was closed at the start of this process.
#[must_use]
pub fn at_start(descriptor: u8) -> bool {
    CLOSED.load(Ordering::Relaxed) & (1 << descriptor) != 0
}

extern "C" fn look() {
    for descriptor in 0..3 {
        #[expect(unsafe_code, reason = "no owner of the descriptor exists yet to ask through")]
        // SAFETY: F_GETFD only reads a flag of a number, and an invalid number is its answer.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags == -1 {
            CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        }
    }
}

#[expect(unsafe_code, reason = "a place in the list of functions that the loader calls first")]
// SAFETY: the list holds pointers to functions of this shape; `look` uses nothing that is set up later.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;
