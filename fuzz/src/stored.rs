//! What is kept in journals, stores and stages, and what a slot is told: any bytes are refused or become a value that
//! is written as it was read.

use std::fmt::Debug;

use chameleon_core::armors::execution::ExecutionRecord;
use chameleon_core::armors::fanout::FanoutRecord;
use chameleon_core::armors::voter::VoterRecord;
use chameleon_core::daemon::DaemonRecord;
use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::managers::surrogate::SurrogateRecord;
use chameleon_core::world::{Piece, ProcessMark};
use chameleon_node::files::commit::Pointer;
use chameleon_node::files::manifest::Manifest;
use chameleon_node::files::redo::RedoList;
use chameleon_node::slot::control::{FromShim, ToShim};
use chameleon_node::slot::plan::Plan;
use minicbor::{Decode, Encode};

/// Reads these bytes.
pub fn run(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 14 {
        0 => reads_back::<ExecutionRecord>(bytes),
        1 => reads_back::<VoterRecord>(bytes),
        2 => reads_back::<FanoutRecord>(bytes),
        3 => reads_back::<SurrogateRecord>(bytes),
        4 => reads_back::<FtmRecord>(bytes),
        5 => reads_back::<DaemonRecord>(bytes),
        6 => reads_back::<Vec<Piece>>(bytes),
        7 => reads_back::<ProcessMark>(bytes),
        8 => reads_back::<Manifest>(bytes),
        9 => reads_back::<Pointer>(bytes),
        10 => reads_back::<RedoList>(bytes),
        11 => reads_back::<Plan>(bytes),
        12 => drop(minicbor::decode::<ToShim>(bytes)),
        _ => drop(minicbor::decode::<FromShim>(bytes)),
    }
}

fn reads_back<T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(read) = minicbor::decode::<T>(bytes) {
        let written = minicbor::to_vec(&read).expect("writing to memory cannot fail");
        assert_eq!(minicbor::decode::<T>(&written).expect("what was written can be read"), read);
    }
}
