//! Every ballot names its witness, and the witness signs (D12).
//!
//! A signature a ballot would eat half of what a task may cost, so a batch is signed at once: its
//! ballots are the leaves of a Merkle tree whose root is signed together with who says it, from
//! which host and about which input. One ballot can later be shown to a third party with the path
//! to the root. Leaves and inner nodes are hashed apart (RFC 6962, section 2.1), so that no inner
//! node can be passed off as a ballot.

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use minicbor::Encode;

use crate::message::{Ballot, Seal, Witness};
use crate::names::{Digest, LaneId};

/// Signs what `lane` says: ballots numbered from `first`, made where `witness` says.
#[must_use]
pub fn seal(key: &SigningKey, lane: LaneId, first: u64, witness: &Witness, ballots: &[Ballot]) -> Seal {
    let signature = key.sign(&statement(lane, first, witness, ballots));
    Seal { key: key.verifying_key().to_bytes(), signature: signature.to_bytes() }
}

/// Whether the seal's key signed exactly this.
#[must_use]
pub fn is_genuine(seal: &Seal, lane: LaneId, first: u64, witness: &Witness, ballots: &[Ballot]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&seal.key) else { return false };
    key.verify(&statement(lane, first, witness, ballots), &Signature::from_bytes(&seal.signature)).is_ok()
}

/// What is signed: the root, and everything that all ballots of the batch share.
fn statement(lane: LaneId, first: u64, witness: &Witness, ballots: &[Ballot]) -> Vec<u8> {
    let root = root(ballots.iter().map(|ballot| hash(0, &[&encode(ballot)])).collect());
    encode((lane, first, witness, root))
}

/// The root of a Merkle tree over these leaves; of none: a digest of nothing.
#[must_use]
pub fn root(mut level: Vec<Digest>) -> Digest {
    while level.len() > 1 {
        let parent = |pair: &[Digest]| match pair {
            [left, right] => hash(1, &[&left.0, &right.0]),
            rest => rest[0],
        };
        level = level.chunks(2).map(parent).collect();
    }
    level.pop().unwrap_or_else(|| hash(0, &[]))
}

fn hash(domain: u8, parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[domain]);
    for part in parts {
        hasher.update(part);
    }
    Digest(*hasher.finalize().as_bytes())
}

fn encode(value: impl Encode<()>) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Attempt, HostId, StageId, TaskId};
    use crate::world::{End, Ended, Region};

    fn ballot(task: u64) -> Ballot {
        let region = Region::default();
        let ended = Ended { end: End::Exit(0), stdout: region, stderr: region, changes: None, cpu_us: 1, wall_us: 1 };
        Ballot { stage: StageId(0), task: TaskId(task), attempt: Attempt(0), ended, host: HostId(1) }
    }

    #[test]
    fn a_seal_holds_for_exactly_what_was_sealed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let witness = Witness { host: HostId(1), ..Witness::default() };
        let ballots: Vec<Ballot> = (0..5).map(ballot).collect();
        let sealed = seal(&key, LaneId(1), 3, &witness, &ballots);
        assert!(is_genuine(&sealed, LaneId(1), 3, &witness, &ballots));

        let mut changed = ballots.clone();
        changed[2].ended.stdout.digest.0[0] ^= 1;
        let elsewhere = Witness { host: HostId(2), ..witness.clone() };
        let forged = Seal { key: SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes(), ..sealed.clone() };
        assert!(!is_genuine(&sealed, LaneId(1), 3, &witness, &changed), "another ballot");
        assert!(!is_genuine(&sealed, LaneId(1), 3, &witness, &ballots[..4]), "a ballot less");
        assert!(!is_genuine(&sealed, LaneId(2), 3, &witness, &ballots), "another lane");
        assert!(!is_genuine(&sealed, LaneId(1), 4, &witness, &ballots), "another place in the order");
        assert!(!is_genuine(&sealed, LaneId(1), 3, &elsewhere, &ballots), "another host");
        assert!(!is_genuine(&forged, LaneId(1), 3, &witness, &ballots), "another key");
    }

    #[test]
    fn an_inner_node_is_no_leaf() {
        let leaves: Vec<Digest> = (0..2).map(|task| hash(0, &[&encode(ballot(task))])).collect();
        let inner = root(leaves.clone());
        assert_ne!(inner, hash(0, &[&leaves[0].0, &leaves[1].0]));
    }
}
