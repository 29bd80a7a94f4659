//! Candidacy: each of several equal hosts would take the reign, and asks the store for it when there is evidence that the
//! one who has it does not reign.
//!
//! The store keeps one reign: a term, who has it, and by which request. A candidate asks for the next term, and expects
//! the term that it accuses: of any number who ask, one gets it, and one who was wrong about a reign that another has
//! replaced meanwhile gets nothing. Asking cannot harm a healthy reign, because a candidate asks only if all this is so:
//!
//! 1. it has heard nothing of this term for [`SILENCE`], counted from when it first knew of the term, and was not itself
//!    held up meanwhile. What a reign says of itself it says after its store has it ([`FTM_BEAT`]);
//! 2. the store, looked at twice at least [`STILL`] apart, shows that the reign changed nothing there in between. How long
//!    it waits beyond that is drawn anew for every doubt, so that candidates seldom ask at once. The store grants what is
//!    asked for only if that is still so;
//! 3. no other daemon that can be reached says that it hears this term.
//!
//! Where the reign was this host's own there is less to find out: if the FTM of that term has ended here, or was never
//! raised because the daemon that asked for it died, nobody else can be it, and the next term is asked for at once.
//!
//! A reign that ends by its own will says so, and everybody else asks at once; its own host does only if nobody else got
//! the next term within [`COURTESY`].
//!
//! An answer that never comes may still have been done: the store is looked at again, and shows by the request whether
//! the reign is ours. Nobody votes here, the store does; the alternative, consensus among daemons, would be that store
//! once more (`docs/decisions/0029-a-reign-over-a-store.md`).

use std::collections::BTreeSet;

use crate::names::{HostId, Millis, Term};
use crate::world::{Reign, ReignSight};

/// How often a reign changes something in its store and then says that it lives.
pub const FTM_BEAT: Millis = Millis(150);
/// How long a candidate hears nothing of a reign before it doubts it.
pub const SILENCE: Millis = Millis(600);
/// How long a reign that is doubted must have changed nothing.
pub const STILL: Millis = Millis(450);
/// Up to so much longer, drawn by lot.
const LOT: u64 = 300;
/// A question that the store does not answer within this long is asked again.
const ANSWERED_WITHIN: Millis = Millis(5_000);
/// After reigns of this host that ended at once, the next is asked for after this long, doubled each time.
const REST: Millis = Millis(20);
const LONGEST_REST: Millis = Millis(2_000);
/// A reign that lasted this long did not end at once.
const STEADY: Millis = Millis(1_000);

/// So long a host leaves the next term to others when its own reign ended by its own will.
const COURTESY: Millis = Millis(1_500);

/// What a candidate wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Look up in the store who reigns.
    Look,
    /// Ask the store for the term behind this one; if so much is given, unless it has changed more by then.
    Ask { accused: Term, request: u64, changes: Option<u64> },
    /// Ask this host's daemon whether it hears the FTM of this term.
    Inquire { host: HostId, term: Term },
    /// The reign is ours: raise the FTM of this term; why the last one was deposed.
    Raise { term: Term, why: String },
}

/// What a candidate knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidacy {
    host: HostId,
    /// The upper half of the numbers of its requests; another one in each life.
    life: u64,
    requests: u32,
    /// The highest term that it knows of, who has it by which request, and since when it has been silent.
    term: Term,
    holder: Option<(HostId, u64)>,
    silent_since: Millis,
    /// Whose daemons may hear the reign.
    fellows: BTreeSet<HostId>,
    doubt: Option<Doubt>,
    /// The last reign that said that it ends.
    vacated: Option<Term>,
    /// When the store was asked what it has not answered yet.
    asked: Option<Millis>,
    /// The last term for which the FTM was raised here, and when.
    raised: (Term, Millis),
    /// Reigns of this host that ended at once, in a row, and until when it rests for that.
    short: u32,
    rests_until: Millis,
    /// Why it asked last.
    evidence: String,
}

/// A reign is doubted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Doubt {
    /// When the store was seen first in this doubt, and how often the reign had changed something by then.
    seen: Option<(Millis, u64)>,
    /// How long it must have changed nothing.
    still: Millis,
}

impl Candidacy {
    /// One that knows of no reign; `seed` is drawn for this life.
    #[must_use]
    pub fn new(host: HostId, seed: &[u8; 32]) -> Self {
        let life = u64::from_le_bytes(seed[..8].try_into().expect("eight bytes of a longer array")) << 32;
        Candidacy {
            host,
            life: life.max(1 << 32),
            requests: 0,
            term: Term::default(),
            holder: None,
            silent_since: Millis::default(),
            fellows: BTreeSet::new(),
            doubt: None,
            vacated: None,
            asked: None,
            raised: (Term::default(), Millis::default()),
            short: 0,
            rests_until: Millis::default(),
            evidence: String::new(),
        }
    }

    /// The highest term that it knows of.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// It begins, or was held up itself: what it missed is nobody's fault.
    pub fn excuse(&mut self, now: Millis) {
        self.silent_since = now;
        self.doubt = None;
    }

    /// The FTM of this term says that it reigns, and who else may hear it.
    pub fn heard(&mut self, now: Millis, term: Term, fellows: impl IntoIterator<Item = HostId>) {
        if self.knows(now, term) {
            self.excuse(now);
            self.fellows = fellows.into_iter().filter(|host| *host != self.host).collect();
        }
    }

    /// Another daemon heard the FTM of this term so long ago.
    pub fn told(&mut self, now: Millis, term: Term, ago: Millis) {
        if self.knows(now, term) && ago < SILENCE && self.doubt.is_some() {
            self.excuse(Millis(now.0.saturating_sub(ago.0)));
        }
    }

    /// The FTM of this term says that its reign ends by its own will.
    pub fn vacated(&mut self, now: Millis, term: Term) {
        if self.knows(now, term) {
            self.vacated = Some(term);
            if self.raised.0 == term {
                self.rests_until = self.rests_until.max(now + COURTESY);
            }
        }
    }

    /// Takes note of a term; false if it is over.
    fn knows(&mut self, now: Millis, term: Term) -> bool {
        if term > self.term {
            self.term = term;
            self.holder = None;
            self.excuse(now);
        }
        term == self.term
    }

    /// The FTM of this term, which was raised here, has ended.
    pub fn ended(&mut self, now: Millis, term: Term) {
        if self.raised.0 != term {
            return;
        }
        self.short = if now.since(self.raised.1) < STEADY { self.short.saturating_add(1) } else { 0 };
        if self.short > 0 {
            let rest = REST.0.saturating_mul(1 << (self.short - 1).min(10));
            self.rests_until = self.rests_until.max(now + Millis(rest).min(LONGEST_REST));
        }
    }

    /// Looks after the reign, from time to time and whenever the FTM of this host has ended. `runs`: the term of the FTM
    /// that is raised here now.
    pub fn look_after(&mut self, now: Millis, runs: Option<Term>) -> Vec<Act> {
        if self.asked.is_some_and(|asked| now.since(asked) < ANSWERED_WITHIN) {
            return Vec::new();
        }
        let Some(holder) = self.holder else { return self.look(now) };
        if let Some(why) = self.is_vacant(holder, runs) {
            return if now < self.rests_until { Vec::new() } else { self.ask(now, why, None) };
        }
        if now.since(self.silent_since) < SILENCE || runs == Some(self.term) {
            self.doubt = None;
            return Vec::new();
        }
        let Some(doubt) = &self.doubt else { return self.begin_to_doubt(now) };
        match doubt.seen {
            Some((seen, _)) if now.since(seen) < doubt.still => Vec::new(),
            Some(_) | None => self.look(now),
        }
    }

    /// Why nobody can have the reign any more, if that is so.
    fn is_vacant(&self, (host, request): (HostId, u64), runs: Option<Term>) -> Option<String> {
        if self.term == Term::default() {
            return Some("nobody had reigned yet".to_owned());
        }
        if self.vacated == Some(self.term) && runs != Some(self.term) {
            return Some(format!("the FTM of {} stepped down, as a person wanted", self.term));
        }
        let was_raised = self.raised.0 >= self.term;
        if host != self.host || runs == Some(self.term) || (self.is_own(request) && !was_raised) {
            return None;
        }
        Some(match was_raised {
            true => format!("the FTM of {} ended on {}", self.term, self.host),
            false => format!("nobody raised the FTM of {} on {}", self.term, self.host),
        })
    }

    fn begin_to_doubt(&mut self, now: Millis) -> Vec<Act> {
        let lot = blake3::keyed_hash(&[7; 32], &(self.life ^ self.term.0 ^ now.0).to_le_bytes());
        let lot = u64::from_le_bytes(lot.as_bytes()[..8].try_into().expect("eight bytes of a longer array")) % LOT;
        self.doubt = Some(Doubt { seen: None, still: STILL + Millis(lot) });
        let term = self.term;
        let inquiries = self.fellows.iter().map(|&host| Act::Inquire { host, term });
        let mut acts: Vec<Act> = inquiries.collect();
        acts.extend(self.look(now));
        acts
    }

    fn look(&mut self, now: Millis) -> Vec<Act> {
        self.asked = Some(now);
        vec![Act::Look]
    }

    fn ask(&mut self, now: Millis, why: String, changes: Option<u64>) -> Vec<Act> {
        self.asked = Some(now);
        self.requests += 1;
        self.evidence = why;
        vec![Act::Ask { accused: self.term, request: self.life | u64::from(self.requests), changes }]
    }

    fn is_own(&self, request: u64) -> bool {
        request >> 32 << 32 == self.life
    }

    /// The store has answered, to a look or to a request.
    pub fn saw(&mut self, now: Millis, sight: &ReignSight, runs: Option<Term>) -> Vec<Act> {
        self.asked = None;
        let ReignSight::Seen { reign: Reign { term, host, request }, changes } = sight else { return Vec::new() };
        if !self.knows(now, *term) {
            return Vec::new();
        }
        self.holder = Some((*host, *request));
        if *host == self.host && self.is_own(*request) && self.raised.0 < *term {
            self.raised = (*term, now);
            self.excuse(now);
            return vec![Act::Raise { term: *term, why: std::mem::take(&mut self.evidence) }];
        }
        if self.is_vacant((*host, *request), runs).is_some() {
            return self.look_after(now, runs);
        }
        self.weigh(now, *changes)
    }

    /// A reign that is doubted has changed so much by now.
    fn weigh(&mut self, now: Millis, changes: u64) -> Vec<Act> {
        let silent = now.since(self.silent_since);
        let Some(doubt) = &mut self.doubt else { return Vec::new() };
        match doubt.seen {
            None => doubt.seen = Some((now, changes)),
            // It lives, and works, however little is heard of it here.
            Some((_, before)) if before != changes => self.excuse(now),
            Some((seen, _)) if now.since(seen) >= doubt.still => {
                let (term, still) = (self.term, now.since(seen));
                self.doubt = None;
                let why = format!(
                    "nobody heard the FTM of {term} for {silent}, and it changed nothing in its store for {still}"
                );
                return self.ask(now, why, Some(changes));
            }
            Some(_) => {}
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: HostId = HostId(1);
    const THEM: HostId = HostId(2);
    const T1: Term = Term(1);

    fn seen(term: u64, host: HostId, request: u64, changes: u64) -> ReignSight {
        ReignSight::Seen { reign: Reign { term: Term(term), host, request }, changes }
    }

    /// A candidate that heard the FTM of the first term, which another host has, at 1,000 ms.
    fn listener() -> Candidacy {
        let mut candidate = Candidacy::new(US, &[3; 32]);
        candidate.excuse(Millis(900));
        assert_eq!(candidate.look_after(Millis(900), None), [Act::Look]);
        assert!(candidate.saw(Millis(901), &seen(1, THEM, 5, 10), None).is_empty());
        candidate.heard(Millis(1_000), T1, [US, HostId(3)]);
        candidate
    }

    /// One that doubts since 1,600 ms, and has seen so many changes at 1,601 ms.
    fn doubter(changes: u64) -> Candidacy {
        let mut candidate = listener();
        assert!(candidate.look_after(Millis(1_599), None).is_empty(), "not yet silent for long");
        let inquiry = Act::Inquire { host: HostId(3), term: T1 };
        assert_eq!(candidate.look_after(Millis(1_600), None), [inquiry, Act::Look]);
        assert!(candidate.saw(Millis(1_601), &seen(1, THEM, 5, changes), None).is_empty());
        assert!(candidate.look_after(Millis(1_601 + 449), None).is_empty(), "not yet still for long");
        candidate
    }

    #[test]
    fn whoever_hears_that_a_reign_ends_asks_at_once() {
        let mut candidate = listener();
        candidate.vacated(Millis(1_100), T1);
        let acts = candidate.look_after(Millis(1_100), None);
        let [Act::Ask { accused: T1, request, changes: None }] = acts[..] else { panic!("{acts:?}") };
        let acts = candidate.saw(Millis(1_101), &seen(2, US, request, 10), None);
        let [Act::Raise { term: Term(2), why }] = &acts[..] else { panic!("{acts:?}") };
        assert_eq!(why, "the FTM of term 1 stepped down, as a person wanted");
        let mut later = listener();
        later.heard(Millis(1_050), Term(2), []);
        later.vacated(Millis(1_100), T1);
        assert_eq!(later.look_after(Millis(1_100), None), [Act::Look], "another reigns already");
    }

    #[test]
    fn a_host_whose_own_reign_ended_by_its_own_will_leaves_the_next_to_others_for_a_while() {
        let mut candidate = Candidacy::new(US, &[3; 32]);
        candidate.look_after(Millis(0), None);
        let acts = candidate.saw(Millis(1), &seen(0, HostId(0), 0, 0), None);
        let [Act::Ask { request, .. }] = acts[..] else { panic!("{acts:?}") };
        candidate.saw(Millis(2), &seen(1, US, request, 0), None);
        candidate.vacated(Millis(5_000), T1);
        candidate.ended(Millis(5_010), T1);
        assert!(candidate.look_after(Millis(5_010), None).is_empty());
        assert!(candidate.look_after(Millis(6_499), None).is_empty());
        let acts = candidate.look_after(Millis(6_500), None);
        assert!(matches!(acts[..], [Act::Ask { accused: T1, .. }]), "nobody else did: {acts:?}");
    }

    const LONG_AFTER: Millis = Millis(2_600);

    #[test]
    fn silence_and_a_store_in_which_nothing_changes_are_evidence() {
        let mut candidate = doubter(10);
        assert_eq!(candidate.look_after(LONG_AFTER, None), [Act::Look]);
        let acts = candidate.saw(LONG_AFTER, &seen(1, THEM, 5, 10), None);
        let [Act::Ask { accused: T1, request, changes: Some(10) }] = acts[..] else { panic!("{acts:?}") };
        let acts = candidate.saw(LONG_AFTER, &seen(2, US, request, 10), None);
        let [Act::Raise { term: Term(2), why }] = &acts[..] else { panic!("{acts:?}") };
        assert!(why.contains("nobody heard the FTM of term 1 for 1.6 s"), "{why}");
        assert!(candidate.look_after(LONG_AFTER, Some(Term(2))).is_empty());
    }

    #[test]
    fn a_reign_that_shows_any_sign_of_life_is_let_be() {
        type Sign = fn(&mut Candidacy);
        let signs: [(&str, Sign, bool); 5] = [
            ("it is heard", |candidate| candidate.heard(LONG_AFTER, T1, []), true),
            ("another hears it", |candidate| candidate.told(LONG_AFTER, T1, Millis(100)), true),
            ("another heard it long ago", |candidate| candidate.told(LONG_AFTER, T1, SILENCE), false),
            ("it was held up itself", |candidate| candidate.excuse(LONG_AFTER), true),
            ("there is a later one", |candidate| candidate.heard(LONG_AFTER, Term(2), []), true),
        ];
        for (what, sign, lets_be) in signs {
            let mut candidate = doubter(10);
            sign(&mut candidate);
            candidate.look_after(LONG_AFTER, None);
            let acts = candidate.saw(LONG_AFTER, &seen(candidate.term.0, THEM, 5, 10), None);
            assert_eq!(acts.is_empty(), lets_be, "{what}: {acts:?}");
        }
        let mut candidate = doubter(10);
        candidate.look_after(LONG_AFTER, None);
        assert!(candidate.saw(LONG_AFTER, &seen(1, THEM, 5, 11), None).is_empty(), "it changed something");
        assert!(candidate.look_after(LONG_AFTER, None).is_empty());
        let mut candidate = listener();
        candidate.told(Millis(1_500), T1, Millis(0));
        assert_eq!(candidate.look_after(Millis(1_600), None).len(), 2, "a word counts where there is doubt");
    }

    #[test]
    fn the_host_whose_own_ftm_ended_asks_at_once_and_rests_if_that_happens_again() {
        let mut candidate = Candidacy::new(US, &[3; 32]);
        candidate.look_after(Millis(0), None);
        let acts = candidate.saw(Millis(1), &seen(0, HostId(0), 0, 0), None);
        let [Act::Ask { accused: Term(0), request, changes: None }] = acts[..] else { panic!("{acts:?}") };
        let acts = candidate.saw(Millis(2), &seen(1, US, request, 0), None);
        assert!(matches!(acts[..], [Act::Raise { term: T1, .. }]), "{acts:?}");
        candidate.ended(Millis(5_000), T1);
        let acts = candidate.look_after(Millis(5_000), None);
        let [Act::Ask { accused: T1, request, changes: None }] = acts[..] else { panic!("{acts:?}") };
        candidate.saw(Millis(5_001), &seen(2, US, request, 9), None);
        candidate.ended(Millis(5_010), Term(2));
        assert!(candidate.look_after(Millis(5_010), None).is_empty(), "it ended at once");
        assert!(matches!(candidate.look_after(Millis(5_030), None)[..], [Act::Ask { accused: Term(2), .. }]));
    }

    #[test]
    fn an_answer_that_never_came_may_have_been_yes() {
        let mut candidate = doubter(10);
        candidate.look_after(LONG_AFTER, None);
        let acts = candidate.saw(LONG_AFTER, &seen(1, THEM, 5, 10), None);
        let [Act::Ask { request, .. }] = acts[..] else { panic!("{acts:?}") };
        assert!(candidate.saw(LONG_AFTER, &ReignSight::Nothing, None).is_empty());
        candidate.look_after(LONG_AFTER + SILENCE, None);
        let acts = candidate.saw(LONG_AFTER + SILENCE, &seen(2, US, request, 10), None);
        assert!(matches!(acts[..], [Act::Raise { term: Term(2), .. }]), "{acts:?}");
    }

    #[test]
    fn what_a_dead_daemon_asked_for_and_did_not_raise_is_asked_for_again() {
        let mut candidate = Candidacy::new(US, &[4; 32]);
        candidate.look_after(Millis(0), None);
        let of_earlier_life = 77 << 32 | 1;
        let acts = candidate.saw(Millis(1), &seen(3, US, of_earlier_life, 8), None);
        assert!(matches!(acts[..], [Act::Ask { accused: Term(3), changes: None, .. }]), "{acts:?}");
        let mut candidate = Candidacy::new(US, &[4; 32]);
        candidate.look_after(Millis(0), None);
        let acts = candidate.saw(Millis(1), &seen(3, US, of_earlier_life, 8), Some(Term(3)));
        assert!(acts.is_empty(), "its FTM lives: {acts:?}");
    }
}
