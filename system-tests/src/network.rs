//! A network: namespaces for several hosts on a bridge of their own, each with an address.
//!
//! Nothing of it is seen outside: the bridge lies in a namespace too. What can happen to a network is done
//! to it as it would happen: a link is down, a direction is dropped, packets are lost at random.

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::skip;

/// Where every host listens.
const PORT: u16 = 7_700;

/// The network of several hosts.
#[derive(Debug)]
pub struct Network {
    /// Begins the names of all its namespaces.
    prefix: String,
    hosts: Vec<u16>,
}

/// Whether a network can be made here; reports what is missing.
#[must_use]
pub fn is_possible() -> bool {
    skip::is_root("make network namespaces") && skip::has(&["ip", "nft", "nsenter"])
}

impl Network {
    /// Makes the network of so many hosts, numbered from 1; nothing runs there yet.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn wire(hosts: u16) -> Network {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let network = Network { prefix: format!("chf{}-{number}", std::process::id()), hosts: (1..=hosts).collect() };
        let switch = network.switch();
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "bridge", "up"]);
        for &host in &network.hosts {
            let (space, port) = (network.space(host), port(host));
            ip(&["netns", "add", &space]);
            ip(&["-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space]);
            ip(&["-n", &switch, "link", "set", &port, "master", "bridge", "up"]);
            ip(&["-n", &space, "addr", "add", &format!("{}/24", address(host)), "dev", "eth0"]);
            ip(&["-n", &space, "link", "set", "eth0", "up"]);
            ip(&["-n", &space, "link", "set", "lo", "up"]);
        }
        network.nft("add table bridge trial; add chain bridge trial forward { type filter hook forward priority 0; }");
        network
    }

    // ---- what happens to hosts ----

    /// The cable of a host is pulled, or plugged in again.
    pub fn cable(&self, host: u16, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        ip(&["-n", &self.switch(), "link", "set", &port(host), state]);
    }

    /// What a host sends is dropped; it still hears the others.
    pub fn mute(&self, host: u16) {
        self.nft(&format!("add rule bridge trial forward iifname \"{}\" drop", port(host)));
    }

    /// What is sent to a host is dropped; the others still hear it.
    pub fn deafen(&self, host: u16) {
        self.nft(&format!("add rule bridge trial forward oifname \"{}\" drop", port(host)));
    }

    /// So many packets of a hundred are lost, whoever sends them.
    pub fn lose(&self, percent: u16) {
        self.nft(&format!("add rule bridge trial forward numgen random mod 100 < {percent} drop"));
    }

    /// Nothing is dropped any more.
    pub fn heal(&self) {
        self.nft("flush chain bridge trial forward");
    }

    // ---- names ----

    /// Where a host listens.
    #[must_use]
    pub fn endpoint(&self, host: u16) -> String {
        format!("{}:{PORT}", address(host))
    }

    /// The namespace that the processes of a host are in, as /proc shows it.
    ///
    /// # Panics
    /// If there is no such host.
    #[must_use]
    pub fn inode(&self, host: u16) -> u64 {
        let path = format!("/run/netns/{}", self.space(host));
        std::fs::metadata(&path).unwrap_or_else(|why| panic!("{path}: {why}")).ino()
    }

    /// What `nsenter` must be told to run something on a host.
    #[must_use]
    pub fn enter(&self, host: u16) -> String {
        format!("--net=/run/netns/{}", self.space(host))
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    fn space(&self, host: u16) -> String {
        format!("{}-h{host}", self.prefix)
    }

    fn nft(&self, rules: &str) {
        let space = format!("--net=/run/netns/{}", self.switch());
        run("nsenter", &[&space, "nft", rules]);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let spaces = self.hosts.iter().map(|&host| self.space(host)).chain([self.switch()]);
        for space in spaces {
            let _ = Command::new("ip").args(["netns", "del", &space]).status();
        }
    }
}

fn address(host: u16) -> String {
    format!("10.77.{}.{}", host / 250, host % 250 + 1)
}

/// A host's end on the bridge.
fn port(host: u16) -> String {
    format!("port{host}")
}

#[track_caller]
fn ip(words: &[&str]) {
    run("ip", words);
}

#[track_caller]
fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().unwrap_or_else(|why| panic!("{program}: {why}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {said}", words.join(" "));
}
