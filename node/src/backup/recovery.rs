//! Recovery after most members of the etcd of this home are lost for good: what the one that is left knows is put into new
//! members at the same places, so that candidates need not be told anything, and may run meanwhile.

use std::path::PathBuf;

use chameleon_core::managers::ftm::restoration::{self, OpenJobs, Restoration};
use chameleon_core::names::JobId;

use super::restore::saved;
use super::{OperationError, decoded};
use crate::home::{Home, Managers};
use crate::store::health;
use crate::store::{Electorate, Etcd, NOBODY, members};
use crate::timers;

/// What was done.
#[derive(Debug)]
pub enum Recovered {
    /// Enough members had what they kept, and serve again: nothing was lost.
    StartedAgain { members: usize },
    /// New members were made of the one that was left.
    Rebuilt {
        /// Its name, such as `m2`.
        survivor: String,
        /// When the last thing happened that it knew, if anything had.
        known_until_unix_ms: Option<u64>,
        /// Jobs that had not ended, and have now.
        ended: Vec<JobId>,
        /// Where what was left of the old members is.
        aside: Option<PathBuf>,
    },
}

/// Makes members of this home serve again that do not.
///
/// # Errors
/// See [`OperationError`].
pub fn recover(home: &Home) -> Result<Recovered, OperationError> {
    let managers = home.managers()?.filter(|managers| members::is_in(&home.etcd(), &managers.store));
    let managers = managers.ok_or_else(|| {
        let why = "this home has no etcd of its own: bring the members back as whoever runs them does, or empty ones, and \
                   then `chameleon restore` a backup";
        OperationError::Unneeded(why.to_owned())
    })?;
    needs_recovery(&managers)?;
    let number = match members::with_data(&home.etcd())[..] {
        [] => {
            let why = "no member is left with what it kept; `chameleon down`, then `chameleon restore` a backup";
            return Err(OperationError::Unneeded(why.to_owned()));
        }
        [number] => number,
        [_, _, ..] => {
            members::start(&home.etcd(), members::COUNT, &managers.store.prefix)?;
            return Ok(Recovered::StartedAgain { members: members::with_data(&home.etcd()).len() });
        }
    };
    rebuild(home, &managers, number)
}

/// Makes new members of this one.
fn rebuild(home: &Home, managers: &Managers, number: usize) -> Result<Recovered, OperationError> {
    members::stop(&home.etcd());
    let alone = members::read_alone(&home.etcd(), number, &managers.store.prefix, |store| {
        Electorate::new(&Managers { store: store.clone(), ..managers.clone() }, NOBODY)?.whole()
    });
    let records = decoded(&alone??.unwrap_or_default())?;
    let (now_unix_ms, known_until_unix_ms) = (timers::now().unix_ms, restoration::last_told(&records));
    let restoration = Restoration {
        known_until_unix_ms: known_until_unix_ms.unwrap_or(now_unix_ms),
        now_unix_ms,
        open_jobs: OpenJobs::GoOn,
    };
    let restored = restoration::restore(&records, &[], restoration);
    let aside = members::set_aside(&home.etcd(), now_unix_ms)?;
    members::start(&home.etcd(), members::COUNT, &managers.store.prefix)?;
    Etcd::put_in_place(managers, restored.term, saved(&restored.records))?;
    if !home.has_daemon() {
        members::stop(&home.etcd());
    }
    Ok(Recovered::Rebuilt { survivor: format!("m{number}"), known_until_unix_ms, ended: restored.ended, aside })
}

/// Members that serve need nobody's help.
fn needs_recovery(managers: &Managers) -> Result<(), OperationError> {
    let members = health::of(&managers.store);
    match members.iter().filter(|member| member.trouble.is_none()).count() {
        0 => Ok(()),
        serve => {
            let why = format!("{serve} of {} members serve, so nothing is lost and nothing was changed", members.len());
            Err(OperationError::Unneeded(why))
        }
    }
}
