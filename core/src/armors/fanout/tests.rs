//! Stories of one Fanout, told by direct calls; the SM, the lanes and the user are the test.

use super::*;
use crate::job::Origin;
use crate::message::Message;
use crate::names::Millis;
use crate::world::Whereabouts;

const JOB: JobId = JobId(1);
const HOST: HostId = HostId(1);
const NOW: Moment = Moment { boot: Millis(1000), unix_ms: 1_700_000_000_000 };
const SPOOLED: u64 = 311;

fn fanout() -> Fanout {
    Fanout::new(&Identity::of_test(ArmorName::Fanout(JOB), HOST), JOB)
}

fn lane(number: u16) -> ArmorName {
    ArmorName::Execution(JOB, LaneId(number))
}

/// The first stage for this many lanes, of which the first few have a known place.
fn distribute(lanes: u16, placed: u16) -> Event<FanoutMessage> {
    let origin = Origin { host: HOST, pass: Digest::default() };
    let nothing = || Vec::new().into();
    let supply = Supply {
        stage: StageId(0),
        lanes: (0..lanes).map(LaneId).collect(),
        inputs: Vec::new(),
        spooled: true,
        elsewhere: Vec::new(),
        bundle: Vec::new(),
        whereabouts: Whereabouts { origin, directory: nothing(), search: nothing() },
        places: (0..placed).map(|number| (lane(number), HOST)).collect(),
    };
    Event::Message { from: ArmorName::Surrogate(JOB), message: FanoutMessage::Distribute(Box::new(supply)) }
}

fn spooled(length: u64) -> Event<FanoutMessage> {
    Event::Message { from: ArmorName::User(7), message: FanoutMessage::Spooled { length, end: length == SPOOLED } }
}

fn staged(number: u16, length: u64, digest: u8) -> Event<FanoutMessage> {
    let (input, outcome) = (Input::Spool(length), Ok(Digest([digest; 32])));
    let message = FanoutMessage::Staged { stage: StageId(0), lane: LaneId(number), input, outcome, host: HOST };
    Event::Message { from: lane(number), message }
}

/// How far these events let each lane read, in order.
fn fed(fanout: &mut Fanout, events: impl IntoIterator<Item = Event<FanoutMessage>>) -> Vec<(ArmorName, u64, bool)> {
    let effects = events.into_iter().flat_map(|event| fanout.handle(NOW, event).then);
    let feed = |effect| match effect {
        Effect::Send { to, message: Message::Execution(ExecutionMessage::Feed { upto, end }) } => Some((to, upto, end)),
        _ => None,
    };
    effects.filter_map(feed).collect()
}

#[test]
fn all_lanes_are_fed_when_the_last_has_what_the_first_has() {
    let mut fanout = fanout();
    assert_eq!(fed(&mut fanout, [distribute(2, 2), spooled(SPOOLED), staged(0, SPOOLED, 1)]), []);
    let all = [(lane(0), SPOOLED, true), (lane(1), SPOOLED, true)];
    assert_eq!(fed(&mut fanout, [staged(1, SPOOLED, 1)]), all);
}

#[test]
fn a_lane_with_other_bytes_feeds_nobody() {
    let mut fanout = fanout();
    let events = [distribute(2, 2), spooled(SPOOLED), staged(0, SPOOLED, 1), staged(1, SPOOLED, 2)];
    assert_eq!(fed(&mut fanout, events), []);
}

#[test]
fn a_lane_that_is_added_is_fed_whether_it_speaks_before_or_after_its_place_is_known() {
    for speaks_first in [true, false] {
        let mut fanout = fanout();
        let first = fed(&mut fanout, [distribute(1, 1), spooled(SPOOLED), staged(0, SPOOLED, 1)]);
        assert_eq!(first, [(lane(0), SPOOLED, true)]);
        assert_eq!(fed(&mut fanout, [distribute(2, 1)]), []);
        let (place, word) = (distribute(2, 2), staged(1, SPOOLED, 1));
        let told = fed(&mut fanout, if speaks_first { [word, place] } else { [place, word] });
        assert!(told.contains(&(lane(1), SPOOLED, true)), "speaks first: {speaks_first}, {told:?}");
    }
}

#[test]
fn a_lane_that_is_added_in_the_middle_of_a_step_gets_that_step_with_the_others() {
    let mut fanout = fanout();
    let _ = fed(&mut fanout, [distribute(1, 1), spooled(100), staged(0, 100, 1), spooled(SPOOLED)]);
    assert_eq!(fed(&mut fanout, [distribute(2, 2), staged(0, SPOOLED, 2)]), []);
    let all = [(lane(0), SPOOLED, true), (lane(1), SPOOLED, true)];
    assert_eq!(fed(&mut fanout, [staged(1, SPOOLED, 2)]), all);
}
