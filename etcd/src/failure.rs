//! What can go wrong with a member of etcd, told apart by what it means for what was asked.

use tonic::{Code, Status};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody knows whether it was done: it may even be done later.
    #[error("no answer: {0}")]
    Unknown(String),
    /// It was not done: no room is left.
    #[error("it is out of space ({0}); give it more, compact and defragment it, then disarm its alarm")]
    Full(String),
    /// It was not done: we may not.
    #[error("it lets us do nothing there: {0}")]
    Forbidden(String),
    /// It was not done: the member says that its own data is damaged.
    #[error("its data is damaged: {0}")]
    Damaged(String),
    /// It was not done: what was asked of is gone, or what was asked is not understood or too large.
    #[error("it refuses: {0}")]
    Refused(String),
    /// Nothing was asked: the files by which we know each other do not serve.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// What etcd says when it is out of space, and which alarm it raises then.
const NO_SPACE: [&str; 2] = ["database space exceeded", "NOSPACE"];

impl Failure {
    pub(crate) fn of(status: &Status) -> Failure {
        let why = match std::error::Error::source(status) {
            Some(source) => format!("{}: {source}", status.message()),
            None => status.message().to_owned(),
        };
        match status.code() {
            Code::ResourceExhausted if NO_SPACE.iter().any(|word| why.contains(word)) => Failure::Full(why),
            Code::PermissionDenied | Code::Unauthenticated => Failure::Forbidden(why),
            Code::DataLoss => Failure::Damaged(why),
            Code::InvalidArgument
            | Code::OutOfRange
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::AlreadyExists
            | Code::Unimplemented => Failure::Refused(why),
            // Too many requests, for one: another attempt may do.
            Code::ResourceExhausted
            | Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable => Failure::Unknown(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_it_was_done() {
        let table = [
            (Status::unavailable("etcdserver: request timed out"), "no answer"),
            (Status::unavailable("etcdserver: leader changed"), "no answer"),
            (Status::resource_exhausted("etcdserver: mvcc: database space exceeded"), "out of space"),
            (Status::permission_denied("etcdserver: permission denied"), "lets us do nothing"),
            (Status::data_loss("etcdserver: corrupt cluster"), "damaged"),
            (Status::out_of_range("etcdserver: mvcc: required revision has been compacted"), "it refuses"),
            (Status::invalid_argument("etcdserver: request is too large"), "it refuses"),
        ];
        for (status, expected) in table {
            let said = Failure::of(&status).to_string();
            assert!(said.contains(expected), "{status}: {said}");
        }
    }
}
