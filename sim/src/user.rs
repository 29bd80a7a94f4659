//! Invented users: each hands in a job with the follower that `chameleon run` has, types its standard
//! input, prints what is released, and may lose patience.

use std::collections::VecDeque;

use chameleon_core::armor::Effect;
use chameleon_core::follower::{self, Act, Ending, Follower};
use chameleon_core::job::Job;
use chameleon_core::message::{Message, Release};
use chameleon_core::names::{ArmorName, HostId, Incarnation, JobId};
use chameleon_core::shell::{Identity, Input, Output};
use chameleon_core::world::{IndexEntry, ProcessMark};

use crate::history::Fact;
use crate::process::{Body, Pid, Process};
use crate::programs::{self, Truth};
use crate::slots::{digest, part};
use crate::world::{Next, World};

/// Where users are: no host of the system.
const USERS_MACHINE: HostId = HostId(0);
/// How long it usually takes to print a piece, in microseconds.
const PRINT_US: u64 = 300;

/// A person with a job.
#[derive(Debug)]
pub struct User {
    pub job: Job,
    /// Standard input, piece by piece, with the wait before each in ms.
    pub types: Vec<(u64, Vec<u8>)>,
    /// The command is `submit`, which prints nothing.
    pub quiet: bool,
    /// What became of it.
    pub fate: Fate,
    typed: usize,
    printing: VecDeque<Act>,
}

/// What a user has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fate {
    pub id: Option<JobId>,
    pub printed: Vec<u8>,
    pub ending: Option<Ending>,
    pub refused: Option<String>,
    pub interrupted: bool,
}

impl User {
    #[must_use]
    pub fn new(job: Job) -> Self {
        User { job, types: Vec::new(), quiet: false, fate: Fate::default(), typed: 0, printing: VecDeque::new() }
    }

    /// Whether nothing more comes for it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.fate.ending.is_some() || self.fate.refused.is_some()
    }

    /// What it should see, if that is anybody's to say: faults put in on purpose may be more than are tolerated.
    #[must_use]
    pub fn truth(&self) -> Option<Truth> {
        if !self.job.injections.is_empty() {
            return None;
        }
        let typed: Vec<u8> = self.types.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        programs::truth_of(&self.job, &typed)
    }
}

/// The command that a user runs.
#[derive(Debug)]
pub struct Command {
    identity: Identity,
    follower: Follower,
    acts: Vec<Act>,
}

impl Command {
    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Something reaches the command; what it does besides speaking waits to be carried out.
    pub fn handle(&mut self, input: Input) -> Output {
        match input {
            Input::Message { message: Message::User(message), .. } => self.decide(follower::Input::Message(message)),
            Input::Link(event) => self.decide(follower::Input::Link(event)),
            _ => Output::default(),
        }
    }

    fn decide(&mut self, input: follower::Input) -> Output {
        let acts = self.follower.handle(input);
        self.sort(acts)
    }

    fn sort(&mut self, acts: Vec<Act>) -> Output {
        let mut output = Output::default();
        for act in acts {
            match act {
                Act::Send { to, message } => output.effects.push(Effect::Send { to, message }),
                Act::Renew { peer } => output.effects.push(Effect::Renew { peer }),
                act => self.acts.push(act),
            }
        }
        output
    }
}

impl World {
    /// A user comes after so long, in microseconds.
    pub fn expect_user(&mut self, number: u64, user: User, after_us: u64) {
        self.users.insert(number, user);
        self.after(after_us, Next::UserComes { number });
    }

    pub(crate) fn user_comes(&mut self, number: u64) {
        let identity = self.identity(ArmorName::User(number), Incarnation(1), USERS_MACHINE);
        let Some(user) = self.users.get_mut(&number) else { return };
        let follower = Follower::new(number, user.job.clone(), !user.quiet);
        let mut command = Box::new(Command { identity: identity.clone(), follower, acts: Vec::new() });
        let first = command.follower.start();
        let output = command.sort(first);
        user.typed = 0;
        user.printing.clear();
        user.fate.printed.clear();
        let pid = self.new_pid();
        let mut process =
            Process::new(USERS_MACHINE, ProcessMark::default(), Body::User(command), None, self.agenda.now_us());
        process.mark.pid = pid.0;
        self.processes.insert(pid, process);
        self.bound.insert(identity.name, pid);
        self.tell(|| format!("{} hands in its job", identity.name));
        self.take_step(pid, &identity, &Input::Saved(u64::MAX), 0, output);
    }

    /// The users whose commands run: after a loss of power they come again, with the same requests.
    pub(crate) fn users_here(&self) -> Vec<u64> {
        let number = |name: &ArmorName| match name {
            ArmorName::User(number) => Some(*number),
            _ => None,
        };
        self.bound.keys().filter_map(number).collect()
    }

    fn command_of(&mut self, number: u64) -> Option<(Pid, &mut Command)> {
        let pid = *self.bound.get(&ArmorName::User(number))?;
        match &mut self.processes.get_mut(&pid)?.body {
            Body::User(command) => Some((pid, command)),
            Body::Blank | Body::Restoring(_) | Body::Armor(_) | Body::Caller(_) => None,
        }
    }

    /// Tells a user's command something that did not come over a link.
    fn tell_user(&mut self, number: u64, input: follower::Input) {
        let Some((pid, command)) = self.command_of(number) else { return };
        let output = command.decide(input);
        let identity = command.identity.clone();
        self.take_step(pid, &identity, &Input::Saved(u64::MAX), 0, output);
    }

    /// The user loses patience, with Ctrl-C.
    pub fn interrupt(&mut self, number: u64) {
        if let Some(user) = self.users.get_mut(&number) {
            user.fate.interrupted = true;
        }
        self.tell(|| format!("user-{number} presses Ctrl-C"));
        self.tell_user(number, follower::Input::Interrupted { code: 130 });
    }

    /// Carries out what a user's command wants besides speaking.
    pub(crate) fn serve_user(&mut self, pid: Pid) {
        let Some(Process { body: Body::User(command), .. }) = self.processes.get_mut(&pid) else { return };
        let ArmorName::User(number) = command.identity.name else { return };
        for act in std::mem::take(&mut command.acts) {
            self.serve(number, act);
        }
    }

    fn serve(&mut self, number: u64, act: Act) {
        let Some(user) = self.users.get_mut(&number) else { return };
        match act {
            Act::Accepted { job } => {
                let earlier = user.fate.id.replace(job);
                self.tell(|| format!("user-{number}'s job is {job}"));
                self.observe(&Fact::Accepted { user: number, job, earlier });
            }
            Act::Spool { .. } => {
                let wait_us = user.types.first().map_or(0, |(ms, _)| ms * 1_000);
                self.after(wait_us, Next::UserTypes { number });
            }
            Act::Print(_) | Act::PrintRest { .. } => {
                user.printing.push_back(act);
                if user.printing.len() == 1 {
                    self.later(PRINT_US, Next::UserPrints { number });
                }
            }
            Act::Refused { why } => {
                self.tell(|| format!("user-{number} is refused: {why}"));
                self.users.entry(number).and_modify(|user| user.fate.refused = Some(why));
            }
            Act::Done(ending) => self.user_ends(number, ending),
            Act::Send { .. } | Act::Renew { .. } | Act::Show { .. } => {}
        }
    }

    pub(crate) fn user_types(&mut self, number: u64) {
        let Some(user) = self.users.get_mut(&number) else { return };
        let Some(job) = user.fate.id else { return };
        let spool = self.files.spools.entry(job).or_default();
        if let Some((_, bytes)) = user.types.get(user.typed) {
            if user.typed == 0 {
                spool.clear();
            }
            spool.extend(bytes);
        }
        user.typed += 1;
        let (length, end) = (spool.len() as u64, user.typed >= user.types.len());
        if let Some((ms, _)) = user.types.get(user.typed) {
            let wait_us = ms * 1_000;
            self.after(wait_us, Next::UserTypes { number });
        }
        self.tell_user(number, follower::Input::Spooled { length, end });
    }

    pub(crate) fn user_prints(&mut self, number: u64) {
        if self.command_of(number).is_none() {
            return;
        }
        let Some(act) = self.users.get_mut(&number).and_then(|user| user.printing.pop_front()) else { return };
        if self.users.get(&number).is_some_and(|user| !user.printing.is_empty()) {
            self.later(PRINT_US, Next::UserPrints { number });
        }
        match act {
            Act::Print(release) => self.print(number, &release),
            Act::PrintRest { job, from, length } => self.print_rest(number, job, from, length),
            _ => {}
        }
    }

    fn print(&mut self, number: u64, release: &Release) {
        let Some(user) = self.users.get_mut(&number) else { return };
        let Some(job) = user.fate.id else { return };
        // As the command does: from the first of those who have it that gives what was voted on. A lane that moved may
        // have left its bytes behind.
        let first = (release.host, release.lane, release.slot, release.begins);
        let others =
            release.others.iter().map(|other| (other.host, other.lane, other.stdout.slot, other.stdout.offset));
        let own = std::iter::once(first).chain(others).find_map(|(host, lane, slot, begins)| {
            let pack = self.lanes.packs.get(&(host, job, lane, slot))?;
            let bytes = part(&pack.out, begins, release.offset + release.length);
            let own = part(bytes, release.offset, release.length);
            (digest(bytes) == release.digest && own.len() as u64 == release.length).then(|| own.to_vec())
        });
        let Some(own) = own else {
            let text = format!("user-{number} cannot read {release:?}: the bytes are not those that were decided");
            return self.violate("output is kept until its job is retired", text);
        };
        user.fate.printed.extend(&own);
        let upto = user.fate.printed.len() as u64;
        self.tell(|| format!("user-{number} prints {:?}", shown(&own)));
        self.tell_user(number, follower::Input::Printed { upto });
    }

    fn print_rest(&mut self, number: u64, job: JobId, from: u64, length: u64) {
        let mut whole = Vec::new();
        for entry in self.files.index.get(&job).cloned().unwrap_or_default() {
            let IndexEntry::Piece(piece) = entry else { continue };
            let bytes = piece.holders_alike().into_iter().find_map(|(host, lane, stdout)| {
                let pack = self.lanes.packs.get(&(host, job, lane, stdout.slot))?;
                let bytes = part(&pack.out, stdout.offset, stdout.length);
                (digest(bytes) == stdout.digest).then_some(bytes)
            });
            let Some(bytes) = bytes else {
                let text = format!("user-{number} cannot read {piece:?} of {job}: its bytes are not there");
                return self.violate("output is kept until its job is retired", text);
            };
            whole.extend(bytes);
        }
        let Some(user) = self.users.get_mut(&number) else { return };
        let rest = part(&whole, from, length.saturating_sub(from)).to_vec();
        user.fate.printed.extend(&rest);
        let upto = user.fate.printed.len() as u64;
        if !rest.is_empty() {
            self.tell(|| format!("user-{number} prints the rest, {:?}", shown(&rest)));
        }
        self.tell_user(number, follower::Input::RestPrinted { upto });
    }

    fn user_ends(&mut self, number: u64, ending: Ending) {
        let Some(user) = self.users.get_mut(&number) else { return };
        user.fate.ending = Some(ending.clone());
        let (job, truth, fate) = (user.job.clone(), user.truth(), user.fate.clone());
        self.tell(|| {
            format!(
                "user-{number} sees the end of {}: {}, exit code {}",
                ending.job,
                ending.outcome.word(),
                ending.outcome.exit_code()
            )
        });
        let (ending, truth) = (&ending, truth.as_ref());
        self.observe(&Fact::UserEnded { user: number, job: &job, fate: &fate, ending, truth });
        if let Some(pid) = self.bound.get(&ArmorName::User(number)).copied() {
            self.kill(pid);
        }
    }
}

/// Bytes as a story shows them.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}… ({} bytes)", &text[..at], bytes.len()),
        None => text.into_owned(),
    }
}
