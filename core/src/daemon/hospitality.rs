//! The host's own policy, as its daemon keeps to it: what is not allowed here is not installed, whoever
//! asks for it. What runs already when the policy changes runs on.

use crate::armor::Moment;
use crate::daemon::{Daemon, DaemonStep, State};
use crate::message::{Bid, Story};
use crate::names::{ArmorName, Kind};
use crate::policy::{self, Policy};

/// What the host's file is called where a person reads of it.
const FILE: &str = "policy.toml";

impl Daemon {
    /// The host's file was read, at the start or because it changed. `None`: there is none.
    pub(super) fn policy_read(&mut self, now: Moment, text: Result<Option<Vec<u8>>, String>, step: &mut DaemonStep) {
        let policy = match text {
            Ok(None) => Ok(Policy::default()),
            Ok(Some(bytes)) => policy::parse(FILE, &bytes).map_err(|refusal| refusal.first()),
            Err(why) => Err(format!("{FILE} cannot be read: {why}")),
        };
        if let Err(why) = &policy
            && self.policy.as_ref().err() != Some(why)
        {
            self.observe(now, self.name, Story::PolicyRefused { host: self.host, why: why.clone() }, step);
        }
        self.policy = policy;
    }

    /// Whether an ARMOR that is not here yet may run here.
    ///
    /// # Errors
    /// The sentence that its submitter is told.
    pub(super) fn admits(&self, now: Moment, name: ArmorName, bid: Option<&Bid>) -> Result<(), String> {
        if name.job().is_none() || self.charges.contains_key(&name) {
            return Ok(());
        }
        let allowed = match (&self.policy, bid) {
            (Err(_), _) => Err("cannot be read, so that nothing is accepted".to_owned()),
            (Ok(policy), None) if *policy == Policy::default() => Ok(()),
            (Ok(_), None) => Err("accepts nothing of nobody".to_owned()),
            (Ok(policy), Some(bid)) => policy.allows(name, bid, self.lanes_here(), now.unix_ms),
        };
        allowed.map_err(|why| format!("the policy of {} {why}", self.host))
    }

    fn lanes_here(&self) -> u32 {
        let here = self.charges.iter().filter(|(name, charge)| {
            name.kind() == Kind::Execution && !matches!(charge.state, State::Lost { .. } | State::Retiring { .. })
        });
        u32::try_from(here.count()).unwrap_or(u32::MAX)
    }
}
