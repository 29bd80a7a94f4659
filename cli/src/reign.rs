//! Who has the FTM, who may have it, and how the store is that they share.

use std::time::{Duration, Instant};

use chameleon_core::message::{FtmMessage, Query, ReignRow, UserMessage};
use chameleon_core::names::Term;
use chameleon_node::home::Address;
use chameleon_node::store::health::Member;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen;
use crate::session::{PATIENCE, Session, ask};

/// Between two looks whether another has the FTM.
const LOOK: Duration = Duration::from_millis(20);

/// The store that candidates share, as a candidate sees it.
pub type Shared = (Address, Vec<Member>);

/// Asks the FTM under which term it reigns, since when, and who else may.
///
/// # Errors
/// Nobody answers as FTM.
pub fn look(session: &mut dyn Session) -> Result<ReignRow, Failure> {
    ask(session, &FtmMessage::Ask(Query::Reign), |answer| match answer {
        UserMessage::Reign(row) => Some(row),
        _ => None,
    })
}

/// Ends the reign, and waits for the next: the one that is over, and the one that began.
///
/// # Errors
/// The FTM refused, in its own words; or nobody took the next term.
pub fn step_down(session: &mut dyn Session) -> Result<(ReignRow, ReignRow), Failure> {
    let over = look(session)?;
    ask(session, &FtmMessage::StepDown { term: over.term }, |answer| match answer {
        UserMessage::SteppedDown { term } => (term == over.term).then_some(()),
        _ => None,
    })?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let next = look(session)?;
        if next.term > over.term {
            return Ok((over, next));
        }
        std::thread::sleep(LOOK);
    }
    Err(nobody_took_over(over.term))
}

fn nobody_took_over(term: Term) -> Failure {
    let waited = PATIENCE.as_secs();
    Failure::System(format!("the reign of {term} was to end, and nobody has taken the next term for {waited} s"))
}

/// `reign` is null if nobody answers as FTM, `store` if this home is no candidate's.
pub fn json_of(reign: Option<&ReignRow>, store: Option<&Shared>) -> Value {
    let candidates = |row: &ReignRow| -> Value {
        row.candidates.iter().map(|row| json!({ "host": row.host.to_string(), "reached": row.reached })).collect()
    };
    json!({
        "host": reign.map(|row| row.host.to_string()),
        "term": reign.map(|row| row.term.0),
        "since_unix_ms": reign.map(|row| row.since_unix_ms),
        "candidates": reign.map(candidates),
        "store": store.map(|(address, members)| json!({
            "address": address.to_string(),
            "members": members.iter().map(|member| json!({
                "member": member.address,
                "serves": member.trouble.is_none(),
                "why": member.trouble,
            })).collect::<Value>(),
        })),
    })
}

pub fn text_of(reign: Option<&ReignRow>, store: Option<&Shared>, zone: &TimeZone) -> String {
    let mut parts = Vec::new();
    if let Some(row) = reign {
        parts.push(format!(
            "{} has the FTM under {}, since {}",
            row.host,
            row.term,
            screen::date(row.since_unix_ms, zone)
        ));
        parts.push(text_of_candidates(row));
    }
    if let Some((_, members)) = store {
        let word = |member: &Member| {
            member.trouble.as_ref().map_or("serves".to_owned(), |why| format!("does not serve: {why}"))
        };
        parts.push(screen::table(
            ["MEMBER", "STATE"],
            members.iter().map(|member| [member.address.clone(), word(member)]),
        ));
    }
    parts.join("\n")
}

fn text_of_candidates(row: &ReignRow) -> String {
    if row.candidates.is_empty() {
        return "no other host may have it: its store is a file on that host".to_owned();
    }
    let state = |host, reached| match (host == row.host, reached) {
        (true, _) => "reigns",
        (false, true) => "reached",
        (false, false) => "not reached",
    };
    let lines = row.candidates.iter().map(|one| [one.host.to_string(), state(one.host, one.reached).to_owned()]);
    screen::table(["CANDIDATE", "STATE"], lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use chameleon_core::message::CandidateRow;
    use chameleon_core::names::{ArmorName, HostId};

    fn row(host: u32, term: u64) -> ReignRow {
        let candidate = |host, reached| CandidateRow { host: HostId(host), reached };
        let candidates = vec![candidate(1, true), candidate(2, true), candidate(3, false)];
        ReignRow { host: HostId(host), term: Term(term), since_unix_ms: 1_700_000_000_000, candidates }
    }

    #[test]
    fn stepping_down_waits_until_another_reigns() {
        let answers = vec![
            UserMessage::Reign(row(1, 4)),
            UserMessage::SteppedDown { term: Term(4) },
            UserMessage::Reign(row(1, 4)),
            UserMessage::Reign(row(2, 5)),
        ];
        let mut session = Scripted::answering(answers);
        assert_eq!(step_down(&mut session).unwrap(), (row(1, 4), row(2, 5)));
        let asked = FtmMessage::StepDown { term: Term(4) };
        assert_eq!(session.told[1], (ArmorName::Ftm, asked.into()), "of the reign that was seen, and of no later one");
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_ftm() {
        let why = "no other candidate can be reached".to_owned();
        let answers = vec![UserMessage::Reign(row(1, 4)), UserMessage::Refused { why: why.clone() }];
        assert_eq!(step_down(&mut Scripted::answering(answers)).unwrap_err().to_string(), why);
    }

    #[test]
    fn candidates_and_members_are_listed_with_what_they_lack() {
        let member = |address: &str, trouble: Option<&str>| Member {
            address: address.to_owned(),
            trouble: trouble.map(str::to_owned),
        };
        let members =
            vec![member("10.0.0.1:2379", None), member("10.0.0.2:2379", Some("no answer: nothing within 1s"))];
        let store = ("etcd://127.0.0.1:1/x".parse().unwrap(), members);
        insta::assert_snapshot!(text_of(Some(&row(2, 5)), Some(&store), &TimeZone::UTC), @r"
        h2 has the FTM under term 5, since 2023-11-14 22:13:20
        CANDIDATE  STATE
        h1         reached
        h2         reigns
        h3         not reached
        MEMBER         STATE
        10.0.0.1:2379  serves
        10.0.0.2:2379  does not serve: no answer: nothing within 1s
        ");
        let alone = ReignRow { candidates: Vec::new(), ..row(1, 1) };
        assert!(text_of(Some(&alone), None, &TimeZone::UTC).ends_with("its store is a file on that host"));
    }
}
