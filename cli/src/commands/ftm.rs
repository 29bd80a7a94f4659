//! `chameleon ftm init`: makes a cluster that other machines can join, and starts its first host.

use std::net::SocketAddr;
use std::time::Duration;

use chameleon_core::job::values::duration;
use chameleon_core::names::Millis;

use crate::commands::daemon::{DEFAULT_LISTEN, stand};
use crate::failure::Failure;
use crate::signals::Signals;
use crate::system::Place;

/// An ARMOR's certificate is good for a 24th of it, and is told in seconds.
const SHORTEST: Millis = Millis(48_000);

#[derive(Debug, clap::Args)]
pub struct Ftm {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Make a cluster: its certificate authority and its first host, on which the FTM runs
    Init(Init),
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
    /// Return once it runs; `chameleon down` ends it
    #[arg(long)]
    detach: bool,
}

impl Ftm {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let Act::Init(Init { listen, name, lifetime, detach }) = self.act;
        if lifetime < SHORTEST {
            let why = format!(
                "certificates that are good for {lifetime} could not be renewed in time; give at least {SHORTEST}"
            );
            return Err(Failure::Asked(why));
        }
        let signals = Signals::block()?;
        let system = place.found(listen, name, Duration::from_millis(lifetime.0))?;
        stand(system, detach, &signals, "`chameleon token create` lets others join")
    }
}
