//! What comes from other machines: members of the cluster are heard, and nobody else, whatever they send.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::armor::LinkEvent;
use chameleon_core::book::{Book, Entry};
use chameleon_core::message::{FtmMessage, Message, Pulse};
use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId, LaneId};
use chameleon_core::principal::{Principal, Role};
use chameleon_core::shell::Input;
use chameleon_node::frame::{self, Frame, MAX_BODY, VERSION};
use chameleon_node::home::Home;
use chameleon_node::links::{Destination, Far, FarStream, Links, door};
use chameleon_node::pki::certificate::{self, Signer, Validity};
use chameleon_node::pki::verify::{Clock, Trust, explain};
use chameleon_node::pki::{self, Founded, Standing};
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

const ONE: HostId = HostId(1);
const TWO: HostId = HostId(2);
const SM: ArmorName = ArmorName::Surrogate(JobId(1));
const LANE: ArmorName = ArmorName::Execution(JobId(1), LaneId(0));
const OTHER_LANE: ArmorName = ArmorName::Execution(JobId(1), LaneId(1));
const LIFE: Incarnation = Incarnation(3);
const WITHIN: Duration = Duration::from_secs(30);

struct Machine {
    _directory: tempfile::TempDir,
    home: Arc<Home>,
}

impl Machine {
    fn new() -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::create(directory.path()).unwrap());
        Machine { _directory: directory, home }
    }

    fn founder() -> Machine {
        let machine = Machine::new();
        let lifetime = Duration::from_secs(24 * 3_600);
        let founded = Founded { name: "one".to_owned(), listen: "127.0.0.1:0".to_owned(), lifetime };
        pki::found(&machine.home, &founded).unwrap();
        machine
    }

    /// Certified by one cluster's authority, and trusting another's, or the same.
    fn member(by: &Machine, trusting: &Machine, member: &Principal, role: Role) -> Machine {
        let machine = Machine::new();
        let key = pki::own_key(&machine.home).unwrap().subject_public_key_info();
        let chain = Standing::of(&by.home).unwrap().unwrap().certify(member, role, &key).unwrap();
        let authority = Standing::of(&trusting.home).unwrap().unwrap().authority;
        pki::become_member(&machine.home, member, "two", &authority, &chain[0]).unwrap();
        machine
    }

    fn knows(&self, address: &str, revoked: &[Principal]) {
        let hosts = vec![Entry { host: ONE, name: "one".to_owned(), address: address.to_owned(), may_serve: false }];
        pki::keep_book(&self.home, &Book { ftm: ONE, hosts, revoked: revoked.to_vec() }).unwrap();
    }

    /// A stream to the SM as this ARMOR, with nothing said on it yet.
    async fn call(&self, name: ArmorName) -> std::io::Result<FarStream> {
        Far::of(&self.home, name).unwrap().call(Destination::Armor(SM), ONE).await
    }
}

/// The SM on the founding host, reached through its daemon's door.
struct Setting {
    founder: Machine,
    address: String,
    sm: Links,
    heard: Receiver<Input>,
}

async fn setting() -> Setting {
    let founder = Machine::founder();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(door::keep_open(listener, founder.home.clone(), ONE, None));
    let (mut sm, heard) = Links::new(founder.home.clone(), SM, LIFE);
    sm.listen().unwrap();
    Setting { founder, address, sm, heard }
}

impl Setting {
    fn host(&self, member: &Principal) -> Machine {
        let machine = Machine::member(&self.founder, &self.founder, member, Role::Host);
        machine.knows(&self.address, &[]);
        machine
    }

    /// Nothing of what was sent before was heard, and a member still is.
    async fn hears_only_members(&mut self) {
        let two = self.host(&Principal::Host(TWO));
        let (mut lane, mut to_lane) = Links::new(two.home.clone(), LANE, LIFE);
        lane.locate(SM, ONE);
        lane.open(SM);
        assert_eq!(next(&mut to_lane).await, up(SM));
        lane.send(SM, pulse(7));
        assert_eq!(next(&mut self.heard).await, said(LANE, pulse(7)));
    }
}

async fn next(inputs: &mut Receiver<Input>) -> Input {
    timeout(WITHIN, inputs.recv()).await.expect("something happens").unwrap()
}

fn pulse(beat: u64) -> Message {
    Pulse { beat }.into()
}

fn said(from: ArmorName, message: Message) -> Input {
    Input::Message { from, incarnation: LIFE, message }
}

fn up(peer: ArmorName) -> Input {
    Input::Link(LinkEvent::Up { peer, incarnation: LIFE })
}

fn hello(from: ArmorName) -> Vec<u8> {
    bytes(&[Frame::Hello { from, incarnation: LIFE, version: VERSION }, Frame::Message(pulse(666))])
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame::encode(frame, &mut bytes).unwrap());
    bytes
}

/// Everything that is answered until the other side hangs up.
async fn answer(mut stream: FarStream, say: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let talk = async {
        let _ = stream.write_all(say).await;
        let _ = stream.flush().await;
        let _ = stream.read_to_end(&mut answer).await;
    };
    timeout(WITHIN, talk).await.expect("it hangs up");
    answer
}

#[tokio::test]
async fn members_are_heard_and_answered_on_the_link_that_they_opened() {
    let mut setting = setting().await;
    let two = setting.host(&Principal::Host(TWO));
    let (mut lane, mut to_lane) = Links::new(two.home.clone(), LANE, LIFE);
    lane.locate(SM, ONE);
    lane.open(SM);
    assert_eq!(next(&mut to_lane).await, up(SM));
    lane.send(SM, pulse(1));
    assert_eq!(next(&mut setting.heard).await, said(LANE, pulse(1)));
    // No address of the second host is known to the first.
    setting.sm.open(LANE);
    assert_eq!(next(&mut setting.heard).await, up(LANE));
    for beat in 2..200 {
        setting.sm.send(LANE, pulse(beat));
        lane.send(SM, pulse(beat));
    }
    for beat in 2..200 {
        assert_eq!(next(&mut to_lane).await, said(SM, pulse(beat)));
        assert_eq!(next(&mut setting.heard).await, said(LANE, pulse(beat)));
    }
    drop(lane);
    assert_eq!(next(&mut setting.heard).await, Input::Link(LinkEvent::Down { peer: LANE }));
}

#[tokio::test]
async fn whoever_claims_another_name_is_not_heard() {
    let mut setting = setting().await;
    setting.sm.locate(OTHER_LANE, ONE);
    let two = setting.host(&Principal::Host(TWO));
    let ann = setting.host(&Principal::User("ann".to_owned()));
    let elsewhere = Machine::founder();
    let foreign = Machine::member(&elsewhere, &setting.founder, &Principal::Host(TWO), Role::Ftm);
    foreign.knows(&setting.address, &[]);
    let daemon = ArmorName::Daemon;
    let table = [
        ("a host as another host's daemon", &two, daemon(TWO), daemon(HostId(3))),
        ("an ARMOR as another of its host", &two, LANE, OTHER_LANE),
        ("an ARMOR that is known to be elsewhere", &two, OTHER_LANE, OTHER_LANE),
        ("a host without the role as the FTM", &two, ArmorName::Ftm, ArmorName::Ftm),
        ("a person as a daemon", &ann, ArmorName::User(1), daemon(TWO)),
        ("a host of another cluster", &foreign, LANE, LANE),
    ];
    for (who, machine, certified, claimed) in table {
        let stream = machine.call(certified).await.unwrap_or_else(|error| panic!("{who}: {error}"));
        assert_eq!(answer(stream, &hello(claimed)).await, b"", "{who}");
    }
    setting.hears_only_members().await;
}

#[tokio::test]
async fn one_that_is_called_must_be_the_one_that_was_meant() {
    let setting = setting().await;
    let elsewhere = Machine::founder();
    elsewhere.knows(&setting.address, &[]);
    let stranger = elsewhere.call(LANE).await.unwrap_err().to_string();
    assert!(stranger.contains("another cluster"), "{stranger}");
    // The book leads to the door of the first host under the name of the second.
    let three = setting.host(&Principal::Host(HostId(3)));
    let hosts = vec![Entry { host: TWO, name: "two".to_owned(), address: setting.address.clone(), may_serve: false }];
    pki::keep_book(&three.home, &Book { ftm: ONE, hosts, revoked: Vec::new() }).unwrap();
    let far = Far::of(&three.home, LANE).unwrap();
    far.call(Destination::Armor(SM), TWO).await.unwrap_err();
}

#[tokio::test]
async fn a_revoked_host_is_cut_off_and_not_let_in_again() {
    let mut setting = setting().await;
    let two = setting.host(&Principal::Host(TWO));
    let (mut lane, mut to_lane) = Links::new(two.home.clone(), LANE, LIFE);
    lane.locate(SM, ONE);
    lane.open(SM);
    assert_eq!(next(&mut to_lane).await, up(SM));
    setting.founder.knows(&setting.address, &[Principal::Host(TWO)]);
    assert_eq!(next(&mut to_lane).await, Input::Link(LinkEvent::Down { peer: SM }));
    drop(lane);
    let stream = two.call(LANE).await.unwrap();
    assert_eq!(answer(stream, &hello(LANE)).await, b"");
    assert!(setting.heard.try_recv().is_err(), "nothing was heard of it");
}

#[tokio::test]
async fn strange_bytes_harm_nobody_before_during_and_after_the_handshake() {
    let mut setting = setting().await;
    let two = setting.host(&Principal::Host(TWO));
    let first = recorded_hello(&setting, &two).await;
    let noise: Vec<u8> = blake3::hash(b"noise").as_bytes().iter().copied().cycle().take(100_000).collect();
    let before: [&[u8]; 5] = [b"", b"GET / HTTP/1.1\r\n\r\n", &noise, &first[..first.len() / 2], &[22, 3, 1, 255, 255]];
    let during = [[&first[..], &noise].concat(), [&first[..], &first].concat()];
    for strange in before.iter().map(|bytes| bytes.to_vec()).chain(during) {
        let mut stream = TcpStream::connect(&setting.address).await.unwrap();
        let _ = stream.write_all(&strange).await;
        let _ = stream.shutdown().await;
    }
    let introduced = FtmMessage::Introduced(Principal::User("root".to_owned()));
    let twice = Frame::Hello { from: LANE, incarnation: LIFE, version: VERSION };
    let after = [
        (MAX_BODY as u32 + 1).to_le_bytes().to_vec(),
        bytes(&[Frame::Message(introduced.into())]),
        bytes(&[twice]),
        noise,
    ];
    for strange in after {
        let greeting = bytes(&[Frame::Hello { from: LANE, incarnation: LIFE, version: VERSION }]);
        let stream = two.call(LANE).await.unwrap();
        let welcome = bytes(&[Frame::Welcome { incarnation: LIFE }]);
        assert_eq!(answer(stream, &[greeting, strange].concat()).await, welcome);
    }
    let mut cut_short = two.call(LANE).await.unwrap();
    cut_short.write_all(&hello(LANE)[..9]).await.unwrap();
    drop(cut_short);
    setting.hears_only_members().await;
}

/// What a genuine caller sends first.
async fn recorded_hello(setting: &Setting, machine: &Machine) -> Vec<u8> {
    let (address, record) = recorder(setting.address.clone()).await;
    machine.knows(&address, &[]);
    drop(machine.call(LANE).await.unwrap());
    machine.knows(&setting.address, &[]);
    let recorded = timeout(WITHIN, record).await.unwrap().unwrap();
    // One TLS record: five bytes that say how long the rest is.
    let length = 5 + usize::from(u16::from_be_bytes([recorded[3], recorded[4]]));
    recorded[..length].to_vec()
}

/// A place that passes on one connection, and says in the end what its caller sent.
async fn recorder(to: String) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let record = tokio::spawn(async move {
        let (from, _) = listener.accept().await.unwrap();
        let (mut from_read, mut from_write) = from.into_split();
        let (mut to_read, mut to_write) = TcpStream::connect(to).await.unwrap().into_split();
        tokio::spawn(async move { tokio::io::copy(&mut to_read, &mut from_write).await });
        let mut recorded = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = from_read.read(&mut piece).await {
            recorded.extend_from_slice(&piece[..length]);
            let _ = to_write.write_all(&piece[..length]).await;
        }
        recorded
    });
    (address, record)
}

#[tokio::test]
async fn a_conversation_that_is_replayed_is_not_heard_again() {
    let mut setting = setting().await;
    let two = setting.host(&Principal::Host(TWO));
    let (address, record) = recorder(setting.address.clone()).await;
    two.knows(&address, &[]);
    let mut stream = two.call(LANE).await.unwrap();
    stream.write_all(&hello(LANE)).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(next(&mut setting.heard).await, said(LANE, pulse(666)));
    drop(stream);
    let recorded = timeout(WITHIN, record).await.unwrap().unwrap();
    let mut again = TcpStream::connect(&setting.address).await.unwrap();
    again.write_all(&recorded).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(WITHIN, again.read_to_end(&mut rest)).await.expect("it hangs up");
    setting.hears_only_members().await;
}

#[tokio::test]
async fn those_who_connect_and_say_nothing_keep_nobody_out() {
    let mut setting = setting().await;
    let mut silent = Vec::new();
    for number in 0..400 {
        let mut stream = std::net::TcpStream::connect(&setting.address).unwrap();
        if number % 2 == 0 {
            stream.write_all(&[22, 3, 1]).unwrap();
        }
        silent.push(stream);
        tokio::task::yield_now().await;
    }
    setting.hears_only_members().await;
    // The oldest had to go.
    let first = silent.first_mut().unwrap();
    first.set_read_timeout(Some(WITHIN)).unwrap();
    assert!(matches!(first.read(&mut [0]), Ok(0) | Err(_)));
}

/// A person's certificate, good for an hour, as it is seen by one whose clock is this.
fn seen_by(clock: Clock) -> Result<Principal, String> {
    let now = pki::now();
    let (authority, key) = certificate::authority(now).unwrap();
    let cluster = certificate::cluster(&certificate::authority_digest(&authority).unwrap());
    let signer = Signer::new(cluster.clone(), &authority, key).unwrap();
    let bearer = KeyPair::generate().unwrap().subject_public_key_info();
    let validity = Validity::lasting(now, Duration::from_secs(3_600));
    let shown = signer.member(&Principal::User("ann".to_owned()), Role::User, &bearer, validity).unwrap();
    let trust = Trust { authority, cluster, clock, book: Arc::default() };
    let shown: [CertificateDer<'_>; 1] = [shown];
    trust.check(&shown, webpki::KeyUsage::client_auth()).map(|claim| claim.principal).map_err(|why| explain(&why))
}

#[test]
fn a_clock_that_is_an_hour_off_is_told_as_such() {
    assert_eq!(seen_by(pki::now), Ok(Principal::User("ann".to_owned())));
    assert_eq!(seen_by(|| pki::now() - 240), Ok(Principal::User("ann".to_owned())), "a little off is no matter");
    let late = seen_by(|| pki::now() - 3_600).unwrap_err();
    assert!(late.contains("not valid yet") && late.contains("clocks differ"), "{late}");
    let early = seen_by(|| pki::now() + 2 * 3_600).unwrap_err();
    assert!(early.contains("good until") && early.contains("clocks differ"), "{early}");
}
