//! Tokens as people paste them: any text is refused, or is the token that is written as it was read.
#![no_main]

use chameleon_core::token::Token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(token.to_string(), text.trim());
    }
});
