//! What a daemon does for other machines: it keeps the host's port open, tells the FTM where that is, and
//! has the host's certificate renewed at half of its time. What a person's commands do: the latter.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chameleon_core::message::DaemonMessage;
use chameleon_core::names::{ArmorName, HostId, Incarnation};
use chameleon_core::shell::Input;

use crate::event_loop::{Happening, Reporter};
use crate::home::Home;
use crate::links::door::{self, BulkCalls};
use crate::pki::{self, PkiError, Standing, certificate};
use crate::random;

/// Ports that the system gives to no outgoing connection, which might hold it when the host starts again.
const LASTING_PORTS: Range<u16> = 10_000..30_000;
/// How many of them are tried.
const ATTEMPTS: u32 = 64;
/// Between two attempts to get a port that is taken.
const PORT_TAKEN_PAUSE: Duration = Duration::from_secs(1);
/// The longest that a clock is trusted to go on as it does: it may be set, or sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Between two attempts to get a certificate, in parts of its time.
const ATTEMPTS_A_LIFE: u32 = 50;
/// How long a person's command waits for another certificate before it goes on with the old one.
const FRESHENED_WITHIN: Duration = Duration::from_secs(5);

/// A place to listen at: if the port is 0, one that is free now.
///
/// # Errors
/// It cannot be listened at.
pub fn choose(listen: SocketAddr) -> io::Result<SocketAddr> {
    let free = |listen: SocketAddr| TcpListener::bind(listen)?.local_addr();
    if listen.port() != 0 {
        return free(listen);
    }
    let mut found = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..ATTEMPTS {
        let among = u64::from(LASTING_PORTS.end - LASTING_PORTS.start);
        let at = u64::from_le_bytes(random::bytes()) % among;
        let port = LASTING_PORTS.start + u16::try_from(at).expect("it is less than a port");
        found = free(SocketAddr::new(listen.ip(), port));
        if found.is_ok() {
            break;
        }
    }
    found
}

/// Where others reach what listens here.
#[must_use]
pub fn reached_at(listen: SocketAddr) -> SocketAddr {
    if !listen.ip().is_unspecified() {
        return listen;
    }
    // No packet is sent: the system only says from where it would be (an address for documentation).
    let towards = |socket: UdpSocket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    };
    let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(towards);
    SocketAddr::new(own.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |own| own.ip()), listen.port())
}

/// Begins all that, if this home is a host of a cluster.
///
/// # Errors
/// Who this home is cannot be read.
pub(crate) fn begin(
    home: &Arc<Home>,
    incarnation: Incarnation,
    reporter: &Reporter,
    bulk: Option<BulkCalls>,
) -> Result<(), PkiError> {
    let Some(standing) = Standing::of(home)? else { return Ok(()) };
    let (Some(host), Some(listen)) = (standing.member.host(), standing.listen()?) else { return Ok(()) };
    let listen: SocketAddr = listen.parse().map_err(|why| PkiError::Unreadable(format!("{listen:?}: {why}")))?;
    let (name, key) = (standing.name.clone(), standing.key_digest()?);
    let listening = DaemonMessage::Listening { name, address: reached_at(listen).to_string(), key };
    let from = ArmorName::Daemon(host);
    reporter.tell(Happening::Input(Input::Message { from, incarnation, message: listening.into() }));
    tokio::spawn(listen_at(listen, home.clone(), host, bulk));
    tokio::spawn(renew_in_time(home.clone(), standing));
    Ok(())
}

/// A person has no daemon: whatever they do past half of their certificate's time gets them another one
/// first.
pub async fn freshen(home: &Home) {
    let standing = Standing::of(home).ok().flatten();
    let person = standing.filter(|standing| standing.member.host().is_none());
    let Some(standing) = person.filter(|standing| matches!(until_due(standing), Ok(None))) else { return };
    let renewed = tokio::time::timeout(FRESHENED_WITHIN, pki::enrol::renew(home, &standing)).await;
    match renewed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => crate::log!("your certificate is not renewed: {error}"),
        Err(_late) => crate::log!("your certificate is not renewed: the FTM does not answer"),
    }
}

async fn listen_at(listen: SocketAddr, home: Arc<Home>, host: HostId, bulk: Option<BulkCalls>) {
    let mut told = false;
    loop {
        match tokio::net::TcpListener::bind(listen).await {
            Ok(listener) => return door::keep_open(listener, home, host, bulk).await,
            Err(error) if !told => {
                crate::log!("no other machine can reach {host}: cannot listen at {listen}: {error}; tried again");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(PORT_TAKEN_PAUSE).await;
    }
}

async fn renew_in_time(home: Arc<Home>, standing: Standing) {
    let mut told = String::new();
    loop {
        let wait = match until_due(&standing) {
            Ok(Some(wait)) => wait.min(LONGEST_SLEEP),
            Ok(None) => match pki::enrol::renew(&home, &standing).await {
                Ok(()) => continue,
                Err(error) => tell(&mut told, &error, pause(&standing)),
            },
            Err(error) => tell(&mut told, &error, LONGEST_SLEEP),
        };
        tokio::time::sleep(wait).await;
    }
}

/// The same trouble is told once.
fn tell(told: &mut String, error: &dyn std::error::Error, pause: Duration) -> Duration {
    let text = error.to_string();
    if *told != text {
        crate::log!("this host's certificate is not renewed: {text}; tried again");
        *told = text;
    }
    pause
}

/// How long until another certificate is due; `None`: it is.
fn until_due(standing: &Standing) -> Result<Option<Duration>, PkiError> {
    let validity = certificate::validity(&standing.certificate()?)?;
    let due = validity.from + validity.until.saturating_sub(validity.from) / 2;
    Ok(due.checked_sub(pki::now()).filter(|&seconds| seconds > 0).map(Duration::from_secs))
}

fn pause(standing: &Standing) -> Duration {
    let life = standing.certificate().and_then(|certificate| certificate::validity(&certificate));
    let life = life.map_or(0, |validity| validity.until.saturating_sub(validity.from));
    (Duration::from_secs(life) / ATTEMPTS_A_LIFE).clamp(Duration::from_millis(200), LONGEST_SLEEP)
}
