//! Tokens as people paste them: any text is refused, or is the token that is written as it was read.

use chameleon_core::token::Token;

use crate::made;

/// Reads what these bytes make.
pub fn run(bytes: &[u8]) {
    let Some(text) = made::<&str>(bytes) else { return };
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(token.to_string(), text.trim());
    }
}
