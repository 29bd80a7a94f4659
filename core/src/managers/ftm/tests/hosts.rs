//! What the FTM finds out about hosts, and what it answers about them.

use super::*;
use crate::message::{HostRow, HostState};
use crate::profile::{Numeric, Profile};

const INIT_1: ArmorName = ArmorName::Init(HostId(1));

fn profile(class: &str) -> Box<Profile> {
    let numeric = Numeric { class: class.to_owned(), findings: vec![] };
    Box::new(Profile { cores: 4, numeric, ..Profile::default() })
}

impl Reign {
    /// A second after a host joined.
    fn looks_over(&mut self) -> Vec<Effect> {
        self.handle(Event::Timer(Timer::Profile))
    }

    fn profiled(&mut self, from: ArmorName, host: u32, class: &str) -> Vec<Effect> {
        self.told(from, FtmMessage::Profiled { host: HostId(host), profile: profile(class) })
    }

    fn hosts(&mut self) -> Vec<HostRow> {
        match self.ask(Query::Hosts) {
            UserMessage::Hosts(rows) => rows,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_host_is_looked_over_once_in_each_life_of_its_daemon() {
    let mut reign = Reign::new();
    let timer = Effect::SetTimer { timer: Timer::Profile, after: Millis(1_000) };
    assert!(reign.joins(1, &[]).contains(&timer));
    assert_eq!(installs(&reign.looks_over()), [(1, INIT_1, LIVES + 1)]);
    assert_eq!(installs(&reign.looks_over()), [], "it is on its way");
    reign.running(1, INIT_1);
    assert_eq!(retires(&reign.profiled(INIT_1, 1, "a")), [(1, INIT_1)], "it has done its part");
    let forgets = Effect::Forget { peer: INIT_1 };
    assert!(reign.gone(1, INIT_1).contains(&forgets), "nobody calls where nobody will answer");
    let mut reign = reign.dies();
    assert!(!reign.joins(1, &[]).contains(&timer), "the next FTM knows it");
    let units = vec![Unit { incarnation: Incarnation(2), ..unit(daemon(1), 2) }];
    assert!(reign.told(daemon(1), FtmMessage::Joined { host: HostId(1), units }).contains(&timer));
    let lives = installs(&reign.looks_over());
    assert_eq!(lives, [(1, INIT_1, 2 * LIVES + 1)], "with lives that were never used");
}

#[test]
fn an_init_dies_with_its_ftm_or_its_host_and_the_host_is_looked_over_all_the_same() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.looks_over();
    let mut reign = reign.dies();
    assert!(installs(&reign.joins(1, &[])).contains(&(1, INIT_1, LIVES + 1)), "its install may have been lost");
    reign.told(daemon(1), FtmMessage::Running(unit(INIT_1, LIVES + 1)));
    let anew = reign.joins(1, &[]);
    assert_eq!(installs(&anew), [(1, INIT_1, 2 * LIVES + 1)], "the host has forgotten it");
    assert_eq!(retires(&reign.lost(1, INIT_1, 2 * LIVES + 1)), [(1, INIT_1)], "it is of no use anywhere else");
}

#[test]
fn only_its_own_init_says_what_a_host_is() {
    let mut reign = Reign::new();
    reign.joins(1, &[]);
    reign.looks_over();
    for liar in [ArmorName::Init(HostId(2)), daemon(1), USER] {
        reign.profiled(liar, 1, "wrong");
    }
    assert_eq!(reign.hosts()[0].numeric_class, "");
    reign.profiled(INIT_1, 1, "right");
    assert_eq!(reign.hosts()[0].numeric_class, "right");
}

#[test]
fn hosts_are_listed_with_what_runs_there() {
    let mut reign = Reign::with_job();
    reign.joins(2, &[]);
    reign.down(daemon(2));
    reign.looks_over();
    reign.profiled(INIT_1, 1, "a");
    let since_unix_ms = reign.now().unix_ms;
    let base = HostRow {
        host: HostId(1),
        state: HostState::Up,
        since_unix_ms,
        jobs: 1,
        armors: 4,
        lanes: 2,
        cores: 4,
        platform: String::new(),
        numeric_class: "a".to_owned(),
        entry: None,
    };
    let (none, class) = (0, String::new());
    let away =
        HostRow { host: HostId(2), state: HostState::Away, jobs: none, armors: none, lanes: none, ..base.clone() };
    let away = HostRow { cores: 0, numeric_class: class, ..away };
    assert_eq!(reign.hosts(), [base.clone(), away]);
    let shown = UserMessage::Host { row: base, profile: Some(profile("a")), conduct: Box::default(), revive: vec![] };
    assert_eq!(reign.ask(Query::Host(HostId(1))), shown);
    let why = reign.refusal(FtmMessage::Ask(Query::Host(HostId(9))));
    assert_eq!(why, "there is no host h9; expected h1 or h2");
}
