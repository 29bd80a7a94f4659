//! What the SM orders of a lane, and where those are to whom the lane speaks first.

use crate::armor::{Effect, Step};
use crate::armors::execution::{Execution, ExecutionRecord};
use crate::message::LaneOrders;
use crate::names::{ArmorName, HostId, Incarnation, StageId};

impl Execution {
    /// Orders are repeated whenever the link comes up, and change while the lane runs.
    pub(super) fn configure(&mut self, orders: Box<LaneOrders>, step: &mut Step<ExecutionRecord>) {
        if self.ledger.orders.as_ref() == Some(&orders) {
            return;
        }
        let is_first = self.ledger.orders.is_none();
        if is_first && self.incarnation > Incarnation(1) {
            step.record(self, ExecutionRecord::Fresh);
            self.say_recall(step);
        }
        let before: Vec<(ArmorName, HostId)> = self.places().collect();
        step.record(self, ExecutionRecord::Configured(orders));
        self.locate_peers(step);
        // A link to an earlier life, on a host that is frozen or cut off, may look alive for ever.
        let is_moved =
            |(name, host): &(ArmorName, HostId)| before.iter().any(|(known, at)| known == name && at != host);
        let moved = self.places().filter(is_moved).map(|(peer, _)| Effect::Renew { peer });
        step.then.extend(moved);
        if is_first && !self.is_elsewhere() {
            self.open_slots(StageId(0), step);
        }
    }

    /// The Voter and the Fanout may be on other hosts.
    pub(super) fn locate_peers(&self, step: &mut Step<ExecutionRecord>) {
        self.places().for_each(|(name, host)| step.then(Effect::Locate { name, host }));
    }

    fn places(&self) -> impl Iterator<Item = (ArmorName, HostId)> {
        self.ledger.orders.iter().flat_map(|orders| orders.places.iter().copied())
    }
}
