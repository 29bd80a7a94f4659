//! An etcd of a system that is all on this machine: its members, on loopback, under mutual TLS with an authority of
//! their own. They keep running until the system ends; starting it again starts those that do not run.
//!
//! ```text
//! HOME/etcd/authority.pem, certificate.pem, key.pem     by which members and candidates know each other
//!           ports                                       a line a member: for candidates, and for other members
//!           mN/data/, log, process
//!           alone/                                      while the one member that is left is read
//!           before-TIME/mN/                             members that others were put in place of
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chameleon_core::world::ProcessMark;
use chameleon_etcd::address::Files;
use chameleon_etcd::{Address, Client, Failure, Operation, Transaction};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::outside;
use crate::process::{Process, mark};

/// Members of an etcd of a home: one may be lost.
pub const COUNT: u16 = 3;
/// Under which the candidates of a home keep everything.
pub const PREFIX: &str = "chameleon";
/// The program, as Debian's `etcd-server` has it.
const PROGRAM: &str = "etcd";
/// For members on one machine: a leader that died is replaced in a third of a second.
const HEARTBEAT_MS: &str = "30";
const ELECTION_MS: &str = "200";
/// Revisions that are kept: nobody here reads older ones.
const KEPT_REVISIONS: &str = "1000";
/// How long members may take until they answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Why there is no such etcd.
#[derive(Debug, thiserror::Error)]
pub enum MembersError {
    #[error("there is no program `etcd`, which several FTMs need; on Debian: apt-get install etcd-server")]
    Missing,
    #[error("cannot use {path}, where the etcd of this system lies: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("its certificates cannot be made: {0}")]
    Certificates(#[from] rcgen::Error),
    #[error("etcd does not answer within {ANSWER_WITHIN:?}, its log is {log}: {why}")]
    Silent { log: PathBuf, why: Failure },
}

/// Starts the members that do not run, so many in all, and waits until they serve. The address has this prefix.
///
/// # Errors
/// See [`MembersError`].
pub fn start(directory: &Path, count: u16, prefix: &str) -> Result<Address, MembersError> {
    start_with(directory, count, prefix, &[])
}

/// Whether this is the address of an etcd that lies there.
#[must_use]
pub fn is_in(directory: &Path, address: &Address) -> bool {
    address.tls.as_ref().is_some_and(|files| files.authority.starts_with(directory))
}

/// The members that have what they kept, by number.
#[must_use]
pub fn with_data(directory: &Path) -> Vec<usize> {
    let has_data = |number: &usize| directory.join(format!("m{number}/data/member")).exists();
    (1..=known_ports(directory).map_or(0, |ports| ports.len())).filter(has_data).collect()
}

/// Reads what one member kept without the others, and leaves it as it is: what is read is a copy, which takes itself for
/// the whole cluster.
///
/// # Errors
/// See [`MembersError`].
pub fn read_alone<T>(
    directory: &Path,
    number: usize,
    prefix: &str,
    read: impl FnOnce(&Address) -> T,
) -> Result<T, MembersError> {
    let alone = directory.join("alone");
    let file = |source| MembersError::File { path: alone.clone(), source };
    remove(&alone).map_err(file)?;
    copy(&directory.join(format!("m{number}/data")), &alone.join("m1/data")).map_err(file)?;
    let found = start_with(&alone, 1, prefix, &["--force-new-cluster"]).map(|address| read(&address));
    stop(&alone);
    remove(&alone).map_err(file)?;
    found
}

/// Ends all members and sets what they kept aside, so that others can be put in their place; where it is then, if any kept
/// anything.
///
/// # Errors
/// See [`MembersError`].
pub fn set_aside(directory: &Path, unix_ms: u64) -> Result<Option<PathBuf>, MembersError> {
    stop(directory);
    let aside = directory.join(format!("before-{unix_ms}"));
    let file = |source| MembersError::File { path: aside.clone(), source };
    for number in with_data(directory) {
        fs::create_dir_all(&aside).map_err(file)?;
        let name = format!("m{number}");
        fs::rename(directory.join(&name), aside.join(&name)).map_err(file)?;
    }
    for number in 1..=known_ports(directory).map_or(0, |ports| ports.len()) {
        remove(&directory.join(format!("m{number}"))).map_err(file)?;
    }
    Ok(aside.exists().then_some(aside))
}

fn start_with(directory: &Path, count: u16, prefix: &str, further: &[&str]) -> Result<Address, MembersError> {
    let address = address(directory, count, prefix)?;
    let ports = known_ports(directory).map_err(|source| MembersError::File { path: directory.to_owned(), source })?;
    for number in 1..=ports.len() {
        start_member(directory, number, &ports, further)?;
    }
    await_answer(directory, &address)?;
    Ok(address)
}

/// Where members here are reached, started or not; their certificates and ports are made if there are none.
///
/// # Errors
/// See [`MembersError`].
pub fn address(directory: &Path, count: u16, prefix: &str) -> Result<Address, MembersError> {
    let file = |source| MembersError::File { path: directory.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(file)?;
    if !directory.join("key.pem").exists() {
        make_certificates(directory)?;
    }
    let ports = ports(directory, count).map_err(file)?;
    let files = |name: &str| directory.join(name);
    let tls = Files { authority: files("authority.pem"), certificate: files("certificate.pem"), key: files("key.pem") };
    let members = ports.iter().map(|(clients, _)| format!("{LOOPBACK}:{clients}")).collect();
    Ok(Address { members, prefix: prefix.to_owned(), tls: Some(tls) })
}

/// Ends all members that run.
pub fn stop(directory: &Path) {
    let members: Vec<Process> = entries(directory).iter().filter_map(|member| running(member)).collect();
    members.iter().for_each(Process::kill);
    for member in members {
        member.wait(None);
        member.reap();
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.join("process").exists()).collect()
}

fn running(member: &Path) -> Option<Process> {
    let bytes = fs::read(member.join("process")).ok()?;
    let marked = minicbor::decode::<ProcessMark>(&bytes).ok()?;
    Process::open(&marked).ok().filter(|process| !process.has_exited())
}

/// The ports of each member: for candidates, and for other members. They are drawn once.
fn ports(directory: &Path, count: u16) -> io::Result<Vec<(u16, u16)>> {
    let path = directory.join("ports");
    if path.exists() {
        return known_ports(directory);
    }
    let free = || outside::choose(SocketAddr::from((LOOPBACK, 0))).map(|address| address.port());
    let ports = (0..count).map(|_| Ok((free()?, free()?))).collect::<io::Result<Vec<(u16, u16)>>>()?;
    let text: String = ports.iter().map(|(clients, members)| format!("{clients} {members}\n")).collect();
    fs::write(path, text)?;
    Ok(ports)
}

fn known_ports(directory: &Path) -> io::Result<Vec<(u16, u16)>> {
    let read = |line: &str| {
        let (clients, members) = line.split_once(' ')?;
        Some((clients.parse().ok()?, members.parse().ok()?))
    };
    let text = fs::read_to_string(directory.join("ports"))?;
    text.lines().map(|line| read(line).ok_or_else(|| io::Error::other("its ports cannot be read"))).collect()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn start_member(directory: &Path, number: usize, ports: &[(u16, u16)], further: &[&str]) -> Result<(), MembersError> {
    let member = directory.join(format!("m{number}"));
    if running(&member).is_some() {
        return Ok(());
    }
    let file = |source| MembersError::File { path: member.clone(), source };
    fs::create_dir_all(&member).map_err(file)?;
    let log = OpenOptions::new().append(true).create(true).open(member.join("log")).map_err(file)?;
    let mut command = Command::new(PROGRAM);
    command.args(arguments(directory, number, ports)).args(further).process_group(0);
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(file)?).stderr(log);
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MembersError::Missing,
        _ => file(error),
    })?;
    let marked = mark::of(child.id()).map_err(file)?;
    let bytes = minicbor::to_vec(&marked).expect("writing to memory cannot fail");
    fs::write(member.join("process"), bytes).map_err(file)
}

fn arguments(directory: &Path, number: usize, ports: &[(u16, u16)]) -> Vec<String> {
    let path = |name: &str| directory.join(name).display().to_string();
    let at = |port: u16| format!("https://{LOOPBACK}:{port}");
    let (clients, others) = ports[number - 1];
    let cluster: Vec<String> =
        ports.iter().zip(1..).map(|((_, port), number)| format!("m{number}={}", at(*port))).collect();
    let mut arguments = vec![
        format!("--name=m{number}"),
        format!("--data-dir={}", path(&format!("m{number}/data"))),
        format!("--listen-client-urls={}", at(clients)),
        format!("--advertise-client-urls={}", at(clients)),
        format!("--listen-peer-urls={}", at(others)),
        format!("--initial-advertise-peer-urls={}", at(others)),
        format!("--initial-cluster={}", cluster.join(",")),
        format!("--heartbeat-interval={HEARTBEAT_MS}"),
        format!("--election-timeout={ELECTION_MS}"),
        "--auto-compaction-mode=revision".to_owned(),
        format!("--auto-compaction-retention={KEPT_REVISIONS}"),
        "--logger=zap".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    for whose in ["", "peer-"] {
        arguments.push(format!("--{whose}client-cert-auth"));
        arguments.push(format!("--{whose}trusted-ca-file={}", path("authority.pem")));
        arguments.push(format!("--{whose}cert-file={}", path("certificate.pem")));
        arguments.push(format!("--{whose}key-file={}", path("key.pem")));
    }
    arguments
}

fn await_answer(directory: &Path, address: &Address) -> Result<(), MembersError> {
    let silent = |why| MembersError::Silent { log: directory.join("m1/log"), why };
    let client = Client::new(address).map_err(silent)?;
    let look =
        Transaction { then: vec![Operation::Get(format!("{}/format", address.prefix))], ..Transaction::default() };
    let began = Instant::now();
    loop {
        match client.transact(&look) {
            Ok(_) => return Ok(()),
            Err(why) if began.elapsed() >= ANSWER_WITHIN => return Err(silent(why)),
            Err(_not_yet) => std::thread::sleep(PAUSE),
        }
    }
}

/// An authority of this etcd alone, and one certificate for members and candidates.
pub(super) fn make_certificates(directory: &Path) -> Result<(), MembersError> {
    let (authority_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_certificate = authority.self_signed(&authority_key)?;
    let mut wanted = CertificateParams::new(vec![LOOPBACK.to_string()])?;
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = wanted.signed_by(&key, &Issuer::new(authority, authority_key))?;
    for (name, text) in [
        ("authority.pem", authority_certificate.pem()),
        ("certificate.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        let path = directory.join(name);
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(text.as_bytes())
        };
        write().map_err(|source| MembersError::File { path: path.clone(), source })?;
    }
    Ok(())
}
