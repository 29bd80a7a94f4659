//! Who is let into the cluster: tokens, hosts and persons, and who is let in no more.
//!
//! A token is used up on disk before the certificate that it is good for is handed out. If the answer
//! is lost, the same key may ask again with it; nobody else can. A host or a person that was let in
//! gets new certificates for the key it was let in with, for which no secret is needed: a certificate
//! is of use only to who has the key.

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::armor::{Effect, Moment};
use crate::book::{Book, Entry as Address};
use crate::managers::ftm::jobs::JobRecord;
use crate::managers::ftm::{Ftm, FtmRecord, FtmStep};
use crate::message::{Admission, Application, DaemonMessage, Story, UserMessage};
use crate::names::{ArmorName, Digest, HostId, Incarnation, Millis};
use crate::principal::{self, Principal, Role};
use crate::token;
use crate::world::ProcessCommand;

/// The longest that a token may be good: who has it may come in.
pub const LONGEST_GOOD: Millis = Millis(30 * 24 * 3_600_000);
/// How long a token is remembered after its time, so that who comes late is told so.
const REMEMBERED_MS: u64 = 7 * 24 * 3_600_000;

/// A token on record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TokenRecord {
    #[n(0)]
    pub digest: Digest,
    #[n(1)]
    pub role: Role,
    #[n(2)]
    pub good_until_unix_ms: u64,
    /// Who came in with it.
    #[n(3)]
    pub used_by: Option<Principal>,
}

/// A host or a person who was let in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MemberRecord {
    #[n(0)]
    pub member: Principal,
    #[n(1)]
    pub role: Role,
    #[n(2)]
    pub name: String,
    /// Where a host is reached; empty for a person.
    #[n(3)]
    pub address: String,
    /// BLAKE3 of its public key.
    #[n(4)]
    pub key: Digest,
    #[n(5)]
    pub is_revoked: bool,
}

impl MemberRecord {
    /// Its line in the address book, if it is a host that is let in.
    fn entry(&self) -> Option<Address> {
        let host = self.member.host().filter(|_| !self.is_revoked)?;
        let may_serve = self.role == Role::Ftm;
        Some(Address { host, name: self.name.clone(), address: self.address.clone(), may_serve })
    }
}

/// All tokens and members.
#[derive(Debug, Default)]
pub struct Enrolment {
    tokens: BTreeMap<Digest, TokenRecord>,
    members: BTreeMap<Principal, MemberRecord>,
}

impl Enrolment {
    pub fn put_token(&mut self, record: &TokenRecord) {
        self.tokens.insert(record.digest, record.clone());
    }

    pub fn remove_token(&mut self, digest: Digest) {
        self.tokens.remove(&digest);
    }

    pub fn put_member(&mut self, record: &MemberRecord) {
        self.members.insert(record.member.clone(), record.clone());
    }

    #[must_use]
    pub fn member(&self, member: &Principal) -> Option<&MemberRecord> {
        self.members.get(member)
    }

    /// A host's line in the address book.
    #[must_use]
    pub fn entry(&self, host: HostId) -> Option<Address> {
        self.member(&Principal::Host(host)).and_then(MemberRecord::entry)
    }

    /// Whether other machines can join at all.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        !self.members.is_empty()
    }

    /// Tokens that nobody needs to be told of any more.
    fn forgettable(&self, now: Moment) -> Vec<Digest> {
        let old = |record: &&TokenRecord| record.good_until_unix_ms + REMEMBERED_MS < now.unix_ms;
        self.tokens.values().filter(old).map(|record| record.digest).collect()
    }

    /// Who of this name is let in now.
    fn named(&self, name: &str) -> Option<&MemberRecord> {
        let hit = |record: &&MemberRecord| {
            !record.is_revoked && (record.name == name || record.member.to_string() == name || is_id(record, name))
        };
        self.members.values().find(hit)
    }

    /// Whether this application is good, and as whom it is let in; else a sentence that says why not.
    fn decide(&self, now: Moment, application: &Application, next: HostId) -> Result<MemberRecord, String> {
        let digest = token::digest(&application.secret);
        let unknown = "this token is not known here: it was made by another cluster, or more than a week ago";
        let token = self.tokens.get(&digest).ok_or_else(|| unknown.to_owned())?;
        let key = Digest(*blake3::hash(&application.key).as_bytes());
        if let Some(member) = &token.used_by {
            return self.again(member, key);
        }
        if now.unix_ms >= token.good_until_unix_ms {
            let ago = Millis(now.unix_ms - token.good_until_unix_ms);
            return Err(format!("this token was good until {ago} ago; `chameleon token create` makes another one"));
        }
        let Application { name, address, .. } = application;
        let member = match token.role {
            Role::User => Principal::User(name.clone()),
            Role::Host | Role::Ftm => Principal::Host(next),
        };
        // A host that was given no name is called by its number.
        let name = if name.is_empty() { next.to_string() } else { name.clone() };
        self.check_name(&name, &member)?;
        if member.host().is_some() && address.is_empty() {
            return Err("a host must say where it is reached; give it --listen ADDRESS:PORT".to_owned());
        }
        Ok(MemberRecord { member, role: token.role, name, address: address.clone(), key, is_revoked: false })
    }

    /// A token that was used: whoever used it may ask again.
    fn again(&self, member: &Principal, key: Digest) -> Result<MemberRecord, String> {
        match self.members.get(member) {
            Some(record) if record.key == key && !record.is_revoked => Ok(record.clone()),
            _ => Err(format!("this token was used already, by {member}; `chameleon token create` makes another one")),
        }
    }

    fn check_name(&self, name: &str, member: &Principal) -> Result<(), String> {
        if !principal::is_fit(name) {
            return Err(format!("{name:?} cannot be a name: use lower-case letters, digits, `.`, `_` and `-`"));
        }
        // A person is known by the name alone, and certificates of a revoked one may still be about.
        let known = self.named(name).or_else(|| self.members.get(member));
        match known {
            Some(known) if known.is_revoked => Err(format!("{} was revoked and is not let in again", known.member)),
            Some(known) => Err(format!("{name:?} is the name of {} already; choose another one", known.member)),
            None => Ok(()),
        }
    }

    /// The highest number that a host was let in with.
    fn last_host(&self) -> HostId {
        self.members.keys().filter_map(Principal::host).max().unwrap_or_default()
    }

    #[must_use]
    pub fn book(&self, ftm: HostId) -> Book {
        let revoked = self.members.values().filter(|record| record.is_revoked);
        Book {
            ftm,
            hosts: self.members.values().filter_map(MemberRecord::entry).collect(),
            revoked: revoked.map(|record| record.member.clone()).collect(),
        }
    }
}

/// Hosts are also known by their numbers.
fn is_id(record: &MemberRecord, name: &str) -> bool {
    record.member.host().is_some_and(|host| host.to_string() == name)
}

impl Ftm {
    /// Somebody who may rule here wants to let others in.
    pub(super) fn make_token(
        &mut self,
        now: Moment,
        user: ArmorName,
        digest: Digest,
        role: Role,
        good_for: Millis,
        step: &mut FtmStep,
    ) {
        if let Some(why) = self.may_not_rule(user) {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        if !self.enrolment.is_cluster() {
            let why = "no other machine can join this system: it was started by `chameleon dev`; \
                       `chameleon ftm init` makes one that can be joined";
            return self.reply(user, UserMessage::Refused { why: why.to_owned() }, step);
        }
        if good_for > LONGEST_GOOD {
            let why = "a token is good for 30 days at most: whoever has it may come in".to_owned();
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        for old in self.enrolment.forgettable(now) {
            self.save(step, FtmRecord::TokenGone(old));
        }
        if !self.enrolment.tokens.contains_key(&digest) {
            let good_until_unix_ms = now.unix_ms.saturating_add(good_for.0);
            self.save(step, FtmRecord::Token(TokenRecord { digest, role, good_until_unix_ms, used_by: None }));
        }
        self.reply(user, UserMessage::TokenKept { digest }, step);
    }

    /// A link proved who is behind a user's command. A person has no daemon that keeps the book.
    pub(super) fn introduced(&mut self, user: ArmorName, principal: Principal, step: &mut FtmStep) {
        let is_person = principal.host().is_none();
        self.users.introduce(user, principal);
        if is_person {
            let book = Box::new(self.enrolment.book(self.host));
            self.reply(user, UserMessage::Book(book), step);
        }
    }

    /// Somebody wants to be let in with a token.
    pub(super) fn enrol(&mut self, now: Moment, applicant: ArmorName, application: &Application, step: &mut FtmStep) {
        let last = self.hosts.keys().copied().max().unwrap_or_default();
        let last = last.max(self.enrolment.last_host()).max(self.past.last_host);
        let next = HostId(last.0 + 1);
        let record = match self.enrolment.decide(now, application, next) {
            Ok(record) => record,
            Err(why) => return self.reply(applicant, UserMessage::Refused { why }, step),
        };
        let (digest, member) = (token::digest(&application.secret), record.member.clone());
        if self.enrolment.member(&member).is_none() {
            let token = self.enrolment.tokens.get(&digest).cloned();
            if let Some(token) = token {
                self.save(step, FtmRecord::Token(TokenRecord { used_by: Some(member.clone()), ..token }));
            }
            self.save(step, FtmRecord::Member(record.clone()));
            self.note(now, None, Story::Enrolled { member: member.clone(), name: record.name.clone() }, step);
            self.tell_book(step);
        }
        self.sign(applicant, &record, application.key.clone(), step);
    }

    /// One that was let in before needs a new certificate.
    pub(super) fn renew(&mut self, applicant: ArmorName, member: &Principal, key: Vec<u8>, step: &mut FtmStep) {
        let why = match self.enrolment.member(member).cloned() {
            None => format!("{member} was never let in here"),
            Some(record) if record.is_revoked => format!("{member} was revoked and is not let in again"),
            Some(record) if record.key != Digest(*blake3::hash(&key).as_bytes()) => {
                format!("this is not the key with which {member} was let in")
            }
            Some(record) => return self.sign(applicant, &record, key, step),
        };
        self.reply(applicant, UserMessage::Refused { why }, step);
    }

    fn sign(&self, to: ArmorName, record: &MemberRecord, key: Vec<u8>, step: &mut FtmStep) {
        let (member, role) = (record.member.clone(), record.role);
        step.then(Effect::Process(ProcessCommand::Sign { to, member, role, key }));
    }

    /// A certificate was signed, or could not be.
    pub(super) fn signed(
        &mut self,
        to: ArmorName,
        member: Principal,
        outcome: Result<Vec<Vec<u8>>, String>,
        step: &mut FtmStep,
    ) {
        let answer = match outcome {
            Ok(chain) => {
                let chain = chain.into_iter().map(ByteVec::from).collect();
                UserMessage::Admitted(Box::new(Admission { member, chain, book: self.enrolment.book(self.host) }))
            }
            Err(why) => UserMessage::Refused { why: format!("{member} cannot be given a certificate: {why}") },
        };
        self.reply(to, answer, step);
    }

    /// A host or a person is let in no more: every host is told at once, and cuts what is up.
    pub(super) fn revoke(&mut self, now: Moment, user: ArmorName, name: &str, step: &mut FtmStep) {
        if let Some(why) = self.may_not_rule(user) {
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        let Some(record) = self.enrolment.named(name).cloned() else {
            let why = format!("nobody of the name {name:?} is let in here");
            return self.reply(user, UserMessage::Refused { why }, step);
        };
        let member = record.member.clone();
        if member == Principal::Host(self.host) {
            let why = format!("{member} is the host of the FTM itself and cannot be revoked");
            return self.reply(user, UserMessage::Refused { why }, step);
        }
        self.save(step, FtmRecord::Member(MemberRecord { is_revoked: true, ..record.clone() }));
        self.note(now, None, Story::Revoked { member: member.clone(), name: record.name }, step);
        self.tell_book(step);
        if let Some(host) = member.host() {
            self.shut_out(now, host, step);
        }
        self.reply(user, UserMessage::Revoked { member }, step);
    }

    pub(super) fn is_shut_out(&self, host: HostId) -> bool {
        self.enrolment.member(&Principal::Host(host)).is_some_and(|record| record.is_revoked)
    }

    /// Nothing is placed on a host any more, and what was to run there is lost.
    fn shut_out(&mut self, now: Moment, host: HostId, step: &mut FtmStep) {
        self.hosts.remove(&host);
        let there = self.registry.entries().filter(|entry| entry.decided.host() == Some(host));
        let names: Vec<ArmorName> = there.map(|entry| entry.name).collect();
        for name in names {
            self.registry.unsee(name);
            self.gone(host, name, step);
            self.lost(now, host, name, Incarnation(u32::MAX), &format!("{host} was revoked"), step);
        }
        let daemon = ArmorName::Daemon(host);
        self.linked.remove(&daemon);
        step.then(Effect::Forget { peer: daemon });
    }

    /// A daemon says where its host is reached. The founding host was let in by whoever made the cluster.
    pub(super) fn reachable(&mut self, host: HostId, name: String, address: String, key: Digest, step: &mut FtmStep) {
        let member = Principal::Host(host);
        let known = self.enrolment.member(&member).cloned();
        let record = match known {
            None if host == self.host => {
                MemberRecord { member, role: Role::Ftm, name, address, key, is_revoked: false }
            }
            Some(record) if !record.is_revoked && record.key == key => MemberRecord { address, ..record },
            None | Some(_) => return,
        };
        if self.enrolment.member(&record.member) == Some(&record) {
            return self.tell_book_to(host, step);
        }
        self.save(step, FtmRecord::Member(record));
        self.tell_book(step);
    }

    pub(super) fn tell_book(&self, step: &mut FtmStep) {
        self.hosts.keys().for_each(|&host| self.tell_book_to(host, step));
    }

    pub(super) fn tell_book_to(&self, host: HostId, step: &mut FtmStep) {
        let daemon = ArmorName::Daemon(host);
        if self.enrolment.is_cluster() && self.linked.contains(&daemon) {
            let book = Box::new(self.enrolment.book(self.host));
            step.send(daemon, DaemonMessage::Book { term: self.term, book });
        }
    }

    /// Tokens are made, names revoked and ARMORs moved by the owner of a home whose host may serve as FTM: a sentence
    /// if this is somebody else.
    pub(super) fn may_not_rule(&self, user: ArmorName) -> Option<String> {
        let who = self.users.principal(user)?;
        let serves = |record: &MemberRecord| record.role == Role::Ftm && !record.is_revoked;
        let rules = who.host().is_some() && self.enrolment.member(&who.member()).is_some_and(serves);
        let why = || format!("only the owner of a host that may serve as FTM may do this, and you are {who}");
        (!rules).then(why)
    }

    /// A job is cancelled, resolved and forgotten by who handed it in, or by who may make tokens: a sentence if this is
    /// somebody else.
    pub(super) fn not_theirs(&self, user: ArmorName, record: &JobRecord) -> Option<String> {
        let who = self.users.principal(user)?;
        if record.owner.as_ref() == Some(&who.member()) || self.may_not_rule(user).is_none() {
            return None;
        }
        let owner = record.owner.as_ref().map_or_else(|| "the owner of the FTM's home".to_owned(), ToString::to_string);
        Some(format!(
            "{} was handed in by {owner}, and you are {who}: what becomes of it is not yours to say",
            record.id
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment { boot: Millis(0), unix_ms: 1_000_000 };
    const NEXT: HostId = HostId(2);

    fn enrolment(role: Role) -> Enrolment {
        let mut enrolment = Enrolment::default();
        let token = TokenRecord { digest: token::digest(b"right"), role, good_until_unix_ms: 2_000_000, used_by: None };
        enrolment.put_token(&token);
        enrolment
    }

    fn application(name: &str) -> Application {
        let (secret, key) = (b"right".to_vec(), b"key".to_vec());
        Application { secret, name: name.to_owned(), address: "10.0.0.2:7171".to_owned(), key }
    }

    fn refused(enrolment: &Enrolment, now: Moment, application: &Application) -> String {
        enrolment.decide(now, application, NEXT).unwrap_err()
    }

    #[test]
    fn a_good_token_lets_in_what_it_is_good_for() {
        let host = enrolment(Role::Host).decide(NOW, &application("rack-7"), NEXT).unwrap();
        assert_eq!((host.member, host.role, host.name.as_str()), (Principal::Host(NEXT), Role::Host, "rack-7"));
        assert_eq!(enrolment(Role::Host).decide(NOW, &application(""), NEXT).unwrap().name, "h2");
        let user = enrolment(Role::User).decide(NOW, &application("ann"), NEXT).unwrap();
        assert_eq!((user.member, user.role), (Principal::User("ann".to_owned()), Role::User));
        assert_eq!(enrolment(Role::Ftm).decide(NOW, &application("b"), NEXT).unwrap().role, Role::Ftm);
    }

    #[test]
    fn a_bad_application_is_refused_in_a_sentence() {
        let late = Moment { unix_ms: 5_600_000, ..NOW };
        let wrong = Application { secret: b"wrong".to_vec(), ..application("a") };
        let nowhere = Application { address: String::new(), ..application("a") };
        let table = [
            (NOW, wrong, "not known here"),
            (late, application("a"), "good until"),
            (NOW, application("Rack 7"), "cannot be a name"),
            (NOW, nowhere, "--listen"),
        ];
        for (now, application, expected) in table {
            let why = refused(&enrolment(Role::Host), now, &application);
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn a_used_token_is_good_for_nobody_but_its_user() {
        let mut enrolment = enrolment(Role::Host);
        let member = enrolment.decide(NOW, &application("a"), NEXT).unwrap();
        enrolment.put_member(&member);
        let token = enrolment.tokens[&token::digest(b"right")].clone();
        enrolment.put_token(&TokenRecord { used_by: Some(member.member.clone()), ..token });
        // The answer was lost: the same key asks again, also when the token's time is over.
        let late = Moment { unix_ms: 9_000_000, ..NOW };
        assert_eq!(enrolment.decide(late, &application("a"), HostId(3)).unwrap(), member);
        let other = Application { key: b"other".to_vec(), ..application("b") };
        assert!(refused(&enrolment, NOW, &other).contains("used already, by host/h2"));
        enrolment.put_member(&MemberRecord { is_revoked: true, ..member });
        assert!(refused(&enrolment, NOW, &application("a")).contains("used already"));
    }

    #[test]
    fn a_name_is_given_to_one_at_a_time_and_a_revoked_person_not_again() {
        let mut hosts = enrolment(Role::Host);
        let member = hosts.decide(NOW, &application("a"), NEXT).unwrap();
        hosts.put_member(&member);
        assert!(refused(&hosts, NOW, &application("a")).contains("name of host/h2 already"));
        assert!(refused(&hosts, NOW, &application("h2")).contains("already"));
        hosts.put_member(&MemberRecord { is_revoked: true, ..member });
        assert_eq!(hosts.decide(NOW, &application("a"), HostId(3)).unwrap().member, Principal::Host(HostId(3)));

        let mut users = enrolment(Role::User);
        let ann = users.decide(NOW, &application("ann"), NEXT).unwrap();
        users.put_member(&MemberRecord { is_revoked: true, ..ann });
        assert!(refused(&users, NOW, &application("ann")).contains("was revoked"));
    }

    #[test]
    fn the_book_lists_who_is_in_and_who_is_no_more() {
        let mut enrolment = enrolment(Role::Host);
        let member = enrolment.decide(NOW, &application("a"), NEXT).unwrap();
        enrolment.put_member(&member);
        let book = enrolment.book(HostId(1));
        assert_eq!((book.address(NEXT), book.address(HostId(9))), (Some("10.0.0.2:7171"), None));
        enrolment.put_member(&MemberRecord { is_revoked: true, ..member });
        let book = enrolment.book(HostId(1));
        assert_eq!(book.address(NEXT), None);
        assert!(book.is_revoked(&Principal::Armor(NEXT, ArmorName::Daemon(NEXT))));
    }
}
