//! A user's command as others see it: it has a name, links to ARMORs, and is answered on links.

use std::fs;
use std::io;
use std::sync::Arc;

use chameleon_core::armor::LinkEvent;
use chameleon_core::book::Book;
use chameleon_core::message::Message;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::Input;
use tokio::sync::mpsc;

use crate::armor_process::runtime;
use crate::home::Home;
use crate::links::{Links, ListenError};
use crate::{pki, random};

/// A command's links in a home.
#[derive(Debug)]
pub struct Client {
    home: Arc<Home>,
    name: ArmorName,
    links: Links,
    inputs: mpsc::Receiver<Input>,
}

/// What a command hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    Message {
        from: ArmorName,
        message: Message,
    },
    /// The peer can be spoken to; what was said before may be lost.
    Up(ArmorName),
    Down(ArmorName),
    /// The FTM lets us in no more; a sentence says why.
    TurnedAway(String),
}

impl Client {
    /// Takes a name of its own in this home. To be called within [`block_on`].
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn connect(home: Home) -> Result<Client, ListenError> {
        let home = Arc::new(home);
        let name = ArmorName::User(u64::from_le_bytes(random::bytes()));
        let (mut links, inputs) = Links::new(home.clone(), name, Incarnation(1));
        links.listen()?;
        Ok(Client { home, name, links, inputs })
    }

    #[must_use]
    pub fn name(&self) -> ArmorName {
        self.name
    }

    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Opens the link to a peer; [`ClientEvent::Up`] follows when it can be spoken to.
    pub fn open(&mut self, peer: ArmorName) {
        self.links.open(peer);
    }

    /// The peer lives elsewhere now: the link to it is closed and opened again.
    pub fn renew(&mut self, peer: ArmorName) {
        self.links.forget(peer);
        self.links.open(peer);
    }

    /// Says something to a peer. It vanishes if the link is not up.
    pub fn send(&mut self, to: ArmorName, message: impl Into<Message>) {
        self.links.send(to, message.into());
    }

    /// A peer is on this host, which has this address.
    pub fn locate(&mut self, peer: ArmorName, host: HostId, address: String) {
        self.links.locate_at(peer, host, address);
    }

    /// Hosts are reached where this book says, for this command and for later ones of this home.
    pub fn keep_book(&mut self, book: &Book) {
        for entry in &book.hosts {
            self.links.address_is(entry.host, entry.address.clone());
        }
        if let Err(error) = pki::keep_book(&self.home, book) {
            crate::log!("the address book is not kept, so later commands may not find new hosts: {error}");
        }
    }

    /// Waits for the next event.
    pub async fn recv(&mut self) -> ClientEvent {
        let far = self.links.far().cloned();
        loop {
            let turned_away = async {
                match &far {
                    Some(far) => far.turned_away().await,
                    None => std::future::pending().await,
                }
            };
            let input = tokio::select! {
                input = self.inputs.recv() => input,
                why = turned_away => return ClientEvent::TurnedAway(why),
            };
            match input {
                Some(Input::Message { from, message, .. }) => return ClientEvent::Message { from, message },
                Some(Input::Link(LinkEvent::Up { peer, .. })) => return ClientEvent::Up(peer),
                Some(Input::Link(LinkEvent::Down { peer })) => return ClientEvent::Down(peer),
                Some(Input::Timer(_) | Input::Slot(_) | Input::Process(_) | Input::File(_) | Input::Saved(_))
                | Some(Input::Datagram { .. }) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Says the last things and gives up the name.
    pub async fn close(self) {
        let _ = fs::remove_file(self.home.socket(self.name));
        self.links.close().await;
    }
}

/// Runs a command that uses a [`Client`] to its end.
///
/// # Errors
/// If the system refuses what an event loop needs.
pub fn block_on<F: Future>(command: F) -> io::Result<F::Output> {
    Ok(runtime()?.block_on(command))
}
