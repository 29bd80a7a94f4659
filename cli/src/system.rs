//! The system a command speaks to: the standing one of a home, or one that lasts as long as the
//! command.

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use crate::failure::Failure;
use crate::session::{Heard, Session};
