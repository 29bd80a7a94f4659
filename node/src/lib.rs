//! Real machines: the only place that touches the system. No decision about fault tolerance is
//! taken here; everything is carried out and reported.

pub mod backup;
pub mod bulk;
pub mod client;
pub mod daemon;
pub mod datagrams;
pub mod event_loop;
pub mod files;
pub mod frame;
pub mod home;
pub mod index;
pub mod journal;
pub mod launch;
pub mod links;
pub mod log;
pub mod os;
pub mod outside;
pub mod perform;
pub mod pki;
mod policy;
pub mod process;
pub mod profile;
pub mod random;
pub mod saving;
pub mod slot;
pub mod store;
pub mod timers;

mod armor_process;
mod blank;
mod limits;

pub use armor_process::{Raise, StartError};
pub use blank::armor_main;
pub use daemon::daemon_main;
