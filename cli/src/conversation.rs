//! The conversation with the ARMORs of a home, at the other end of a [`Line`](crate::line::Line).

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use chameleon_core::armor::LinkEvent;
use chameleon_core::message::{Message, UserMessage};
use chameleon_core::names::{ArmorName, Incarnation};
use chameleon_node::client::{Client, ClientEvent, block_on};
use chameleon_node::home::Home;
use chameleon_node::outside;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::failure::Failure;
use crate::line::{Deed, Partner};
use crate::session::Heard;

/// Runs a client in a thread of its own until the line is dropped.
///
/// # Errors
/// Nothing of ours can listen there.
pub fn with(home: PathBuf, ear: Sender<Heard>) -> Result<Partner, Failure> {
    let (mouth, said) = unbounded_channel();
    let (ready, opened) = channel();
    let thread = thread::spawn(move || {
        let conversation = async {
            let client = match meet(&home).await {
                Ok(client) => client,
                Err(failure) => return drop(ready.send(Err(failure))),
            };
            let _ = ready.send(Ok(client.name()));
            converse(client, said, &ear).await;
        };
        if let Err(why) = block_on(conversation) {
            let _ = ear.send(Heard::Broken(broken(why)));
        }
    });
    let name = opened.recv().map_err(|_| Failure::System("its event loop cannot be started".to_owned()))??;
    let number = if let ArmorName::User(number) = name { number } else { 0 };
    Ok(Partner { number, mouth: Box::new(move |to, deed| drop(mouth.send((to, deed)))), thread })
}

async fn meet(home: &Path) -> Result<Client, Failure> {
    let home = Home::open(home).map_err(broken)?;
    outside::freshen(&home).await;
    Client::connect(home).map_err(broken)
}

async fn converse(mut client: Client, mut said: UnboundedReceiver<(ArmorName, Deed)>, ear: &Sender<Heard>) {
    loop {
        tokio::select! {
            told = said.recv() => match told {
                Some((to, Deed::Tell(message))) => client.send(to, message),
                Some((peer, Deed::Renew)) => client.renew(peer),
                None => break,
            },
            event = client.recv() => {
                let heard = match event {
                    ClientEvent::Message { message: Message::User(UserMessage::Located { name, host, address }), .. } => {
                        client.locate(name, host, address);
                        continue;
                    }
                    ClientEvent::Message { message: Message::User(UserMessage::Book(book)), .. } => {
                        client.keep_book(&book);
                        continue;
                    }
                    ClientEvent::Message { message: Message::User(message), .. } => Heard::Message(message),
                    ClientEvent::Message { .. } => continue,
                    // Which life of the peer answers makes no difference to a person.
                    ClientEvent::Up(peer) => Heard::Link(LinkEvent::Up { peer, incarnation: Incarnation(0) }),
                    ClientEvent::Down(peer) => Heard::Link(LinkEvent::Down { peer }),
                    ClientEvent::TurnedAway(why) => Heard::Broken(Failure::Refused(why)),
                };
                let is_over = matches!(heard, Heard::Broken(_));
                if ear.send(heard).is_err() || is_over {
                    break;
                }
            }
        }
    }
    client.close().await;
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::System(why.to_string())
}
