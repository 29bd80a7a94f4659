//! `chameleon login`: gives a person an identity, with which every command works from a machine that
//! is no host.

use chameleon_core::token::Token;

use crate::failure::Failure;
use crate::screen;
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Login {
    /// Where the FTM is reached
    #[arg(value_name = "ADDRESS:PORT")]
    address: String,
    /// What `chameleon token create --role user` printed
    #[arg(long, env = "CHAMELEON_TOKEN", hide_env_values = true)]
    token: Token,
    /// How you are called there [default: $USER]
    #[arg(long, env = "USER")]
    name: String,
}

impl Login {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        if let Some(member) = place.member()? {
            return Err(Failure::Asked(format!("this home belongs to {member} already; name another --home")));
        }
        let member = place.join(&self.address, &self.token, self.name, None)?;
        screen::remark(&format!("chameleon: you are {member}; commands with this --home speak to the FTM there"));
        Ok(0)
    }
}
