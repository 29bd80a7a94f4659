//! `docs/measurements.md`: sections that commands write, each between two marks, the rest left alone.

use std::io;
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::tree::root;

/// What a measuring program printed.
pub struct Measured {
    pub text: String,
    pub success: bool,
}

/// Runs the program of a package in release mode, and shows what it prints.
///
/// # Errors
/// cargo cannot be started.
pub fn take(package: &str, arguments: &[String], variable: Option<(&str, String)>) -> Result<Measured, Failure> {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(["run", "--quiet", "--release", "--package", package, "--"]);
    command.args(arguments).envs(variable).stderr(Stdio::inherit());
    let output = command.output().map_err(|why| Failure::Unstartable { program: "cargo".to_owned(), why })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    Ok(Measured { text, success: output.status.success() })
}

/// Puts `text` in the place of what stands between the marks of this section; at the end if there is none yet.
///
/// # Errors
/// The page cannot be read or written.
pub fn put(section: &str, text: &str) -> Result<(), Failure> {
    let path = root().join("docs/measurements.md");
    let old = match std::fs::read_to_string(&path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => "# Measurements\n".to_owned(),
        read => read.map_err(|why| Failure::Unreadable { path: path.clone(), why })?,
    };
    std::fs::write(&path, replaced(&old, section, text)).map_err(|why| Failure::Unwritable { path, why })
}

fn replaced(old: &str, section: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {section} begins -->"), format!("<!-- {section} ends -->"));
    let new = format!("{begin}\n{}\n{end}", text.trim());
    let place = old.find(&begin).zip(old.find(&end)).filter(|(begin, end)| begin < end);
    match place {
        Some((from, to)) => format!("{}{new}{}", &old[..from], &old[to + end.len()..]),
        None => format!("{}\n\n{new}\n", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let first = replaced("# M\n", "chaos", "one");
        assert_eq!(first, "# M\n\n<!-- chaos begins -->\none\n<!-- chaos ends -->\n");
        let both = replaced(&first, "bench", "figures");
        let again = replaced(&both, "chaos", "two");
        assert_eq!(again, both.replace("one", "two"));
    }
}
