//! An ARMOR never begins on a host whose own policy forbids it (docs/policy.md): the daemon keeps to the
//! policy that it read, whatever the FTM says.

use std::collections::BTreeMap;

use chameleon_core::names::HostId;
use chameleon_core::policy::{self, Accept};
use chameleon_core::shell::Input;
use chameleon_core::world::ProcessEvent;

use crate::history::Fact;
use crate::invariants::Invariant;

#[derive(Default)]
pub struct Hospitality {
    /// Policies as the hosts' daemons read them.
    policies: BTreeMap<HostId, Vec<u8>>,
}

impl Invariant for Hospitality {
    fn name(&self) -> &'static str {
        "nothing runs where the policy forbids it"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Born { who, .. } = fact else { return Ok(()) };
        let Some(text) = self.policies.get(&who.host).filter(|_| who.name.job().is_some()) else { return Ok(()) };
        let forbidden = match policy::parse("policy.toml", text) {
            Err(_) => true,
            Ok(policy) => {
                let kind = who.name.kind();
                policy.accept == Accept::Nothing || policy.armors.is_some_and(|kinds| !kinds.contains(&kind))
            }
        };
        if forbidden { Err(format!("{} begins on {}", who.name, who.host)) } else { Ok(()) }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        if let Fact::Handles { who, input: Input::Process(ProcessEvent::PolicyRead(Ok(Some(text)))), .. } = fact {
            self.policies.insert(who.host, text.clone());
        }
    }
}
