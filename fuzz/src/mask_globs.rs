//! Globs are matched against paths of any bytes in bounded time; a path without special bytes is
//! covered by itself.

use chameleon_core::job::{Mask, mask};

use crate::made;

/// Reads what these bytes make.
pub fn run(bytes: &[u8]) {
    let Some(both) = made::<(&str, &[u8])>(bytes) else { return };
    let (glob, path) = both;
    let globbed = Mask { name: String::new(), paths: vec![glob.to_owned()] };
    let _ = globbed.covers(path);
    if mask::check(glob).is_ok() && !glob.contains(['*', '?']) {
        assert!(globbed.covers(glob.as_bytes()));
    }
}
