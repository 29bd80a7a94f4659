//! A strategy in sentences, for `chameleon strategies`.

use super::{Order, Redundancy, Restart, Strategy};
use crate::names::Millis;

impl Strategy {
    /// What it does, rung by rung; each a sentence without its full stop.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        let lanes = format!("{}{}", lanes(self.redundancy), agreement(self.redundancy));
        let rungs = [Some(lanes), Some(restarts(self.restart)), self.repetition(), self.extension(), self.last_rung()];
        let end = match self.redundancy.replicas {
            1 => "nothing is compared: a wrong result that ends normally goes unnoticed",
            _ => "after that no result: a safe abort with the evidence",
        };
        rungs.into_iter().flatten().chain([end.to_owned()]).collect()
    }

    fn repetition(&self) -> Option<String> {
        let (compared, repeats) = (self.redundancy.replicas > 1, self.repeats);
        let sentence =
            format!("a dissenting lane and a winner repeat the task {repeats} times before anyone is accused");
        (compared && repeats > 0).then_some(sentence)
    }

    fn extension(&self) -> Option<String> {
        let (most, replicas) = (self.extend_to, self.redundancy.replicas);
        let quorum = self.redundancy.quorum_of(most);
        let sentence = format!("on disagreement lanes are added, up to {most}, of which {quorum} must agree");
        (most > replicas).then_some(sentence)
    }

    fn last_rung(&self) -> Option<String> {
        self.variation.map(|variation| format!("if that is lost, once: {}{}", lanes(variation), agreement(variation)))
    }
}

fn lanes(redundancy: Redundancy) -> String {
    match (redundancy.replicas, redundancy.order) {
        (1, _) => "one lane".to_owned(),
        (replicas, Order::Space) => format!("{replicas} lanes side by side"),
        (replicas, Order::Time) => format!("up to {replicas} lanes one after another, until the vote is decided"),
    }
}

fn agreement(redundancy: Redundancy) -> String {
    match redundancy.replicas {
        1 => String::new(),
        _ => format!(", {} must agree", redundancy.quorum),
    }
}

fn restarts(restart: Restart) -> String {
    let wait = match restart.backoff {
        Millis(0) => "at once".to_owned(),
        backoff => format!("after {backoff}, doubled each time up to {}", restart.backoff_most),
    };
    match restart.limit {
        0 => "a crash is not retried".to_owned(),
        limit => format!("a lane that crashes is restarted up to {limit} times a task, {wait}"),
    }
}
