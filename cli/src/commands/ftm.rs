//! `chameleon ftm`: this host is a candidate for the FTM. `chameleon ftm init`: makes a cluster that other machines can
//! join, and starts its first host.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chameleon_core::job::values::duration;
use chameleon_core::names::Millis;
use chameleon_node::home::Address;

use crate::commands::daemon::{DEFAULT_LISTEN, Joining, stand};
use crate::failure::Failure;
use crate::{reign, screen, store};
use crate::signals::Signals;
use crate::system::Place;

/// An ARMOR's certificate is good for a 24th of it, and is told in seconds.
const SHORTEST: Millis = Millis(48_000);

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Ftm {
    #[command(subcommand)]
    act: Option<Act>,
    /// The etcd that all candidates share, and the prefix of this cluster's keys there
    #[arg(long, value_name = "URL")]
    store: Option<Address>,
    /// A copy of `pki/authority.key` of the founder's home; without it this host lets nobody in while it has the FTM
    #[arg(long, value_name = "FILE")]
    authority_key: Option<PathBuf>,
    #[command(flatten)]
    joining: Joining,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Make a cluster: its certificate authority and its first host, on which the FTM runs
    Init(Init),
    /// Show who has the FTM, who may have it, and how their store is
    Status {
        /// An object with stable keys
        #[arg(long)]
        json: bool,
    },
    /// End the reign of the FTM: another candidate has the next at once
    StepDown,
    /// Make the etcd of this home serve again after most of its members are lost for good
    Recover {
        /// An object with stable keys
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Init {
    /// Where other machines reach this one; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// How people call this host
    #[arg(long, default_value = "h1")]
    name: String,
    /// How long the certificates of hosts are good; each is renewed at half of it, those of ARMORs are
    /// good for a 24th of it
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    lifetime: Millis,
    /// The etcd that all candidates share, and the prefix of this cluster's keys there
    #[arg(long, value_name = "URL")]
    store: Option<Address>,
    /// Return once it runs; `chameleon down` ends it
    #[arg(long)]
    detach: bool,
}

impl Ftm {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        match self.act {
            Some(Act::Init(init)) => init.execute(place),
            Some(Act::Status { json }) => status(place, json),
            Some(Act::StepDown) => step_down(place),
            Some(Act::Recover { json }) => recover(place, json),
            None => self.stand(place),
        }
    }

    /// This host is a candidate from now on.
    fn stand(self, place: &Place) -> Result<u8, Failure> {
        let nowhere = "candidates share an etcd; give `--store URL`, or make a cluster with `chameleon ftm init`";
        let store = self.store.ok_or_else(|| Failure::Asked(nowhere.to_owned()))?;
        let signals = Signals::block()?;
        let detach = self.joining.detach;
        let host = self.joining.host(place)?;
        let system = place.start_candidate(host, store, self.authority_key.as_deref())?;
        stand(system, detach, &signals, "it may have the FTM from now on")
    }
}

impl Init {
    fn execute(self, place: &Place) -> Result<u8, Failure> {
        let Init { listen, name, lifetime, store, detach } = self;
        if lifetime < SHORTEST {
            let why = format!("certificates that are good for {lifetime} could not be renewed in time; give at least {SHORTEST}");
            return Err(Failure::Asked(why));
        }
        let signals = Signals::block()?;
        let system = place.found(listen, name, Duration::from_millis(lifetime.0), store)?;
        stand(system, detach, &signals, "`chameleon token create` lets others join")
    }
}

/// Also what is known if nobody answers as FTM: how the store is may be the reason.
fn status(place: &Place, json: bool) -> Result<u8, Failure> {
    let system = place.standing()?;
    let store = system.shared_store()?;
    let answer = reign::look(&mut system.connect()?);
    let reign = answer.as_ref().ok();
    match json {
        true => screen::print_json(&reign::json_of(reign, store.as_ref()))?,
        false => screen::print(&reign::text_of(reign, store.as_ref(), &screen::zone()))?,
    }
    answer.map(|_| 0)
}

fn step_down(place: &Place) -> Result<u8, Failure> {
    let (over, next) = reign::step_down(&mut place.standing()?.connect()?)?;
    screen::print(&format!("{} has the FTM under {}; that of {} on {} ended", next.host, next.term, over.term, over.host))?;
    Ok(0)
}

fn recover(place: &Place, json: bool) -> Result<u8, Failure> {
    let recovered = store::recover(place)?;
    match json {
        true => screen::print_json(&store::json_of_recovery(&recovered))?,
        false => screen::print(&store::text_of_recovery(&recovered, &screen::zone()))?,
    }
    Ok(0)
}
