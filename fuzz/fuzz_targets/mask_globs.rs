//! Globs are matched against paths of any bytes in bounded time; a path without special bytes is
//! covered by itself.
#![no_main]

use chameleon_core::job::{Mask, mask};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|both: (&str, &[u8])| {
    let (glob, path) = both;
    let globbed = Mask { name: String::new(), paths: vec![glob.to_owned()] };
    let _ = globbed.covers(path);
    if mask::check(glob).is_ok() && !glob.contains(['*', '?']) {
        assert!(globbed.covers(glob.as_bytes()));
    }
});
