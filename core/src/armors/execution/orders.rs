//! What the SM orders of a lane, and where those are to whom the lane speaks first.

use crate::armor::{Effect, Step};
use crate::armors::execution::{Execution, ExecutionRecord};
use crate::message::LaneOrders;
use crate::names::StageId;

impl Execution {
    /// Orders are repeated whenever the link comes up; slots are opened anew only if there is more to them
    /// than that a peer has moved.
    pub(super) fn configure(&mut self, orders: Box<LaneOrders>, step: &mut Step<ExecutionRecord>) {
        let known = self.ledger.orders.clone();
        if known.as_ref() == Some(&*orders) {
            return;
        }
        let places = orders.places.clone();
        let only_moved = known.is_some_and(|known| LaneOrders { places, ..known } == *orders);
        step.record(self, ExecutionRecord::Configured(orders));
        self.locate_peers(step);
        if !only_moved {
            self.open_slots(StageId(0), step);
        }
    }

    /// The Voter and the Fanout may be on other hosts.
    pub(super) fn locate_peers(&self, step: &mut Step<ExecutionRecord>) {
        let places = self.ledger.orders.iter().flat_map(|orders| &orders.places);
        places.for_each(|&(name, host)| step.then(Effect::Locate { name, host }));
    }
}
