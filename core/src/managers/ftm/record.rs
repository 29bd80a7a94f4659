//! What the FTM keeps, each under a key of its own in its store.

use minicbor::{Decode, Encode};

use crate::job::OsBytes;
use crate::managers::ftm::enrolment::{MemberRecord, TokenRecord};
use crate::managers::ftm::events::EventRecord;
use crate::managers::ftm::jobs::JobRecord;
use crate::managers::ftm::notices::NoticeRecord;
use crate::managers::ftm::registry::Entry;
use crate::managers::ftm::restoration::Past;
use crate::message::Conduct;
use crate::names::{ArmorName, Digest, HostId, Incarnation, JobId, Term};
use crate::profile::Profile;
use crate::shell::Place;

/// A durable change of what the FTM knows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FtmRecord {
    /// The term, and the numbers and fencing tokens given to jobs, and to events, that may be gone by now.
    #[n(0)]
    Reign {
        #[n(0)]
        term: Term,
        #[n(1)]
        last_job: JobId,
        #[n(2)]
        next_event: u64,
        #[n(3)]
        #[cbor(default)]
        last_token: u64,
    },
    #[n(1)]
    Job(#[n(0)] JobRecord),
    #[n(2)]
    JobGone(#[n(0)] JobId),
    #[n(3)]
    Armor(#[n(0)] Entry),
    /// It is retired.
    #[n(4)]
    ArmorGone(#[n(0)] ArmorName),
    #[n(5)]
    Event(#[n(0)] EventRecord),
    #[n(6)]
    EventGone(#[n(0)] u64),
    #[n(7)]
    Notice(#[n(0)] NoticeRecord),
    /// It is delivered, or given up.
    #[n(8)]
    NoticeGone(#[n(0)] u64),
    #[n(9)]
    Host(#[n(0)] HostRecord),
    #[n(60)]
    Standing(#[n(0)] StandingRecord),
    /// From which the keys are made that hosts share; drawn in the first reign.
    #[n(61)]
    Secret(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]),
    /// Nothing but that the reign changes something: so often in it.
    #[n(130)]
    Beat(#[n(0)] u64),
    /// Whether a person wants nothing more on this host.
    #[n(62)]
    Drained {
        #[n(0)]
        host: HostId,
        #[n(1)]
        drained: bool,
    },
    /// What is on record of a host.
    #[n(140)]
    Conduct {
        #[n(0)]
        host: HostId,
        #[n(1)]
        conduct: Conduct,
    },
    /// By what command a host is started when it is lost; empty: by none.
    #[n(141)]
    Revive {
        #[n(0)]
        host: HostId,
        #[n(1)]
        command: Vec<OsBytes>,
    },
    #[n(40)]
    Token(#[n(0)] TokenRecord),
    #[n(41)]
    TokenGone(#[n(0)] Digest),
    #[n(42)]
    Member(#[n(0)] MemberRecord),
    /// The store was put back as it was; what it forgot.
    #[n(150)]
    Past(#[n(0)] Past),
    #[n(80)]
    Profile(#[n(0)] ProfileRecord),
}

/// A host that has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct HostRecord {
    #[n(0)]
    pub host: HostId,
    /// What its daemons observed with a number below this is on record.
    #[n(1)]
    pub observed: u64,
    /// The life of its daemon that has joined last, and when it did so first.
    #[n(2)]
    pub daemon: Incarnation,
    #[n(3)]
    pub since_unix_ms: u64,
}

/// What a host was found to be, in this life of its daemon.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ProfileRecord {
    #[n(0)]
    pub host: HostId,
    #[n(1)]
    pub daemon: Incarnation,
    #[n(2)]
    pub profile: Box<Profile>,
}

/// How a host stands with the FTM.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StandingRecord {
    #[n(0)]
    pub host: HostId,
    #[n(1)]
    pub standing: Standing,
}

/// Whether a host gets ARMORs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub enum Standing {
    #[default]
    #[n(0)]
    Serving,
    /// Nobody hears it; what was needed of it is elsewhere.
    #[n(1)]
    Lost {
        #[n(0)]
        since_unix_ms: u64,
    },
}

impl FtmRecord {
    /// Numbers are written so that the order of keys is their order.
    #[must_use]
    pub fn place(&self) -> Place {
        let job = |job: &JobId| format!("job/{:020}", job.0);
        let armor = |name: &ArmorName| format!("armor/{name}");
        let event = |number: &u64| format!("event/{number:020}");
        let notice = |number: &u64| format!("notice/{number:020}");
        match self {
            FtmRecord::Reign { .. } => Place::Put("term".to_owned()),
            FtmRecord::Job(record) => Place::Put(job(&record.id)),
            FtmRecord::JobGone(id) => Place::Delete(job(id)),
            FtmRecord::Armor(entry) => Place::Put(armor(&entry.name)),
            FtmRecord::ArmorGone(name) => Place::Delete(armor(name)),
            FtmRecord::Event(record) => Place::Put(event(&record.number)),
            FtmRecord::EventGone(number) => Place::Delete(event(number)),
            FtmRecord::Notice(record) => Place::Put(notice(&record.number)),
            FtmRecord::NoticeGone(number) => Place::Delete(notice(number)),
            FtmRecord::Token(record) => Place::Put(format!("token/{}", record.digest)),
            FtmRecord::TokenGone(digest) => Place::Delete(format!("token/{digest}")),
            FtmRecord::Member(record) => Place::Put(format!("member/{}", record.member)),
            FtmRecord::Host(record) => Place::Put(format!("host/{:010}", record.host.0)),
            FtmRecord::Beat(_) => Place::Put("beat".to_owned()),
            FtmRecord::Secret(_) => Place::Put("secret".to_owned()),
            FtmRecord::Past(_) => Place::Put("past".to_owned()),
            FtmRecord::Standing(record) => Place::Put(format!("standing/{:010}", record.host.0)),
            FtmRecord::Drained { host, .. } => Place::Put(format!("drained/{:010}", host.0)),
            FtmRecord::Conduct { host, .. } => Place::Put(format!("conduct/{:010}", host.0)),
            FtmRecord::Revive { host, .. } => Place::Put(format!("revive/{:010}", host.0)),
            FtmRecord::Profile(record) => Place::Put(format!("profile/{:010}", record.host.0)),
        }
    }
}
