//! What a person types: one command a file, one line in the table.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::system::Place;

macro_rules! commands {
    ($($(#[$about:meta])* $variant:ident($file:ident)),* $(,)?) => {
        $(pub mod $file;)*

        #[derive(Debug, Subcommand)]
        enum Command {
            $($(#[$about])* $variant($file::$variant),)*
        }

        impl Command {
            fn execute(self, place: &Place) -> Result<u8, Failure> {
                match self {
                    $(Command::$variant(command) => command.execute(place),)*
                }
            }
        }
    };
}

commands! {
    /// Run a program, or a job file, as the shell would, with redundancy behind it
    Run(run),
    /// Hand a job file to the standing system and print the job's number
    Submit(submit),
    /// Start a standing local system
    Dev(dev),
    /// Make this host a candidate for the FTM, or make a cluster
    Ftm(ftm),
    /// Make this machine a host of a cluster
    Daemon(daemon),
    /// Let others into the cluster
    Token(token),
    /// Get an identity in a cluster, to use it from here
    Login(login),
    /// Let a host or a person into the cluster no more
    Revoke(revoke),
    /// End the standing system; nothing is left running
    Down(down),
    /// List jobs, in the order in which they were submitted
    Ps(ps),
    /// Show one job
    Status(status),
    /// List ARMORs, the processes that run and guard jobs
    Armors(armors),
    /// List hosts, with what runs there
    Hosts(hosts),
    /// Show one host, or say how it is to be used
    Host(host),
    /// Let one ARMOR of a running job go on on another host
    Move(moves),
    /// List what happened
    Events(events),
    /// Tell each fault of a job as a story, what the job cost, and what could not be noticed
    Report(report),
    /// Print the decided standard output of a job
    Result(result),
    /// Print what the lanes of a job printed, decided or not
    Logs(logs),
    /// End a job without a result
    Cancel(cancel),
    /// List jobs that may have run and must not run twice, until a person has looked
    Unresolved(unresolved),
    /// Say what became of a job whose outcome is unknown
    Resolve(resolve),
    /// Drop an ended job with all its output
    Forget(forget),
    /// Compare what the FTM says with what is there, on every host of this home
    Doctor(doctor),
    /// Write what the FTM knows into one file
    Backup(backup),
    /// Make a backup the store of this home
    Restore(restore),
    /// List and explain strategies
    Strategies(strategies),
}

/// Results you can trust from machines you can't: runs unmodified programs and makes them
/// dependable from the outside.
#[derive(Debug, Parser)]
#[command(name = "chameleon", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: the program's own; 122 outcome unknown; 123 no trustworthy result; 124 deadline; 125 Chameleon \
                        failed; 126 and 127 the program could not be started."
)]
pub struct CommandLine {
    /// Where the system keeps everything; several live side by side [default: $CHAMELEON_HOME, else
    /// ~/.local/state/chameleon]
    #[arg(long, global = true, value_name = "DIRECTORY")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

impl CommandLine {
    /// Does what was typed; the exit code.
    ///
    /// # Errors
    /// Why it could not be done.
    pub fn execute(self) -> Result<u8, Failure> {
        self.command.execute(&Place::new(self.home))
    }
}

#[cfg(test)]
mod tests;
