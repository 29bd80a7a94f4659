//! Who may have the FTM, and the etcd that they share.

use std::path::Path;

use chameleon_core::names::HostId;
use chameleon_node::home::{Address, Home, Managers};
use chameleon_node::pki::Standing;
use chameleon_node::random;
use chameleon_node::store::members;

use crate::failure::Failure;

/// Makes so many hosts candidates, or those that are, and starts the store that they share.
///
/// # Errors
/// The home has other candidates, or the store does not start.
pub fn appoint(home: &Home, hosts: u32, ftms: Option<u32>) -> Result<(), Failure> {
    let path = home.path().display();
    let known = home.managers().map_err(|why| system(&why))?;
    let count = match (&known, ftms) {
        (None, None) => return Ok(()),
        (None, Some(count)) => {
            not_alone_so_far(home)?;
            count
        }
        (Some(known), ftms) => {
            let known = u32::try_from(known.candidates.len()).unwrap_or(u32::MAX);
            if ftms.is_some_and(|wanted| wanted != known) {
                return Err(Failure::Asked(format!("{path} has {known} candidates for its FTM; leave --ftms away")));
            }
            known
        }
    };
    if count > hosts {
        return Err(Failure::Asked(format!("{count} candidates need as many hosts; there are {hosts}")));
    }
    let cluster = known.map_or_else(|| hexadecimal(random::bytes()), |known| known.cluster);
    let store = members::start(&home.etcd(), members::COUNT, members::PREFIX).map_err(|why| system(&why))?;
    let candidates = (1..=count).map(HostId).collect();
    home.keep_managers(&Managers { store, cluster, candidates }).map_err(|why| system(&why))
}

fn hexadecimal(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_le_bytes(bytes))
}

/// Makes the host of this home, a member of a cluster, a candidate; with a copy of the authority's key it lets others in
/// while it has the FTM.
///
/// # Errors
/// It may not have the FTM, or had it alone so far; or that is the key of another cluster.
pub fn stand_for(home: &Home, host: HostId, store: Address, key: Option<&Path>) -> Result<(), Failure> {
    let standing = Standing::of(home).map_err(|why| system(&why))?;
    let standing = standing.ok_or_else(|| Failure::Asked("this home belongs to no cluster".to_owned()))?;
    if !standing.may_serve_as_ftm().map_err(|why| system(&why))? {
        let why = format!(
            "{host} may not have the FTM: it joined as a plain host; `chameleon token create --role ftm` makes a token \
             with which another home can join that may"
        );
        return Err(Failure::Refused(why));
    }
    not_alone_so_far(home)?;
    if let Some(key) = key {
        standing.keep_authority_key(key).map_err(|why| system(&why))?;
    }
    let cluster = standing.cluster().map_err(|why| system(&why))?;
    home.keep_managers(&Managers { store, cluster, candidates: vec![host] }).map_err(|why| system(&why))
}

fn not_alone_so_far(home: &Home) -> Result<(), Failure> {
    if home.store().exists() {
        let path = home.path().display();
        let why = format!("{path} has one FTM and its jobs are in a store of its own; several need another --home");
        return Err(Failure::Asked(why));
    }
    Ok(())
}

fn system(why: &dyn std::fmt::Display) -> Failure {
    Failure::System(why.to_string())
}
