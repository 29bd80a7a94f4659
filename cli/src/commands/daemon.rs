//! `chameleon daemon`: this machine is a host of a cluster. It joins with a token, once; after that the
//! same command, with or without the token, starts it again as who it was.

use std::net::SocketAddr;

use chameleon_core::names::HostId;
use chameleon_core::principal::Principal;
use chameleon_core::token::Token;
use chameleon_node::os::facilities::Facilities;

use crate::failure::Failure;
use crate::screen;
use crate::signals::Signals;
use crate::system::{Place, System};

/// Everywhere, at the port that nobody else has asked for.
pub const DEFAULT_LISTEN: &str = "0.0.0.0:7117";

#[derive(Debug, clap::Args)]
pub struct Daemon {
    #[command(flatten)]
    joining: Joining,
    /// What keeps programs from this host, `linux` or `posix`, from now on; CHAMELEON_FACILITIES says it for any command
    /// that starts hosts [default: what the system has]
    #[arg(long, value_name = "FACILITIES")]
    facilities: Option<Facilities>,
}

/// How a machine becomes a host, unless it is one.
#[derive(Debug, clap::Args)]
pub struct Joining {
    /// Join the cluster whose FTM is reached there; a host that has joined keeps to its own
    #[arg(long, value_name = "ADDRESS:PORT", requires = "token")]
    join: Option<String>,
    /// What `chameleon token create` printed
    #[arg(long, env = "CHAMELEON_TOKEN", hide_env_values = true)]
    token: Option<Token>,
    /// How people call this host [default: its number]
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Where other machines reach this one; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Return once it runs; `chameleon down` ends it
    #[arg(long)]
    pub detach: bool,
}

impl Daemon {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let signals = Signals::block()?;
        let detach = self.joining.detach;
        let host = self.joining.host(place)?;
        stand(place.with(self.facilities).start_host(host)?, detach, &signals, "it takes work from now on")
    }
}

impl Joining {
    /// The host that this machine is, from now on if it was none.
    pub fn host(self, place: &Place) -> Result<HostId, Failure> {
        let wish = self.join.as_deref().zip(self.token.as_ref());
        let member = match (place.member()?, wish) {
            (Some(member), _) => member,
            (None, Some((address, token))) => place.join(address, token, self.name, Some(self.listen))?,
            (None, None) => {
                let why = "this machine has joined no cluster; give `--join ADDRESS:PORT --token TOKEN`, or make one \
                           with `chameleon ftm init`";
                return Err(Failure::Asked(why.to_owned()));
            }
        };
        match member {
            Principal::Host(host) => Ok(host),
            member => Err(Failure::Asked(format!("this home belongs to {member}, which is no host; name another --home"))),
        }
    }
}

/// Says what stands, and stays until a signal ends it, unless it is to be left alone.
pub fn stand(system: System, detach: bool, signals: &Signals, hint: &str) -> Result<u8, Failure> {
    screen::remark(&format!("chameleon: {} at {}; {hint}", system.describe()?, system.home().display()));
    if detach {
        return Ok(0);
    }
    screen::remark("chameleon: Ctrl-C ends it");
    let code = signals.wait().map_or(crate::failure::FAILED, |number| 128 + number);
    system.stop()?;
    Ok(code)
}
