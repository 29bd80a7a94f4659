//! What there is to do with this repository besides building it: `cargo xtask COMMAND`.

mod simulate;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sim", rest @ ..] => simulate::sim(rest),
        ["stories", rest @ ..] => simulate::stories(rest),
        _ => {
            eprintln!("usage: cargo xtask sim SEED | sim --seeds N [--from SEED] | stories [NAME…] [--bless]");
            ExitCode::from(2)
        }
    }
}
