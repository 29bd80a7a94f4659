//! Real machines: the only place that touches the system. No decision about fault tolerance is
//! taken here; everything is carried out and reported.

pub mod files;
pub mod os;
pub mod slot;
