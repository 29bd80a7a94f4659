//! Every parser and decoder that reads what others wrote, as a function of any bytes that panics where one
//! of them breaks its word. A fuzzer drives them from `fuzz_targets/`; the tests here give each a taste.

use arbitrary::{Arbitrary, Unstructured};

/// Declares each module as a target, and tries it.
macro_rules! targets {
    ($($target:ident),* $(,)?) => {
        $(pub mod $target;)*

        #[cfg(test)]
        mod each_stands_invented_bytes {
            $(#[test]
            fn $target() {
                crate::taste::try_out(crate::$target::run);
            })*
        }
    };
}

targets! {
    backup, bulk_ask, certificate, datagram, door, frame, job_file, journal, mask_globs, policy_file, restored, small_values,
    stored, strategy_file, token,
}

#[cfg(test)]
mod taste;

/// A value made of these bytes, if they are enough for one.
fn made<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(bytes)).ok()
}
