//! `chameleon dev`: a standing local system, each host a daemon of its own on this machine.

use chameleon_core::job::Injection;

use crate::failure::Failure;
use crate::screen;
use crate::signals::Signals;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Dev {
    /// Hosts, each a daemon and a directory of its own; without it, those that the home has, else one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    hosts: Option<u32>,
    /// Hosts that may have the FTM, equal candidates of which one reigns; their store is an etcd of three on this machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=7))]
    ftms: Option<u32>,
    /// Return once it runs; `chameleon down` ends it
    #[arg(long)]
    detach: bool,
    /// Puts a fault into every job of this system, for demonstration and tests; may be repeated
    #[arg(long, value_name = "KIND:LANE[:once|always|p=X]")]
    inject: Vec<Injection>,
}

impl Dev {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let signals = Signals::block()?;
        let system = place.start(self.hosts, self.ftms)?;
        system.keep_injections(&self.inject)?;
        screen::remark(&format!("chameleon: a system of {} runs at {}", count(system.hosts()), system.home().display()));
        if self.detach {
            return Ok(0);
        }
        screen::remark("chameleon: Ctrl-C ends it");
        let code = signals.wait().map_or(crate::failure::FAILED, |number| 128 + number);
        system.stop()?;
        Ok(code)
    }
}

fn count(hosts: u32) -> String {
    chameleon_core::report::sentence::count(hosts.into(), "host")
}
