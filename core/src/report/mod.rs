//! What a job's events mean to a person: each fault as one story, the cost, and what could not have
//! been noticed. Values that can be printed; `cli` prints them.

pub mod sentence;
