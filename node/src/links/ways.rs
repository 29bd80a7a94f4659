//! Ways back: the writing ends of links that others opened to us, until somebody here has something to
//! say to them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chameleon_core::names::{ArmorName, Incarnation};
use tokio::io::AsyncWrite;
use tokio::sync::{Notify, watch};

/// The writing end of a link that a peer opened.
pub(super) struct Way {
    pub incarnation: Incarnation,
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its sender is gone when the link has ended.
    pub alive: watch::Receiver<()>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way({})", self.incarnation)
    }
}

/// One for each peer, the latest.
#[derive(Debug, Default)]
pub(super) struct Ways {
    offered: Mutex<BTreeMap<ArmorName, Way>>,
    changed: Notify,
}

impl Ways {
    fn offered(&self) -> MutexGuard<'_, BTreeMap<ArmorName, Way>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn offer(&self, peer: ArmorName, way: Way) {
        self.offered().insert(peer, way);
        self.changed.notify_waiters();
    }

    /// Lets go of those whose links have ended.
    pub fn sweep(&self) {
        self.offered().retain(|_, way| way.is_alive());
    }

    /// A way that is there now.
    pub fn take(&self, peer: ArmorName) -> Option<Way> {
        self.offered().remove(&peer).filter(Way::is_alive)
    }

    /// Waits for a way back.
    pub async fn wait(&self, peer: ArmorName) -> Way {
        loop {
            let changed = self.changed.notified();
            if let Some(way) = self.take(peer) {
                return way;
            }
            changed.await;
        }
    }
}

impl Way {
    fn is_alive(&self) -> bool {
        self.alive.has_changed().is_ok()
    }

    /// Waits until the link has ended.
    pub async fn ended(alive: &mut watch::Receiver<()>) {
        while alive.changed().await.is_ok() {}
    }
}
