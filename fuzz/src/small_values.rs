//! Durations, sizes, ranges of tasks and injections are read or refused; an injection reads back
//! as it prints.

use chameleon_core::job::{Injection, values};

use crate::made;

/// Reads what these bytes make.
pub fn run(bytes: &[u8]) {
    let Some(text) = made::<&str>(bytes) else { return };
    let refused = [
        values::duration(text).err().map(|bad| bad.to_string()),
        values::size(text).err().map(|bad| bad.to_string()),
        values::tasks(text).err().map(|bad| bad.to_string()),
    ];
    assert!(refused.into_iter().flatten().all(|sentence| sentence.starts_with("expected ")));
    if let Ok(injection) = text.parse::<Injection>() {
        assert_eq!(injection.to_string().parse(), Ok(injection));
    }
}
