//! Where the hosts of a system are reached by datagrams, and what their machines do when somebody knocks.
//!
//! Hosts of a cluster use the number of the port at which their daemon listens, and know each other's by the address
//! book. Hosts that share a home are on one machine: each keeps its port in its directory.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use chameleon_core::names::{ArmorName, HostId};
use chameleon_core::world::Knock;
use tokio::net::{TcpStream, UdpSocket};

use crate::home::{Home, write_whole};
use crate::pki::{self, Standing};

/// How long a machine may take to open.
const OPENS_WITHIN: Duration = Duration::from_millis(100);

/// Opens the socket at which this host is reached.
///
/// # Errors
/// The port is taken, or cannot be told to the others.
pub async fn open(home: &Home, host: HostId) -> io::Result<UdpSocket> {
    if let Some(standing) = Standing::of(home).map_err(io::Error::other)?
        && let Some(listen) = standing.listen().map_err(io::Error::other)?
    {
        return UdpSocket::bind(&listen).await;
    }
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    write_whole(&home.beats(host), socket.local_addr()?.to_string().as_bytes())?;
    Ok(socket)
}

/// Where another host is reached now; each life of its Heartbeat may be elsewhere.
#[must_use]
pub fn address(home: &Home, host: HostId) -> Option<SocketAddr> {
    let known = pki::read_book(home).ok().and_then(|book| book.address(host)?.parse().ok());
    known.or_else(|| fs::read_to_string(home.beats(host)).ok()?.parse().ok())
}

/// Knocks at the door of another host's daemon: its system opens, also if nobody in there looks.
pub async fn knock(home: &Home, host: HostId) -> Knock {
    let opened = match pki::read_book(home).ok().and_then(|book| book.address(host).map(str::to_owned)) {
        Some(address) => match tokio::time::timeout(OPENS_WITHIN, TcpStream::connect(address)).await {
            Ok(opened) => opened.map(drop),
            Err(_late) => return Knock::Nothing,
        },
        None => UnixStream::connect(home.socket(ArmorName::Daemon(host))).map(drop),
    };
    match opened {
        Ok(()) => Knock::Opens,
        Err(error) if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) => Knock::Nobody,
        Err(error) if error.kind() == ErrorKind::WouldBlock => Knock::Opens,
        Err(_) => Knock::Nothing,
    }
}
