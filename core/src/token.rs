//! Tokens: one line that lets one host or person in, once.
//!
//! A token carries a secret, of which the FTM keeps the digest only, and the digest of the cluster's
//! authority's key, so that whoever joins with it cannot be fooled by somebody else who answers.

use std::fmt;
use std::str::FromStr;

use crate::names::Digest;

const PREFIX: &str = "chameleon-";
const SECRET: usize = 16;
const CHECK: usize = 4;
const LENGTH: usize = 32 + SECRET + CHECK;

/// A token, as its holder has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// BLAKE3 of the public key (SubjectPublicKeyInfo, DER) of the cluster's authority.
    pub authority: Digest,
    pub secret: [u8; SECRET],
}

/// A text that is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no whole token: one is printed by `chameleon token create`, starts with {PREFIX:?} and has {} letters", PREFIX.len() + 2 * LENGTH)]
pub struct BadToken;

impl Token {
    /// By which the FTM knows the token.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.secret)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.authority.0[..], &self.secret].concat();
        let check = blake3::hash(&bytes);
        bytes.extend(&check.as_bytes()[..CHECK]);
        bytes
    }
}

/// By which the FTM knows the token of this secret.
#[must_use]
pub fn digest(secret: &[u8]) -> Digest {
    Digest(blake3::derive_key("chameleon 2026 token", secret))
}

/// The token itself, to be shown to its holder and nobody else.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Never the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?})", self.digest())
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(BadToken)?;
        if !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(BadToken);
        }
        let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map_while(pair).collect();
        let (authority, rest) = bytes.split_first_chunk::<32>().ok_or(BadToken)?;
        let (secret, _) = rest.split_first_chunk::<SECRET>().ok_or(BadToken)?;
        let token = Token { authority: Digest(*authority), secret: *secret };
        if digits.len() == 2 * LENGTH && token.bytes() == bytes { Ok(token) } else { Err(BadToken) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_itself_and_a_mistyped_one_is_none() {
        let token = Token { authority: Digest([7; 32]), secret: [9; SECRET] };
        let text = token.to_string();
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token));
        for at in 0..text.len() {
            let mut mistyped = text.clone().into_bytes();
            mistyped[at] = if mistyped[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(String::from_utf8(mistyped).unwrap().parse::<Token>(), Err(BadToken), "letter {at}");
            assert_eq!(text[..at].parse::<Token>(), Err(BadToken));
        }
        for odd in ["chameleon-", "chameleon-é", "chameleon-0", "chameleon-+1"] {
            assert_eq!(odd.parse::<Token>(), Err(BadToken));
        }
    }
}
