//! The store that several candidates share, as a daemon asks it: opened when it is asked first, and its troubles told of.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chameleon_core::names::HostId;
use chameleon_core::world::ReignSight;

use crate::home::Home;
use crate::store::{Electorate, StoreError};

/// The store, and what it said last when it did not serve.
#[derive(Debug, Default)]
pub(super) struct Polls {
    electorate: OnceLock<Arc<Electorate>>,
    trouble: Mutex<String>,
}

impl Polls {
    /// The store that the home names.
    pub fn of(&self, home: &Home, host: HostId) -> Result<Arc<Electorate>, StoreError> {
        if let Some(electorate) = self.electorate.get() {
            return Ok(electorate.clone());
        }
        let system = |why: String| StoreError::System { path: home.path().join("managers"), why };
        let managers = home.managers().map_err(|why| system(why.to_string()))?;
        let managers = managers.ok_or_else(|| system("it is gone".to_owned()))?;
        let electorate = Arc::new(Electorate::new(&managers, host)?);
        Ok(self.electorate.get_or_init(|| electorate).clone())
    }

    /// What a candidate is told; the same trouble is written down once.
    pub fn told(&self, outcome: Result<ReignSight, StoreError>) -> ReignSight {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(sight) => {
                trouble.clear();
                sight
            }
            Err(error) => {
                let text = error.to_string();
                if *trouble != text {
                    crate::log!("{text}");
                    *trouble = text;
                }
                ReignSight::Nothing
            }
        }
    }
}
