//! Tables of hosts, wishes and plans.

use super::*;
use crate::managers::ftm::links::Links;
use crate::message::Measured;
use crate::names::JobId;
use crate::profile::{Label, Numeric};

const JOB: JobId = JobId(1);
static NOTHING_READ: BTreeMap<HostId, Distance> = BTreeMap::new();

fn lanes(n: u16) -> Vec<ArmorName> {
    (0..n).map(|lane| ArmorName::Execution(JOB, LaneId(lane))).collect()
}

/// `x86_64 berlin a`: architecture, site and numeric class.
fn profile(words: &str) -> Profile {
    let mut words = words.split_whitespace().map(str::to_owned);
    let architecture = words.next().unwrap_or_default();
    let site = words.next().map(|value| Label { name: "site".to_owned(), value });
    let numeric = Numeric { class: words.next().unwrap_or_default(), findings: Vec::new() };
    Profile { architecture, labels: site.into_iter().collect(), numeric, memory: 1 << 30, ..Profile::default() }
}

fn planned(sites: &[Site<'_>], wishes: &Wishes, names: &[ArmorName]) -> Plan {
    place(sites, conditions(wishes, &BTreeMap::new(), &BTreeMap::new()), names)
}

fn conditions<'a>(
    wishes: &'a Wishes,
    placed: &'a BTreeMap<LaneId, HostId>,
    apart: &'a BTreeMap<HostId, u32>,
) -> Conditions<'a> {
    Conditions { origin: HostId(9), wishes, memory: None, placed, apart, distances: &NOTHING_READ }
}

fn hosts(plan: &Plan) -> Vec<u32> {
    plan.places.iter().map(|placing| placing.host.0).collect()
}

fn with_armors(armors: &[u32]) -> Vec<Site<'static>> {
    let site = |(host, &armors)| Site {
        host: HostId(host),
        load: Load { lanes: 0, armors },
        closed: None,
        no_lanes: None,
        profile: None,
    };
    (1..).zip(armors).map(site).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn lanes_are_spread_before_they_are_balanced() {
    let table: [(&str, &[u32], u16, &[u32]); 5] = [
        ("one host takes all", &[3], 3, &[1, 1, 1]),
        ("a host a lane", &[0, 0, 0], 3, &[1, 2, 3]),
        ("also if one is busy", &[9, 0, 0], 3, &[2, 3, 1]),
        ("round and round", &[0, 0], 5, &[1, 2, 1, 2, 1]),
        ("no host, no place", &[], 3, &[]),
    ];
    for (what, armors, n, expected) in table {
        assert_eq!(hosts(&planned(&with_armors(armors), &Wishes::default(), &lanes(n))), expected, "{what}");
    }
}

#[test]
fn the_others_go_where_least_runs_for_its_speed() {
    let names = [ArmorName::Surrogate(JOB), ArmorName::Voter(JOB), ArmorName::Fanout(JOB)];
    assert_eq!(hosts(&planned(&with_armors(&[2, 0, 1]), &Wishes::default(), &names)), [2, 2, 3]);
    let (slow, fast) = (Profile { speed: 100, ..profile("x") }, Profile { speed: 400, ..profile("x") });
    let site = |host, armors, profile| Site { profile: Some(profile), ..with_armors(&[armors])[0] }.on(host);
    let sites = [site(1, 1, &slow), site(2, 3, &fast)];
    assert_eq!(hosts(&planned(&sites, &Wishes::default(), &names)), [2, 2, 2], "four times as fast");
}

#[test]
fn among_equals_lanes_are_nearest_to_what_they_read() {
    let mut links = Links::default();
    let measured =
        |host, us| Measured { host: HostId(host), round_trip_us: Some(us), loss_per_mille: None, bytes_per_s: None };
    links.heard(ArmorName::Heartbeat(HostId(1)), vec![measured(2, 60_000), measured(4, 300)]);
    let distances = (1..=4).map(|host| (HostId(host), links.distance(HostId(1), HostId(host)))).collect();
    let (wishes, placed, apart) = (Wishes::default(), BTreeMap::new(), BTreeMap::new());
    let near = Conditions { distances: &distances, ..conditions(&wishes, &placed, &apart) };
    let order = |armors: &[u32]| hosts(&place(&with_armors(armors), near, &lanes(4)));
    assert_eq!(order(&[0, 0, 0, 0]), [1, 4, 2, 3], "what was not measured is farthest");
    assert_eq!(order(&[9, 0, 0, 2]), [2, 3, 4, 1], "load comes first");
    let voter = hosts(&place(&with_armors(&[0, 0, 0, 0])[1..], near, &[ArmorName::Voter(JOB)]));
    assert_eq!(voter, [2], "a Voter reads nothing");
}

#[test]
fn the_surrogate_and_the_fanout_go_where_the_files_are() {
    let names = [ArmorName::Surrogate(JOB), ArmorName::Voter(JOB), ArmorName::Fanout(JOB)];
    let (wishes, placed, apart) = (Wishes::default(), BTreeMap::new(), BTreeMap::new());
    let conditions = Conditions { origin: HostId(3), ..conditions(&wishes, &placed, &apart) };
    let mut sites = with_armors(&[1, 2, 3]);
    assert_eq!(hosts(&place(&sites, conditions, &names)), [3, 1, 3]);
    sites[2].closed = Some("is away");
    assert_eq!(hosts(&place(&sites, conditions, &names)), [1, 1, 2], "or elsewhere, while it is not there");
}

impl Site<'_> {
    fn on(self, host: u32) -> Self {
        Site { host: HostId(host), ..self }
    }
}

/// Hosts by architecture, site and numeric class; what is wished; where three lanes go, or why not.
#[test]
fn wishes_are_kept_to_or_every_host_says_why_not() {
    let four = ["x86_64 berlin a", "x86_64 berlin a", "aarch64 paris b", "x86_64 rome a"];
    let only = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let table: [(&str, Wishes, &[u32], &str); 7] = [
        ("none", Wishes::default(), &[1, 2, 3], ""),
        (
            "distinct sites, though the first host takes one",
            Wishes { distinct: words(&["site"]), ..Wishes::default() },
            &[1, 3, 4],
            "",
        ),
        (
            "one class, though the others must be passed over",
            Wishes { same: words(&["numeric-class"]), distinct: words(&["host"]), ..Wishes::default() },
            &[1, 2, 4],
            "",
        ),
        (
            "distinct architectures",
            Wishes { distinct: words(&["arch"]), ..Wishes::default() },
            &[1, 3],
            "h1 has the arch of lane l0, x86_64, h2 has the arch of lane l0, x86_64, h3 has the arch of lane l1, aarch64, h4 has the arch of lane l0, x86_64",
        ),
        (
            "certain hosts",
            Wishes { hosts: words(&["h1", "h3"]), distinct: words(&["host"]), ..Wishes::default() },
            &[1, 3],
            "h1 runs lane l0 already, h2 is not among the hosts that are wished for, h3 runs lane l1 already, h4 is not among the hosts that are wished for",
        ),
        ("a certain site, together", Wishes { only: only("site", "paris"), ..Wishes::default() }, &[3, 3, 3], ""),
        (
            "no such trait",
            Wishes { only: only("rack", "7"), ..Wishes::default() },
            &[],
            "h1 has no rack, h2 has no rack, h3 has no rack, h4 has no rack",
        ),
    ];
    let profiles = four.map(profile);
    let sites: Vec<Site<'_>> = (1..)
        .zip(&profiles)
        .map(|(host, profile)| Site { profile: Some(profile), ..with_armors(&[0])[0] }.on(host))
        .collect();
    for (what, wishes, expected, why) in table {
        let plan = planned(&sites, &wishes, &lanes(3));
        assert_eq!(hosts(&plan), expected, "{what}");
        assert_eq!(if plan.missing.is_empty() { String::new() } else { plan.why() }, why, "{what}");
        let (none, nowhere) = (BTreeMap::new(), BTreeMap::new());
        let conditions = conditions(&wishes, &none, &nowhere);
        assert_eq!(feasible(&sites, conditions, &lanes(3)).is_ok(), why.is_empty(), "{what}");
    }
}

#[test]
fn an_earlier_lane_gives_way_to_a_later_one() {
    let profiles = ["x86_64 berlin b", "x86_64 berlin a", "x86_64 paris a"].map(profile);
    let sites: Vec<Site<'_>> = (1..)
        .zip(&profiles)
        .map(|(host, profile)| Site { profile: Some(profile), ..with_armors(&[0])[0] }.on(host))
        .collect();
    let wishes = Wishes { same: words(&["numeric-class"]), distinct: words(&["host"]), ..Wishes::default() };
    assert_eq!(hosts(&planned(&sites, &wishes, &lanes(2))), [2, 3], "h1 is best and alone in its class");
}

#[test]
fn what_passes_is_waited_for_and_what_does_not_is_refused() {
    let known = profile("x86_64 berlin a");
    let conditions = |wishes, memory| Conditions { memory, ..conditions(wishes, &NONE, &NOWHERE) };
    static NONE: BTreeMap<LaneId, HostId> = BTreeMap::new();
    static NOWHERE: BTreeMap<HostId, u32> = BTreeMap::new();
    let distinct = Wishes { distinct: words(&["host"]), ..Wishes::default() };
    let up = Site { profile: Some(&known), ..with_armors(&[0])[0] };
    let away = Site { closed: Some("is away"), ..up }.on(2);
    let plan = place(&[up, away], conditions(&distinct, None), &lanes(2));
    assert_eq!((hosts(&plan), plan.why()), (vec![1], "h1 runs lane l0 already, h2 is away".to_owned()));
    assert!(feasible(&[up, away], conditions(&distinct, None), &lanes(2)).is_ok(), "h2 may come back");
    assert!(feasible(&[up], conditions(&distinct, None), &lanes(2)).is_err(), "there is no other host");
    let same_arch = Wishes { same: words(&["arch"]), ..Wishes::default() };
    let unseen = Site { profile: None, ..up };
    assert!(feasible(&[unseen], conditions(&same_arch, None), &lanes(1)).is_ok(), "it is not looked over yet");
    let wishes = Wishes::default();
    let crowded = feasible(&[up], conditions(&wishes, Some(400 << 20)), &lanes(3)).unwrap_err();
    assert_eq!(
        (hosts(&crowded).len(), crowded.why().as_str()),
        (2, "h1 has 1024 MiB of memory for lanes that need 400 MiB each")
    );
}

#[test]
fn a_copy_and_those_who_save_it_are_kept_apart_if_they_can_be() {
    let apart = BTreeMap::from([(HostId(1), 1), (HostId(2), 2)]);
    let (wishes, placed) = (Wishes::default(), BTreeMap::new());
    let conditions = conditions(&wishes, &placed, &apart);
    let table: [(&[u32], ArmorName, u32); 4] = [
        (&[0, 0, 9], ArmorName::Mirror(JOB), 3),
        (&[9, 0], ArmorName::Mirror(JOB), 1),
        (&[9, 0], ArmorName::Voter(JOB), 1),
        (&[9, 0], ArmorName::Fanout(JOB), 2),
    ];
    for (armors, name, expected) in table {
        assert_eq!(hosts(&place(&with_armors(armors), conditions, &[name])), [expected], "{name} among {armors:?}");
    }
}
