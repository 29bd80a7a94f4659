//! A system that was made for one command ends with it, but not before the user's notify command was
//! told what it is to be told.

use std::time::{Duration, Instant};

use chameleon_core::message::{FtmMessage, Query, UserMessage};
use chameleon_core::names::JobId;

use crate::failure::Failure;
use crate::session::{Session, ask};

/// How long an ending system waits for the notify command; a failing one is tried again meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until the job's notices are delivered; how many are not, when patience is at its end.
///
/// # Errors
/// The FTM refused or did not answer.
pub fn delivered(session: &mut dyn Session, job: JobId) -> Result<u64, Failure> {
    let began = Instant::now();
    loop {
        let waiting = waiting(session, job)?;
        if waiting == 0 || began.elapsed() >= PATIENCE {
            return Ok(waiting);
        }
        std::thread::sleep(PAUSE);
    }
}

fn waiting(session: &mut dyn Session, job: JobId) -> Result<u64, Failure> {
    ask(session, &FtmMessage::Ask(Query::Notices(job)), |answer| match answer {
        UserMessage::Notices { job: of, waiting } if of == job => Some(waiting),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    #[test]
    fn it_is_asked_until_every_notice_is_delivered() {
        let job = JobId(1);
        let answers = [2, 1, 0].map(|waiting| UserMessage::Notices { job, waiting });
        let mut session = Scripted::answering(answers.to_vec());
        assert_eq!(delivered(&mut session, job).unwrap(), 0);
        assert_eq!(session.told.len(), 3);
    }
}
