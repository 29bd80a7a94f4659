//! What an ARMOR with a Mirror says was saved on two hosts (DESIGN D8: an SM's successor on another host can read what it
//! saved): effects are released by a save that both have completed, and by nothing else.
//!
//! What is said to the Mirror itself waits for nothing, nor does the answer to a pulse, or a word to the FTM that the copy is
//! of no use.

use std::collections::{BTreeMap, VecDeque};

use chameleon_core::armor::Effect;
use chameleon_core::message::{CopyMessage, DaemonMessage, FtmMessage, Message, MirrorMessage};
use chameleon_core::shell::Input;

use crate::history::Fact;
use crate::invariants::Invariant;
use crate::process::Pid;

/// How the saves of one life stand.
#[derive(Default)]
struct Copied {
    /// Records that its Mirror was asked to keep, and that it said to have.
    asked: u64,
    confirmed: u64,
    /// The last save that its own host completed.
    saved: Option<u64>,
    /// Saves that were asked for: their numbers, and how many records the Mirror must have with each.
    saves: VecDeque<(u64, u64)>,
}

impl Copied {
    /// Whether the first save has completed on both hosts.
    fn is_complete(&self) -> bool {
        self.saves.front().is_some_and(|&(number, records)| records <= self.confirmed && self.saved >= Some(number))
    }
}

#[derive(Default)]
pub struct KeptTwice {
    lives: BTreeMap<Pid, Copied>,
}

/// Whether this waits for no save.
pub fn is_aside(effect: &Effect) -> bool {
    match effect {
        Effect::Send { message: Message::Mirror(_) | Message::Ftm(FtmMessage::Unmirrored { .. }), .. }
        | Effect::Send { message: Message::Daemon(DaemonMessage::Pong(_)), .. } => true,
        Effect::Locate { name, .. } => name.kind() == chameleon_core::names::Kind::Mirror,
        _ => false,
    }
}

fn asked(effects: &[Effect]) -> u64 {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Send { message: Message::Mirror(MirrorMessage::Keep { first, records, .. }), .. } => {
            Some(first + records.len() as u64)
        }
        _ => None,
    });
    asked.max().unwrap_or_default()
}

impl Invariant for KeptTwice {
    fn name(&self) -> &'static str {
        "no effect is released before what it follows from is saved on both hosts"
    }

    fn verify(&self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Stepped { who, pid, output, .. } = fact else { return Ok(()) };
        let Some(copied) = self.lives.get(pid) else { return Ok(()) };
        let early = output.effects.iter().find(|effect| !is_aside(effect));
        match early {
            Some(effect) if !copied.saves.is_empty() && !copied.is_complete() => Err(format!(
                "{} asked for {} before its Mirror had what it saved",
                who.name,
                crate::tell::effect(effect)
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn learn(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Handles { who, pid, input } if who.mirror.is_some() => {
                let copied = self.lives.entry(*pid).or_default();
                match input {
                    Input::Saved(number) => copied.saved = copied.saved.max(Some(*number)),
                    Input::Message { message: Message::Copy(message), .. } => {
                        let (life, there) = match message {
                            CopyMessage::Copy { life, count, .. } => (life, *count),
                            CopyMessage::Kept { life, next } => (life, *next),
                        };
                        if *life == who.incarnation {
                            copied.confirmed = copied.confirmed.max(there);
                        }
                    }
                    _ => {}
                }
            }
            Fact::Stepped { who, pid, output, .. } if who.mirror.is_some() => {
                let copied = self.lives.entry(*pid).or_default();
                while copied.is_complete() {
                    copied.saves.pop_front();
                }
                copied.asked = copied.asked.max(asked(&output.effects));
                if let Some(save) = &output.save {
                    copied.saves.push_back((save.number, copied.asked));
                }
            }
            Fact::Died { pid, .. } => drop(self.lives.remove(pid)),
            _ => {}
        }
    }
}
