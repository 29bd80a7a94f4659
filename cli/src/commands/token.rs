//! `chameleon token create`: one line that lets one host or person in, once.

use chameleon_core::job::values::duration;
use chameleon_core::message::{FtmMessage, UserMessage};
use chameleon_core::names::Millis;
use chameleon_core::principal::Role;
use chameleon_core::token::Token as Line;
use chameleon_core::word::Word;
use chameleon_node::random;

use crate::failure::Failure;
use crate::screen;
use crate::session::{Session, ask};
use crate::system::Place;

#[derive(Debug, clap::Args)]
pub struct Token {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Print a token: good for one host or person, once
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What is let in: host, user, or ftm, a host that may also serve as FTM
    #[arg(long, default_value = "host", value_parser = Role::read)]
    role: Role,
    /// How long it is good
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    ttl: Millis,
}

impl Token {
    pub fn execute(self, place: &Place) -> Result<u8, Failure> {
        let Act::Create(Create { role, ttl }) = self.act;
        let system = place.standing()?;
        let line = Line { authority: system.authority()?, secret: random::bytes() };
        keep(&mut system.connect()?, &line, role, ttl)?;
        screen::print(&line.to_string())?;
        Ok(0)
    }
}

/// The FTM has it on disk before anybody sees it.
fn keep(session: &mut dyn Session, line: &Line, role: Role, good_for: Millis) -> Result<(), Failure> {
    let digest = line.digest();
    ask(session, &FtmMessage::MakeToken { digest, role, good_for }, |answer| match answer {
        UserMessage::TokenKept { digest: kept } => (kept == digest).then_some(()),
        _ => None,
    })
}
