//! Building blocks that ARMORs share: private state and what it does with events.
//!
//! | element | what it is for | who is made of it |
//! |---|---|---|
//! | [`candidacy`] | one of several equal hosts asks for the FTM's reign, with evidence | daemon |
//! | [`copying`] | what is saved is saved on another host as well | voter, surrogate |
//! | [`detector`] | how long a host may be silent before it is suspected | heartbeat |
//! | [`echo`] | whether the others hear this host, and how long their answers take | heartbeat |
//! | [`guardian`] | the daemon of the host is replaced when it dies or hangs | every ARMOR but daemons |
//! | [`outbox`] | numbered things reach a peer at least once, in order, whatever dies | execution, voter, surrogate |
//! | [`inbox`] | what arrives twice counts once | voter, surrogate, ftm |
//! | [`seal`] | ballots are signed in batches by whoever cast them | execution, voter |
//! | [`task_set`] | which of very many tasks | execution, surrogate |

pub mod candidacy;
pub mod copying;
pub mod detector;
pub mod echo;
pub mod guardian;
pub mod inbox;
pub mod outbox;
pub mod seal;
pub mod task_set;
