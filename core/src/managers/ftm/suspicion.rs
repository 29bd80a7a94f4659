//! What the silence of a host means: decided from how the others hear it.
//!
//! | observers | the FTM itself | its machine | finding |
//! |---|---|---|---|
//! | all hear it again | – | – | it was slow |
//! | one hears it, another does not | – | – | the link between the two is cut |
//! | none hears it | hears its daemon | – | no loss: its Heartbeat is replaced by its daemon |
//! | none hears it | does not | nobody lives there | dead |
//! | none hears it | does not | opens | frozen |
//! | none hears it | does not | nothing | dead or cut off |
//!
//! One observer's word is acted on at once only if there is no other, or if the machine itself bears it
//! out: the observer could be the one that is cut off. Otherwise it is acted on after [`ALONE`].

use std::collections::BTreeMap;

use crate::message::{Hearing, HostFault};
use crate::names::{HostId, Millis};
use crate::world::Knock;

/// How long the others are given to say how they hear a suspect.
pub const JUDGED_AFTER: Millis = Millis(150);
/// How long they are given if the suspect itself lives, so that nothing presses.
pub const ASKED_FOR: Millis = Millis(450);
/// How long one observer that nobody bears out must stand by its word.
pub const ALONE: Millis = Millis(5_000);

/// A host that at least one observer does not hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    since: Millis,
    /// How the observers hear it.
    words: BTreeMap<HostId, Hearing>,
    /// Whether it says that it hears them.
    answers: BTreeMap<HostId, bool>,
    /// Its daemon or Heartbeat said something since.
    heard: bool,
}

/// What is known by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// More is to be heard.
    Open,
    /// It is heard again by whoever did not hear it.
    Slow {
        observer: HostId,
        hearing: Hearing,
    },
    /// It lives, and its Heartbeat does not: that is its daemon's to mend.
    Mute,
    /// It is heard by one and not by the other.
    LinkCut {
        to: HostId,
        hearing: Hearing,
        heard_by: HostId,
        one_way: Option<bool>,
    },
    Lost(HostFault),
}

impl Suspicion {
    #[must_use]
    pub fn new(now: Millis) -> Self {
        Suspicion { since: now, words: BTreeMap::new(), answers: BTreeMap::new(), heard: false }
    }

    /// An observer says how it hears the suspect.
    pub fn said(&mut self, observer: HostId, hearing: Hearing) {
        self.words.insert(observer, hearing);
    }

    /// The suspect says whether it hears an observer.
    pub fn answered(&mut self, observer: HostId, hears: bool) {
        self.answers.insert(observer, hears);
    }

    /// The suspect itself was heard by the FTM.
    pub fn heard(&mut self) {
        self.heard = true;
    }

    /// How the observers heard it, for the record.
    #[must_use]
    pub fn words(&self) -> Vec<(HostId, Hearing)> {
        self.words.iter().map(|(&observer, &hearing)| (observer, hearing)).collect()
    }

    /// What it means, these being all who observe the suspect.
    #[must_use]
    pub fn finding(&self, now: Millis, observers: &[HostId]) -> Finding {
        let waited = now.since(self.since);
        let hears = self.words.iter().find(|(_, hearing)| hearing.hears());
        let deaf = self.words.iter().find(|(_, hearing)| !hearing.hears());
        match (deaf, hears) {
            (None, Some((&observer, &hearing))) => Finding::Slow { observer, hearing },
            _ if waited < JUDGED_AFTER => Finding::Open,
            (None, None) => Finding::Open,
            (Some((&to, &hearing)), Some((&heard_by, _))) => {
                Finding::LinkCut { to, hearing, heard_by, one_way: self.answers.get(&to).copied() }
            }
            (Some(_), None) if self.heard && self.words.len() < observers.len() && waited < ASKED_FOR => Finding::Open,
            (Some(_), None) if self.heard => Finding::Mute,
            (Some(_), None) if self.is_borne_out(observers) || waited >= ALONE => Finding::Lost(self.fault()),
            (Some(_), None) => Finding::Open,
        }
    }

    /// Whether more than one word says that the suspect is silent, or there is only one to say it.
    fn is_borne_out(&self, observers: &[HostId]) -> bool {
        let by_the_machine = self.knocks().any(|knock| knock != Knock::Nothing);
        by_the_machine || self.words.len() > 1 || observers.len() <= 1
    }

    fn knocks(&self) -> impl Iterator<Item = Knock> + '_ {
        self.words.values().filter_map(|hearing| hearing.knock)
    }

    fn fault(&self) -> HostFault {
        match self.knocks().min() {
            Some(Knock::Opens) => HostFault::Frozen,
            Some(Knock::Nobody) => HostFault::Dead,
            Some(Knock::Nothing) | None => HostFault::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Millis = Millis(400);

    fn word(silent: u64, knock: Option<Knock>) -> Hearing {
        Hearing { silent: Millis(silent), bound: BOUND, late: Millis(0), loss_per_mille: 0, knock }
    }

    fn found(words: &[(u32, Hearing)], heard: bool, waited: u64) -> Finding {
        let mut suspicion = Suspicion::new(Millis(1_000));
        words.iter().for_each(|&(observer, hearing)| suspicion.said(HostId(observer), hearing));
        suspicion.answered(HostId(1), true);
        if heard {
            suspicion.heard();
        }
        suspicion.finding(Millis(1_000 + waited), &[HostId(1), HostId(3)])
    }

    #[test]
    fn silence_is_told_apart_by_how_the_others_hear() {
        let (deaf, hears) = (word(700, Some(Knock::Nothing)), word(50, None));
        let (nobody, opens) = (word(700, Some(Knock::Nobody)), word(700, Some(Knock::Opens)));
        let lost = Finding::Lost;
        let cut = Finding::LinkCut { to: HostId(1), hearing: deaf, heard_by: HostId(3), one_way: Some(true) };
        let table = [
            ("nobody was given time", vec![(1, deaf), (3, deaf)], false, 100, Finding::Open),
            ("all are deaf", vec![(1, deaf), (3, deaf)], false, 200, lost(HostFault::Unreachable)),
            ("its processes are gone", vec![(1, nobody), (3, deaf)], false, 200, lost(HostFault::Dead)),
            ("its machine lives", vec![(1, opens), (3, deaf)], false, 200, lost(HostFault::Frozen)),
            ("one is deaf, the other silent", vec![(1, deaf)], false, 200, Finding::Open),
            ("and stays alone with that", vec![(1, deaf)], false, 5_000, lost(HostFault::Unreachable)),
            ("one is deaf, the machine says so too", vec![(1, nobody)], false, 200, lost(HostFault::Dead)),
            ("one hears it", vec![(1, deaf), (3, hears)], false, 200, cut),
            ("its daemon answers", vec![(1, deaf), (3, deaf)], true, 200, Finding::Mute),
            ("its daemon answers before the others", vec![(1, deaf)], true, 200, Finding::Open),
            ("and they do not", vec![(1, deaf)], true, 500, Finding::Mute),
            ("heard again", vec![(3, hears)], false, 10, Finding::Slow { observer: HostId(3), hearing: hears }),
        ];
        for (what, words, heard, waited, expected) in table {
            assert_eq!(found(&words, heard, waited), expected, "{what}");
        }
    }

    #[test]
    fn the_only_observer_is_believed() {
        let mut suspicion = Suspicion::new(Millis(0));
        suspicion.said(HostId(1), word(700, Some(Knock::Nothing)));
        assert_eq!(suspicion.finding(Millis(200), &[HostId(1)]), Finding::Lost(HostFault::Unreachable));
    }
}
