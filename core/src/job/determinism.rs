//! What `determinism = "assist"` adds to a program's environment, so that equal executions come out
//! equal: seeds that runtimes otherwise draw afresh, and dates that tools otherwise take from the
//! clock. What the user has set is left alone.

use super::{Determinism, Job, OsBytes};

/// Name, value, and what would differ without it.
pub const ADDITIONS: [(&str, &str, &str); 8] = [
    ("PYTHONHASHSEED", "0", "Python draws a seed for the hashes of strings: the order of sets differs from run to run"),
    ("PERL_HASH_SEED", "0", "Perl draws a seed for its hashes: the order of keys differs from run to run"),
    ("PERL_PERTURB_KEYS", "0", "Perl shuffles the keys of a hash further as it grows"),
    ("QT_HASH_SEED", "0", "Qt draws a seed for QHash: the order of generated files and attributes differs"),
    (
        "SOURCE_DATE_EPOCH",
        "315532800",
        "compilers and packers write the date of the build; 1980 is the oldest zip can hold",
    ),
    ("FORCE_SOURCE_DATE", "1", "TeX follows SOURCE_DATE_EPOCH only when told so"),
    ("OMP_NUM_THREADS", "1", "threads of OpenMP add up floating-point numbers in the order in which they finish"),
    ("OPENBLAS_NUM_THREADS", "1", "threads of OpenBLAS split a sum differently with the load of the machine"),
];

/// The environment of the job's programs: its own, and what helps.
#[must_use]
pub fn environment(job: &Job) -> Vec<OsBytes> {
    let mut environment = job.environment.clone();
    if job.determinism == Determinism::Assist {
        environment.extend(additions(&job.environment));
    }
    environment
}

/// The additions whose name is not set in `environment`.
fn additions(environment: &[OsBytes]) -> impl Iterator<Item = OsBytes> {
    let is_set = |name: &str| {
        environment
            .iter()
            .any(|entry| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'=')))
    };
    let wanted = ADDITIONS.iter().filter(move |(name, ..)| !is_set(name));
    wanted.map(|(name, value, _)| OsBytes::from(format!("{name}={value}").into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> OsBytes {
        OsBytes::from(text.as_bytes().to_vec())
    }

    #[test]
    fn additions_leave_alone_what_the_user_has_set() {
        let added: Vec<_> = additions(&[entry("PYTHONHASHSEED=7"), entry("PERL_HASH_SEEDS=1"), entry("X")]).collect();
        assert_eq!(added.len(), ADDITIONS.len() - 1);
        assert!(!added.contains(&entry("PYTHONHASHSEED=0")));
        assert!(added.contains(&entry("PERL_HASH_SEED=0")));
    }
}
