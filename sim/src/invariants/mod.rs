//! What holds, always: one property a file, each opening with where it comes from.
//!
//! An invariant is shown every fact, first to `verify`, which changes nothing, then to `learn`, where
//! it remembers what it needs. It looks at what ARMORs do and say, never inside them.

mod accepted_is_kept;
mod at_most_once;
mod certified_never_changes;
mod company;
mod drained;
mod fetched_before_start;
mod granted_lives;
mod hospitality;
mod identical_input;
mod kept_twice;
mod let_in_once;
mod lower_term;
mod no_false_alarm;
mod no_false_loss;
mod no_repetition;
mod no_wrong_result;
mod not_happened_is_over;
mod nothing_left;
mod one_ftm_a_term;
mod one_holder;
mod one_life_at_a_time;
mod one_reign_a_term;
mod one_vote_a_lane;
mod only_ftm_retires;
mod only_the_lost_are_started;
mod output_is_kept;
mod quarantined;
mod quorum;
mod recoveries;
mod released_prefix;
mod reported_is_durable;
mod residents;
mod save_before_speaking;

use crate::history::Fact;

pub use nothing_left::nothing_is_left;

/// A property of the whole system.
pub trait Invariant {
    /// The sentence that holds.
    fn name(&self) -> &'static str;
    /// Whether it still holds, this being the case; the sentence says why not. Changes nothing.
    ///
    /// # Errors
    /// What breaks it.
    fn verify(&self, fact: &Fact<'_>) -> Result<(), String>;
    /// Remembers what later facts are to be compared with.
    fn learn(&mut self, fact: &Fact<'_>);
}

/// Something that should have held and did not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("broken at {at_us} µs: {invariant}: {text}")]
pub struct Violation {
    pub invariant: &'static str,
    pub at_us: u64,
    pub text: String,
}

/// All of them, knowing nothing yet.
#[must_use]
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::<accepted_is_kept::AcceptedIsKept>::default(),
        Box::<at_most_once::AtMostOnce>::default(),
        Box::<certified_never_changes::CertifiedNeverChanges>::default(),
        Box::<company::Company>::default(),
        Box::<drained::Drained>::default(),
        Box::<fetched_before_start::FetchedBeforeStart>::default(),
        Box::<granted_lives::GrantedLives>::default(),
        Box::<hospitality::Hospitality>::default(),
        Box::<identical_input::IdenticalInput>::default(),
        Box::<kept_twice::KeptTwice>::default(),
        Box::<let_in_once::LetInOnce>::default(),
        Box::<lower_term::LowerTerm>::default(),
        Box::<no_false_alarm::NoFalseAlarm>::default(),
        Box::<no_false_loss::NoFalseLoss>::default(),
        Box::<no_repetition::NoRepetition>::default(),
        Box::<no_wrong_result::NoWrongResult>::default(),
        Box::<not_happened_is_over::NotHappenedIsOver>::default(),
        Box::<one_ftm_a_term::OneFtmATerm>::default(),
        Box::<one_holder::OneHolder>::default(),
        Box::<one_life_at_a_time::OneLifeAtATime>::default(),
        Box::<one_reign_a_term::OneReignATerm>::default(),
        Box::<one_vote_a_lane::OneVoteALane>::default(),
        Box::<only_ftm_retires::OnlyFtmRetires>::default(),
        Box::<only_the_lost_are_started::OnlyTheLostAreStarted>::default(),
        Box::<output_is_kept::OutputIsKept>::default(),
        Box::<quarantined::Quarantined>::default(),
        Box::<quorum::Quorum>::default(),
        Box::<recoveries::Recoveries>::default(),
        Box::<released_prefix::ReleasedPrefix>::default(),
        Box::<reported_is_durable::ReportedIsDurable>::default(),
        Box::<save_before_speaking::SaveBeforeSpeaking>::default(),
    ]
}
