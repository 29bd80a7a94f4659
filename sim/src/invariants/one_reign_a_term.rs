//! Of several candidates one is given a term, and raises one FTM under it; and asking does a reign no harm that works
//! (DESIGN D6): one that was replaced because nothing was heard of it had changed nothing for as long as that takes.

use std::collections::BTreeMap;

use chameleon_core::elements::candidacy::STILL;
use chameleon_core::names::{ArmorName, HostId, Term};

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::process::Pid;

#[derive(Default)]
pub struct OneReignATerm {
    granted: BTreeMap<Term, HostId>,
    raised: BTreeMap<Term, Pid>,
}

/// The term of an FTM that was given it, and where it begins.
fn born(fact: &Fact<'_>) -> Option<(Term, HostId, Pid)> {
    match fact {
        Fact::Born { who, pid } if who.name == ArmorName::Ftm && who.elected => {
            Some((Term(who.incarnation.0.into()), who.host, *pid))
        }
        _ => None,
    }
}

impl Invariant for OneReignATerm {
    fn name(&self) -> &'static str {
        "one reign a term, and no harm to one that works"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        if let Some((term, host, pid)) = born(fact) {
            if self.granted.get(&term) != Some(&host) {
                return Err(format!("{host} raises the FTM of {term}, which it was not given"));
            }
            if let Some(first) = self.raised.get(&term) {
                return Err(format!("the FTM of {term} is raised twice, as process {} and {}", first.0, pid.0));
            }
        }
        match fact {
            Fact::Granted { term, host, .. } if self.granted.contains_key(term) => {
                Err(format!("{term} is given to {host} after it was given to another"))
            }
            Fact::Granted { term, still_us: Some(still_us), .. } if *still_us < STILL.0 * 1_000 => {
                Err(format!("the reign before {term} had changed something {still_us} µs ago"))
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Some((term, _, pid)) = born(fact) {
            self.raised.insert(term, pid);
        }
        if let Fact::Granted { term, host, .. } = fact {
            self.granted.insert(*term, *host);
        }
    }
}
