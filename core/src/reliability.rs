//! What redundancy buys, as probabilities: how often a job or a pipeline of stages comes to the right
//! result, to a wrong one that is accepted, or to none.
//!
//! The vote: k of n independent lanes with the same chance of a fault each, the binomial sum of von
//! Neumann, "Probabilistic Logics and the Synthesis of Reliable Organisms from Unreliable Components"
//! (1956); for 2 of 3 it is the 3p² − 2p³ of Lyons and Vanderkulk, "The Use of Triple-Modular Redundancy
//! to Improve Computer Reliability" (IBM Journal, April 1962). The three ways to run a pipeline are
//! figures 2, 3 and 4 of the review that this project implements. The confidence interval is Wilson's
//! (Journal of the American Statistical Association 22, 1927).
//!
//! Faults are transient and independent: what all lanes share is not in these figures.

/// How it ends, and how likely each end is; they add up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    pub right: f64,
    /// A wrong result that is accepted.
    pub wrong: f64,
    /// No result: too few agree.
    pub none: f64,
}

/// Whether the wrong results of two lanes are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// All alike: the worst that can happen to a vote.
    Alike,
    /// Each another: two faulty lanes never agree.
    Different,
}

/// One execution or one lane that is faulty with probability `p`, of which nothing is compared.
#[must_use]
pub fn single(p: f64) -> Odds {
    Odds { right: 1.0 - p, wrong: p, none: 0.0 }
}

/// A vote of `quorum` of `lanes` lanes, each faulty with probability `p`.
#[must_use]
pub fn vote(lanes: u16, quorum: u16, p: f64, faults: Faults) -> Odds {
    let right = at_least(lanes, quorum, 1.0 - p);
    let wrong = match faults {
        Faults::Alike => at_least(lanes, quorum, p),
        Faults::Different if quorum == 1 => p,
        Faults::Different => 0.0,
    };
    Odds { right, wrong, none: (1.0 - right - wrong).max(0.0) }
}

/// Figure 2: so many stages, one after the other, unprotected.
#[must_use]
pub fn unprotected(stages: u32, p: f64) -> Odds {
    in_series(stages, single(p))
}

/// Figure 3: so many stages in each lane, each stage faulty with probability `p`, and a vote at the end.
#[must_use]
pub fn voted_at_the_end(stages: u32, lanes: u16, quorum: u16, p: f64, faults: Faults) -> Odds {
    vote(lanes, quorum, unprotected(stages, p).wrong, faults)
}

/// Figure 4: a vote after each of so many stages, whose result all lanes of the next one get.
#[must_use]
pub fn voted_per_stage(stages: u32, lanes: u16, quorum: u16, p: f64, faults: Faults) -> Odds {
    in_series(stages, vote(lanes, quorum, p, faults))
}

/// So many stages, each of which goes on with what the one before came to; none goes on without a result.
fn in_series(stages: u32, stage: Odds) -> Odds {
    let exponent = i32::try_from(stages).unwrap_or(i32::MAX);
    let right = stage.right.powi(exponent);
    let ended = (1.0 - stage.none).powi(exponent);
    Odds { right, wrong: (ended - right).max(0.0), none: 1.0 - ended }
}

/// At least `least` of `count` independent things of probability `p` happen.
fn at_least(count: u16, least: u16, p: f64) -> f64 {
    (least..=count).map(|happen| exactly(count, happen, p)).sum()
}

/// The binomial probability, factor by factor so that nothing overflows.
fn exactly(count: u16, happen: u16, p: f64) -> f64 {
    let ways = (0..happen).fold(1.0, |ways, step| ways * f64::from(count - step) / f64::from(step + 1));
    ways * p.powi(i32::from(happen)) * (1.0 - p).powi(i32::from(count - happen))
}

/// The bounds within which a probability lies with a confidence of 95 %, of which `hits` of `trials` are a
/// sample; Wilson's, which holds for few hits, and none, too.
#[must_use]
pub fn interval(hits: u64, trials: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    let (hits, trials) = (as_float(hits), as_float(trials));
    if trials == 0.0 {
        return (0.0, 1.0);
    }
    let (share, spread) = (hits / trials, Z * Z / trials);
    let middle = share + spread / 2.0;
    let around = Z * (share * (1.0 - share) / trials + spread / (4.0 * trials)).sqrt();
    (((middle - around) / (1.0 + spread)).max(0.0), ((middle + around) / (1.0 + spread)).min(1.0))
}

/// Counts of trials are far below 2⁵², where every number is exact.
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn two_of_three_is_the_formula_of_triple_modular_redundancy() {
        for p in [0.0, 0.01, 0.1, 0.25, 0.5, 0.9, 1.0] {
            let odds = vote(3, 2, p, Faults::Alike);
            assert!(is(odds.wrong, 3.0 * p * p - 2.0 * p * p * p), "{p}: {odds:?}");
            assert!(is(odds.right + odds.wrong + odds.none, 1.0), "{p}: {odds:?}");
            let apart = vote(3, 2, p, Faults::Different);
            assert!(is(apart.right, odds.right) && is(apart.none, odds.wrong), "{p}: {apart:?}");
        }
        assert_eq!(vote(1, 1, 0.25, Faults::Different), single(0.25));
    }

    #[test]
    fn the_more_is_voted_on_the_better() {
        for p in [0.01, 0.05, 0.1, 0.2] {
            for faults in [Faults::Alike, Faults::Different] {
                let figure_2 = unprotected(3, p);
                let figure_3 = voted_at_the_end(3, 3, 2, p, faults);
                let figure_4 = voted_per_stage(3, 3, 2, p, faults);
                assert!(figure_2.right < figure_3.right && figure_3.right < figure_4.right, "{p} {faults:?}");
            }
        }
        let tenth = voted_per_stage(3, 3, 2, 0.1, Faults::Alike);
        assert!(is(tenth.right, 0.972_f64.powi(3)), "{tenth:?}");
    }

    #[test]
    fn an_interval_holds_what_it_is_about_and_is_wide_where_little_was_tried() {
        let (low, high) = interval(0, 100);
        assert!(is(low, 0.0) && (0.036..0.038).contains(&high), "{low} {high}");
        let (low, high) = interval(50, 100);
        assert!((0.40..0.41).contains(&low) && (0.59..0.60).contains(&high), "{low} {high}");
        assert_eq!(interval(0, 0), (0.0, 1.0));
    }
}
