//! The common ARMORs, one file each, and the table of all kinds.
