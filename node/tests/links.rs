//! Links as their users see them: up again after every break, and nothing that strangers send does harm.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::armor::LinkEvent;
use chameleon_core::message::{FtmMessage, Message, Pulse, Query};
use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId};
use chameleon_core::shell::Input;
use chameleon_node::frame::{self, Frame, VERSION};
use chameleon_node::home::Home;
use chameleon_node::links::Links;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

const A: ArmorName = ArmorName::Voter(JobId(1));
const B: ArmorName = ArmorName::Ftm;
const FIRST: Incarnation = Incarnation(1);
const SECOND: Incarnation = Incarnation(2);

fn home() -> (tempfile::TempDir, Arc<Home>) {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::create(directory.path()).unwrap();
    (directory, Arc::new(home))
}

fn listening(home: &Arc<Home>, name: ArmorName, incarnation: Incarnation) -> (Links, Receiver<Input>) {
    let (mut links, inputs) = Links::new(home.clone(), name, incarnation);
    links.listen().unwrap();
    (links, inputs)
}

async fn next(inputs: &mut Receiver<Input>) -> Input {
    timeout(Duration::from_secs(20), inputs.recv()).await.expect("something happens").unwrap()
}

fn pulse(beat: u64) -> Message {
    Pulse { beat }.into()
}

fn heard(from: ArmorName, incarnation: Incarnation, message: Message) -> Input {
    Input::Message { from, incarnation, message }
}

fn up(peer: ArmorName, incarnation: Incarnation) -> Input {
    Input::Link(LinkEvent::Up { peer, incarnation })
}

#[tokio::test]
async fn a_message_before_the_link_is_up_vanishes_and_later_ones_arrive_in_order() {
    let (_directory, home) = home();
    let (mut a, mut to_a) = listening(&home, A, FIRST);
    a.send(B, pulse(1));
    let (_b, mut to_b) = listening(&home, B, SECOND);
    assert_eq!(next(&mut to_a).await, up(B, SECOND));
    for beat in 2..500 {
        a.send(B, pulse(beat));
    }
    for beat in 2..500 {
        assert_eq!(next(&mut to_b).await, heard(A, FIRST, pulse(beat)));
    }
}

#[tokio::test]
async fn a_peer_that_comes_back_is_up_again_with_its_new_incarnation() {
    let (_directory, home) = home();
    let (mut a, mut to_a) = listening(&home, A, FIRST);
    let (b, to_b) = listening(&home, B, FIRST);
    a.open(B);
    assert_eq!(next(&mut to_a).await, up(B, FIRST));
    drop((b, to_b));
    assert_eq!(next(&mut to_a).await, Input::Link(LinkEvent::Down { peer: B }));
    let (_b, mut to_b) = listening(&home, B, SECOND);
    assert_eq!(next(&mut to_a).await, up(B, SECOND));
    a.send(B, pulse(7));
    assert_eq!(next(&mut to_b).await, heard(A, FIRST, pulse(7)));
}

#[tokio::test]
async fn last_words_arrive_although_the_peer_is_forgotten() {
    let (_directory, home) = home();
    let (mut a, mut to_a) = listening(&home, A, FIRST);
    let (_b, mut to_b) = listening(&home, B, FIRST);
    a.open(B);
    next(&mut to_a).await;
    a.send(B, pulse(1));
    a.forget(B);
    assert_eq!(next(&mut to_b).await, heard(A, FIRST, pulse(1)));
    a.open(B);
    assert_eq!(next(&mut to_a).await, up(B, FIRST), "forgotten is not forbidden");
}

#[tokio::test]
async fn a_recipient_that_reads_nothing_costs_bounded_memory() {
    let (_directory, home) = home();
    let (mut a, mut to_a) = listening(&home, A, FIRST);
    let (_b, _never_read) = listening(&home, B, FIRST);
    a.open(B);
    next(&mut to_a).await;
    let long = FtmMessage::Lost { name: A, incarnation: FIRST, why: "x".repeat(1 << 20) };
    for _ in 0..100 {
        a.send(B, long.clone().into());
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut to_a).await, Input::Link(LinkEvent::Down { peer: B }));
}

/// Says something to B as a stranger would, and reads until B closes or answers.
fn stranger_says(home: &Home, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(home.socket(B)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the link is closed");
    answer
}

fn framed(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame::encode(frame, &mut bytes).unwrap());
    bytes
}

#[tokio::test]
async fn strangers_who_do_not_speak_the_language_lose_their_link_and_nobody_else_does() {
    let (_directory, home) = home();
    let (mut a, mut to_a) = listening(&home, A, FIRST);
    let (_b, mut to_b) = listening(&home, B, FIRST);
    a.open(B);
    next(&mut to_a).await;
    let hello = |version| Frame::Hello { from: ArmorName::Daemon(HostId(1)), incarnation: FIRST, version };
    let unannounced = Frame::Message(FtmMessage::Ask(Query::Armors).into());
    let attempts = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        framed(&[hello(VERSION + 1)]),
        framed(&[unannounced]),
        framed(&[hello(VERSION), hello(VERSION)]),
    ];
    for attempt in attempts {
        let home = home.clone();
        tokio::task::spawn_blocking(move || stranger_says(&home, &attempt)).await.unwrap();
    }
    a.send(B, pulse(3));
    assert_eq!(next(&mut to_b).await, heard(A, FIRST, pulse(3)));
}
