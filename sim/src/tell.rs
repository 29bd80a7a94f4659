//! What happened, in words: for the stories, and for whoever looks for a defect.

use chameleon_core::armor::{Effect, LinkEvent};
use chameleon_core::job::OsBytes;
use chameleon_core::managers::ftm::FtmRecord;
use chameleon_core::message::{
    CopyMessage, DaemonMessage, ExecutionMessage, FanoutMessage, FtmMessage, InitMessage, Message, MirrorMessage,
    Story, SurrogateMessage, Unmirrored, UserMessage, Value, VoterMessage,
};
use chameleon_core::names::{ArmorName, Incarnation};
use chameleon_core::shell::{Input, SaveRequest};
use chameleon_core::word::Word;

use crate::world::World;

/// Longest line that whoever looks for a defect gets.
const LINE_MOST: usize = 400;

/// The kind of an input, as a number.
#[must_use]
pub fn number(input: &Input) -> u64 {
    match input {
        Input::Message { .. } => 0,
        Input::Timer(_) => 1,
        Input::Slot(_) => 2,
        Input::Process(_) => 3,
        Input::File(_) => 4,
        Input::Link(LinkEvent::Up { .. }) => 5,
        Input::Link(LinkEvent::Down { .. }) => 6,
        Input::Saved(_) => 7,
        Input::Datagram { .. } => 8,
    }
}

/// An input, in full.
#[must_use]
pub fn input(input: &Input) -> String {
    match input {
        Input::Message { from, incarnation, message } => cut(format!("{from} {incarnation}: {message:?}")),
        other => cut(format!("{other:?}")),
    }
}

/// An effect, in full.
#[must_use]
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { to, message } => cut(format!("{to}: {message:?}")),
        other => cut(format!("{other:?}")),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LINE_MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// The first word of what a message says, such as `Ballots`.
fn word(message: &Message) -> String {
    let text = match message {
        Message::Ftm(message) => format!("{message:?}"),
        Message::Daemon(message) => format!("{message:?}"),
        Message::Surrogate(message) => format!("{message:?}"),
        Message::Voter(message) => format!("{message:?}"),
        Message::Fanout(message) => format!("{message:?}"),
        Message::Execution(message) => format!("{message:?}"),
        Message::User(message) => format!("{message:?}"),
        Message::Heartbeat(message) => format!("{message:?}"),
        Message::Mirror(message) => format!("{message:?}"),
        Message::Copy(message) => format!("{message:?}"),
        Message::Pulse(_) => "Pulse".to_owned(),
        Message::Init(message) => format!("{message:?}"),
    };
    first_word(&text)
}

fn first_word(text: &str) -> String {
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// The word by which a story names an input.
#[must_use]
pub fn word_of_input(input: &Input) -> String {
    match input {
        Input::Message { message, .. } => word(message),
        Input::Slot(event) => first_word(&format!("{event:?}")),
        Input::Process(event) => first_word(&format!("{event:?}")),
        Input::File(event) => first_word(&format!("{event:?}")),
        Input::Link(event) => first_word(&format!("{event:?}")),
        Input::Timer(timer) => first_word(&format!("{timer:?}")),
        Input::Saved(_) => "Saved".to_owned(),
        Input::Datagram { datagram, .. } => first_word(&format!("{datagram:?}")),
    }
}

/// The word by which a story names an effect.
#[must_use]
pub fn word_of_effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { message, .. } => word(message),
        Effect::Slot(command) => first_word(&format!("{command:?}")),
        Effect::Process(command) => first_word(&format!("{command:?}")),
        Effect::File(command) => first_word(&format!("{command:?}")),
        Effect::SetTimer { .. } | Effect::CancelTimer { .. } => "Timer".to_owned(),
        Effect::Locate { .. } => "Locate".to_owned(),
        Effect::Forget { .. } | Effect::Renew { .. } => "Forget".to_owned(),
        Effect::Acquaint { .. } => "Acquaint".to_owned(),
        Effect::Datagram { datagram, .. } => first_word(&format!("{datagram:?}")),
    }
}

/// Writes a line of the story about a message on its way, if a story is about such things.
pub fn message(world: &mut World, from: ArmorName, to: ArmorName, message: &Message) {
    if world.trace.written()
        && !world.trace.everything()
        && let Some(text) = sentence(message)
    {
        world.tell(|| format!("{from} → {to}: {text}"));
    }
}

/// Writes a line about what the FTM itself noticed of hosts and decided about them.
pub fn noted(world: &mut World, who: ArmorName, request: &SaveRequest) {
    if who != ArmorName::Ftm || !world.trace.written() {
        return;
    }
    for record in &request.records {
        if let Ok(FtmRecord::Event(event)) = minicbor::decode(&record.bytes)
            && event.occurrence.noticed_by == ArmorName::Ftm
            && let Some(text) = story(&event.occurrence.story)
        {
            world.tell(|| format!("ftm: {text}"));
        }
    }
}

fn value(value: &Value) -> String {
    format!("exit {}, {} bytes {}", value.end.code(), value.length, value.stdout.short())
}

/// What a message says, if a story is about it.
fn sentence(message: &Message) -> Option<String> {
    match message {
        Message::Ftm(message) => to_ftm(message),
        Message::Daemon(message) => to_daemon(message),
        Message::Surrogate(message) => to_surrogate(message),
        Message::Voter(message) => to_voter(message),
        Message::Execution(message) => to_execution(message),
        Message::Fanout(FanoutMessage::Distribute(supply)) if supply.bundle.iter().any(is_built) => {
            Some(format!("{} lanes must have what is built for them", supply.elsewhere.len()))
        }
        Message::Fanout(FanoutMessage::Distribute(supply)) if !supply.inputs.is_empty() => {
            let elsewhere = match supply.elsewhere.as_slice() {
                [] => String::new(),
                some => format!(", {} of them elsewhere", some.len()),
            };
            Some(format!("{} lanes must have {} inputs alike{elsewhere}", supply.lanes.len(), supply.inputs.len()))
        }
        Message::Fanout(FanoutMessage::Commit { .. }) => Some("commit".to_owned()),
        Message::User(message) => to_user(message),
        Message::Fanout(_) | Message::Pulse(_) | Message::Heartbeat(_) => None,
        Message::Init(InitMessage::Test { number }) => Some(format!("do test task {number}")),
        Message::Init(InitMessage::Time { .. }) => None,
        Message::Mirror(message) => to_mirror(message),
        Message::Copy(message) => of_copy(message),
    }
}

/// What later lives make of the copy; that a first life has one is in every story with several hosts.
fn to_mirror(message: &MirrorMessage) -> Option<String> {
    match message {
        MirrorMessage::Open { life, have, .. } if *life > Incarnation(1) => {
            Some(format!("{life} goes on, from {have} records of its own"))
        }
        MirrorMessage::Open { .. } | MirrorMessage::Keep { .. } => None,
    }
}

fn of_copy(message: &CopyMessage) -> Option<String> {
    match message {
        CopyMessage::Copy { life, count, records, .. } if *life > Incarnation(1) => {
            Some(format!("{count} records are here, of which {life} lacks {}", records.len()))
        }
        CopyMessage::Copy { .. } | CopyMessage::Kept { .. } => None,
    }
}

fn to_user(message: &UserMessage) -> Option<String> {
    match message {
        UserMessage::Refused { why } => Some(format!("refused: {why}")),
        UserMessage::TokenKept { .. } => Some("the token is kept".to_owned()),
        UserMessage::Admitted(admission) => Some(format!("you are {}", admission.member)),
        UserMessage::Revoked { member } => Some(format!("{member} is let in no more")),
        UserMessage::Drained { host, drained: true, moved, stays } => {
            let moved = moved.iter().map(|(name, to)| format!(", {name} goes to {to}"));
            let stays = stays.iter().map(|(name, why)| format!(", {name} stays: {why}"));
            Some(format!("{host} is drained{}", moved.chain(stays).collect::<String>()))
        }
        UserMessage::Drained { host, drained: false, .. } => Some(format!("{host} is used again")),
        UserMessage::SteppedDown { term } => Some(format!("the reign of {term} is over")),
        UserMessage::BackedUp { number } => Some(format!("the backup {number} is on disk")),
        UserMessage::Resolved { job, .. } => Some(format!("that is on record of {job}")),
        UserMessage::RevivedBy { host, command } => Some(format!("{host} will be started by {}", words(command))),
        UserMessage::Pardoned { host, was_quarantined: true } => Some(format!("{host} is pardoned")),
        UserMessage::Pardoned { host, was_quarantined: false } => Some(format!("{host} was trusted before")),
        UserMessage::Moving { name, from, to } => Some(format!("{name} goes on on {to} instead of {from}")),
        _ => None,
    }
}

fn is_built(input: &chameleon_core::world::Input) -> bool {
    matches!(input, chameleon_core::world::Input::Build(_))
}

fn to_ftm(message: &FtmMessage) -> Option<String> {
    match message {
        FtmMessage::WantPlaces { names, .. } => Some(format!("places for {}", list(names))),
        FtmMessage::Happened { occurrences, .. } => {
            let told: Vec<String> = occurrences.iter().filter_map(|occurrence| story(&occurrence.story)).collect();
            (!told.is_empty()).then(|| told.join("; "))
        }
        FtmMessage::Observed { occurrence, .. } => story(&occurrence.story),
        FtmMessage::Ended { job, outcome, .. } => Some(format!("{job} has ended: {}", outcome.word())),
        FtmMessage::Profiled { host, profile } => {
            Some(format!("{host} is {} of numeric class {}", profile.platform(), profile.numeric.class))
        }
        FtmMessage::MakeToken { role, good_for, .. } => {
            Some(format!("a token for one {}, good for {good_for}", role.word()))
        }
        FtmMessage::Enrol(application) => Some(format!("let me in as {:?}", application.name)),
        FtmMessage::Revoke { name } => Some(format!("let {name} in no more")),
        FtmMessage::Unmirrored { name, why, .. } => Some(match why {
            Unmirrored::Forgotten => format!("nobody knows any more what {name} saved"),
            Unmirrored::Behind => format!("the copy of what {name} saved is behind"),
        }),
        FtmMessage::Drain { host, drained: true } => Some(format!("place nothing more on {host}")),
        FtmMessage::Drain { host, drained: false } => Some(format!("use {host} again")),
        FtmMessage::Resolve { job, .. } => Some(format!("{job} did not happen")),
        FtmMessage::ReviveBy { host, command } => Some(format!("start {host} by {}", words(command))),
        FtmMessage::Pardon { host } => Some(format!("trust {host} again")),
        FtmMessage::Tested { number, answer, .. } => Some(format!("test task {number} results in {}", answer.short())),
        FtmMessage::StepDown { term } => Some(format!("end the reign of {term}")),
        FtmMessage::Move { name, to } => Some(format!("let {name} go on on {to}")),
        FtmMessage::Gone { name } => Some(format!("{name} is gone")),
        FtmMessage::Lost { name, why, .. } => Some(format!("{name} is lost: {why}")),
        FtmMessage::Hears { host, hearing } if hearing.hears() => Some(format!("{host} is heard")),
        FtmMessage::Hears { host, hearing } => Some(format!("of {host}, {hearing}")),
        _ => None,
    }
}

/// What happened, as people are told it; what is in every story is in none.
fn story(story: &Story) -> Option<String> {
    match story {
        Story::Accepted | Story::StageBegan { .. } | Story::Cost { .. } => None,
        other => Some(other.to_string()),
    }
}

fn to_daemon(message: &DaemonMessage) -> Option<String> {
    match message {
        DaemonMessage::Install { name, incarnation, .. } => Some(format!("install {name} {incarnation}")),
        DaemonMessage::StepsDown { term } => Some(format!("the reign of {term} ends")),
        DaemonMessage::Retire { name, .. } => Some(format!("retire {name}")),
        _ => None,
    }
}

fn to_surrogate(message: &SurrogateMessage) -> Option<String> {
    match message {
        SurrogateMessage::Verdicts { verdicts, .. } => {
            let told = verdicts.iter().map(|verdict| {
                format!("verdict on {}: {}, by {}", verdict.task, value(&verdict.value), list(&verdict.winners))
            });
            Some(told.collect::<Vec<_>>().join("; "))
        }
        SurrogateMessage::Disputes(disputes) => {
            let told = disputes.iter().map(|dispute| format!("dispute about {}", dispute.task));
            Some(told.collect::<Vec<_>>().join("; "))
        }
        SurrogateMessage::Prefix { task, holders, .. } => {
            let length = holders.first().map_or(0, |(_, region)| region.length);
            Some(format!("{} lanes agree on the first {length} bytes of {task}", holders.len()))
        }
        SurrogateMessage::Repeated { task, value: again, .. } => Some(match again {
            Some(again) => format!("{task} once more: {}", value(again)),
            None => format!("{task} could not be repeated"),
        }),
        SurrogateMessage::InputsReady { .. } => Some("all lanes have the input alike".to_owned()),
        SurrogateMessage::InputsRefused { why, .. } => Some(format!("input refused: {why}")),
        SurrogateMessage::CannotRun { why, .. } => Some(format!("cannot run: {why}")),
        SurrogateMessage::Prepared { ranges, .. } => Some(format!("{ranges:?} is prepared, on disk")),
        SurrogateMessage::Unclear { task, why, .. } => Some(format!("{task} may have run: {why}")),
        SurrogateMessage::EndKept => Some("the end is kept".to_owned()),
        SurrogateMessage::Cancel { .. } => Some("cancel".to_owned()),
        _ => None,
    }
}

fn to_voter(message: &VoterMessage) -> Option<String> {
    match message {
        VoterMessage::Ballots { ballots, .. } => {
            let told = ballots.iter().map(|ballot| format!("ballot on {}: {}", ballot.task, value(&ballot.value())));
            Some(told.collect::<Vec<_>>().join("; "))
        }
        VoterMessage::Extend { tasks, rule, .. } => {
            Some(format!("{} of {} lanes decide {}", rule.quorum, rule.lanes, list(tasks)))
        }
        VoterMessage::Absent { lane, .. } => Some(format!("lane {lane} will not vote")),
        _ => None,
    }
}

fn to_execution(message: &ExecutionMessage) -> Option<String> {
    match message {
        ExecutionMessage::Run { ranges, purpose, .. } => Some(format!("run {ranges:?}, {purpose:?}")),
        ExecutionMessage::Prepare { ranges, .. } => Some(format!("prepare {ranges:?}, to be started at most once")),
        ExecutionMessage::StartOnce { ranges, .. } => Some(format!("the one start of {ranges:?} is granted")),
        ExecutionMessage::LeaseEnded => Some("the lease of the host has ended".to_owned()),
        ExecutionMessage::Stop { .. } => Some("stop".to_owned()),
        ExecutionMessage::Commit { .. } => Some("commit".to_owned()),
        _ => None,
    }
}

fn words(command: &[OsBytes]) -> String {
    command.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
}

fn list(items: &[impl std::fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
