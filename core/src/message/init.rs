//! What an Init can be told.

use minicbor::{Decode, Encode};

/// To an Init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum InitMessage {
    /// FTM → Init: the time, milliseconds since 1970, as the FTM's host has it. Answers
    /// `FtmMessage::AskTime` with its number.
    #[n(80)]
    Time {
        #[n(0)]
        number: u64,
        #[n(1)]
        unix_ms: u64,
    },
    /// FTM → Init: do the test task of this number. Answered by `FtmMessage::Tested`.
    #[n(140)]
    Test {
        #[n(0)]
        number: u32,
    },
}
