//! People who ask the FTM for something: who makes tokens, revokes, drains hosts or moves ARMORs, and hosts and
//! persons who want to be let into the cluster.
//!
//! Each asks the FTM one thing, again whenever the link to it comes up, until it is answered. A host that
//! is let in starts. Certificates mean nothing in a world that cannot lie about who is who; what a
//! revocation does to links happens as on a real machine: a little after the daemon has the new book.

use std::collections::{BTreeMap, BTreeSet};

use chameleon_core::armor::{Effect, LinkEvent};
use chameleon_core::book::Book;
use chameleon_core::message::{Application, DaemonMessage, FtmMessage, Message, UserMessage};
use chameleon_core::names::{ArmorName, Digest, HostId, Incarnation, JobId, Millis, Term};
use chameleon_core::principal::{Principal, Role};
use chameleon_core::shell::{Identity, Input, Output};
use chameleon_core::token;
use chameleon_core::world::ProcessMark;

use crate::process::{Arrival, Body, Pid, Process};
use crate::world::{Next, World};

/// How long processes take to look at the book that their daemon keeps, in microseconds.
const LOOK_US: u64 = 200_000;
/// How long it takes to start a host, in microseconds.
const START_US: u64 = 5_000;
/// The numbers of those who ask begin here, beyond those of users with jobs.
const FIRST: u64 = 1_000;
/// The founding host, and the key that its home has.
const FOUNDER: (HostId, &str) = (HostId(1), "founder");

/// What somebody asks of the FTM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// That a token of this secret be good for one of this role, for so long.
    Token { secret: String, role: Role, good_for: Millis },
    /// To be let in with the token of this secret, with this key, under this name.
    Enrol { secret: String, key: String, name: String },
    /// That one of this name be let in no more.
    Revoke { name: String },
    /// That nothing more be placed on this host, or that it be used again.
    Drain { host: HostId, drained: bool },
    /// That what was started at most once in this job is on record as something that did not happen.
    DidNotHappen { job: JobId },
    /// That this host be started by this command when it is lost.
    ReviveBy { host: HostId, command: String },
    /// That this host be trusted again.
    Pardon { host: HostId },
    /// That the reign of this term end.
    StepDown { term: Term },
    /// That this ARMOR go on on that host.
    Move { name: ArmorName, to: HostId },
}

impl Question {
    fn message(&self) -> FtmMessage {
        match self {
            Question::Token { secret, role, good_for } => {
                FtmMessage::MakeToken { digest: token::digest(secret.as_bytes()), role: *role, good_for: *good_for }
            }
            Question::Enrol { secret, key, name } => FtmMessage::Enrol(Box::new(Application {
                secret: secret.as_bytes().to_vec(),
                name: name.clone(),
                address: format!("{name}:7117"),
                key: key.as_bytes().to_vec(),
            })),
            Question::Revoke { name } => FtmMessage::Revoke { name: name.clone() },
            Question::Drain { host, drained } => FtmMessage::Drain { host: *host, drained: *drained },
            Question::DidNotHappen { job } => FtmMessage::Resolve {
                job: *job,
                happened: false,
                who: "somebody".to_owned(),
                note: "nothing came of it".to_owned(),
                force: false,
            },
            Question::ReviveBy { host, command } => {
                let words = command.split_whitespace().map(|word| word.as_bytes().to_vec().into());
                FtmMessage::ReviveBy { host: *host, command: words.collect() }
            }
            Question::Pardon { host } => FtmMessage::Pardon { host: *host },
            Question::StepDown { term } => FtmMessage::StepDown { term: *term },
            Question::Move { name, to } => FtmMessage::Move { name: *name, to: *to },
        }
    }
}

/// A cluster that was founded on the first host.
#[derive(Debug)]
pub struct Cluster {
    /// The keys that hosts have.
    keys: BTreeMap<HostId, String>,
    /// Who is let in no more, as each host knows by now.
    shut_out: BTreeMap<HostId, BTreeSet<HostId>>,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster { keys: BTreeMap::from([(FOUNDER.0, FOUNDER.1.to_owned())]), shut_out: BTreeMap::new() }
    }
}

impl Cluster {
    fn parts(&self, one: HostId, other: HostId) -> bool {
        let shuts = |here, there| self.shut_out.get(&here).is_some_and(|hosts| hosts.contains(&there));
        shuts(one, other) || shuts(other, one)
    }
}

/// The command of one who asks.
#[derive(Debug)]
pub struct Caller {
    identity: Identity,
    question: Question,
    answer: Option<UserMessage>,
}

impl Caller {
    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Something reaches it; an answer waits to be looked at.
    pub fn handle(&mut self, input: Input) -> Output {
        match input {
            Input::Link(LinkEvent::Up { peer: ArmorName::Ftm, .. }) => self.ask(),
            Input::Message { message: Message::User(answer), .. } => {
                self.answer = Some(answer);
                Output::default()
            }
            _ => Output::default(),
        }
    }

    fn ask(&self) -> Output {
        let message = self.question.message().into();
        Output { effects: vec![Effect::Send { to: ArmorName::Ftm, message }], save: None }
    }
}

impl World {
    /// Somebody comes and asks, on the first host that people can use.
    pub(crate) fn ask(&mut self, question: Question) {
        let is_up = |host: &HostId| !self.fabric.is_down(*host) && !self.fabric.is_frozen(*host);
        let Some(host) = self.hosts.keys().copied().find(is_up) else { return };
        self.standing.asked += 1;
        let name = ArmorName::User(FIRST + self.standing.asked);
        let identity = self.identity(name, Incarnation(1), host);
        let caller = Box::new(Caller { identity: identity.clone(), question, answer: None });
        let first = caller.ask();
        let pid = self.new_pid();
        let mut process = Process::new(host, ProcessMark::default(), Body::Caller(caller), None, self.agenda.now_us());
        process.mark.pid = pid.0;
        self.processes.insert(pid, process);
        self.bound.insert(name, pid);
        self.take_step(pid, &identity, &Input::Saved(u64::MAX), 0, first);
    }

    /// Those who asked and were not answered yet.
    pub fn unanswered(&self) -> impl Iterator<Item = ArmorName> + '_ {
        let asking = self.processes.values().filter(|process| matches!(process.body, Body::Caller(_)));
        asking.filter_map(Process::name)
    }

    /// One who asked and was answered goes; a host that was let in starts.
    pub(crate) fn serve_caller(&mut self, pid: Pid) {
        let Some(Process { body: Body::Caller(caller), .. }) = self.processes.get_mut(&pid) else { return };
        let Some(answer) = caller.answer.take() else { return };
        let question = caller.question.clone();
        self.kill(pid);
        if let (UserMessage::Admitted(admission), Question::Enrol { key, .. }) = (answer, question)
            && let Principal::Host(host) = admission.member
            && let Some(cluster) = &mut self.cluster
        {
            cluster.keys.insert(host, key);
            self.hosts.entry(host).or_default();
            self.later(START_US, Next::Revive { host });
        }
    }

    /// A daemon of a cluster knows where its host is reached.
    pub(crate) fn know_where(&mut self, pid: Pid, identity: &Identity) {
        let host = identity.host;
        let Some(key) = self.cluster.as_ref().and_then(|cluster| cluster.keys.get(&host)) else { return };
        let key = Digest(*blake3::hash(key.as_bytes()).as_bytes());
        let listening = DaemonMessage::Listening { name: host.to_string(), address: format!("{host}:7117"), key };
        let (from, incarnation, message) = (identity.name, identity.incarnation, listening.into());
        self.arrive(pid, Arrival::Input(Input::Message { from, incarnation, message }));
    }

    /// A daemon keeps a book: its host's processes will look at it.
    pub(crate) fn keep_book(&mut self, host: HostId, book: &Book) {
        let revoked = book.revoked.iter().filter_map(Principal::host).collect();
        self.after(LOOK_US, Next::ShutOut { host, revoked });
    }

    /// The processes of a host have nothing to do with those of these hosts any more.
    pub(crate) fn shut_out(&mut self, host: HostId, revoked: BTreeSet<HostId>) {
        let Some(cluster) = &mut self.cluster else { return };
        cluster.shut_out.insert(host, revoked);
        let parted: Vec<_> = self
            .network
            .whole()
            .filter(|&(_, from, to)| self.bound.get(&to).is_some_and(|&peer| self.are_parted(from, peer)))
            .collect();
        for (connection, from, to) in parted {
            let host = self.network.peer(connection).map(|peer| self.host_of(peer)).unwrap_or_default();
            self.cut(connection, from, to, host);
        }
    }

    /// Whether a revocation stands between these two.
    #[must_use]
    pub fn are_parted(&self, one: Pid, other: Pid) -> bool {
        let host = |pid| self.processes.get(&pid).map(|process: &Process| process.host);
        match (&self.cluster, host(one), host(other)) {
            (Some(cluster), Some(one), Some(other)) => cluster.parts(one, other),
            _ => false,
        }
    }
}
