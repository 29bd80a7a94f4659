//! `docs/protocol.md` is the messages as they are declared.

use super::{Finding, Rule};
use crate::protocol;
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "protocol",
    holds: "every message says who sends it and what answers it; docs/protocol.md agrees",
    check,
};

fn check(tree: &Tree) -> Vec<Finding> {
    let (page, unsaid) = protocol::page(tree);
    let remedy =
        "begin its doc comment with `SENDER → RECIPIENT: what it says.`, end it with `Answered by …` or `No answer.`";
    let unsaid = unsaid
        .into_iter()
        .map(|message| Finding::at(&message.place, format!("{} says too little", message.name), remedy));
    let stale = (tree.text(protocol::PAGE) != Some(page.as_str())).then(|| {
        Finding::at(protocol::PAGE, "differs from the messages in core/src/message", "cargo xtask protocol --write")
    });
    unsaid.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str =
        "/// To a Voter.\npub enum VoterMessage {\n    /// SM → Voter: decide. No answer.\n    Convene,\n}\n";

    #[test]
    fn a_page_that_lags_behind_the_messages_is_found() {
        let path = "core/src/message/voter.rs";
        let (page, _) = protocol::page(&Tree::of(&[(path, MESSAGE)]));
        assert_eq!(check(&Tree::of(&[(path, MESSAGE), (protocol::PAGE, &page)])), []);
        assert_eq!(check(&Tree::of(&[(path, &MESSAGE.replace("Convene", "Begin")), (protocol::PAGE, &page)])).len(), 1);
    }

    #[test]
    fn a_message_without_a_sender_is_found() {
        let silent = MESSAGE.replace("SM → Voter: decide", "Decide");
        let findings = check(&Tree::of(&[("core/src/message/voter.rs", &silent)]));
        assert!(findings.iter().any(|finding| finding.what.contains("VoterMessage::Convene")), "{findings:?}");
    }
}
