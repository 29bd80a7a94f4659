//! The figures with real processes: the job files in `examples/figures`, whose tasks are the trials.

use std::process::{Command, Stdio};

use super::{Counts, Figure};
use crate::failure::Failure;
use crate::tree::root;

/// Tasks of the job files.
const TRIALS: u64 = 300;

/// Runs the job file of a figure and looks at what each task came to.
///
/// # Errors
/// Chameleon cannot be started, or prints something else than a line a task and stage.
pub fn run(figure: Figure) -> Result<Counts, Failure> {
    let (name, lanes) = match figure {
        Figure::Unprotected => ("unprotected", 1),
        Figure::VotedAtTheEnd => ("voted-at-the-end", 3),
        Figure::VotedPerStage => ("voted-per-stage", 3),
    };
    let inject = |lane| format!("--inject=flip:{lane}:p=0.{:06}", figure.per_million());
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(["run", "--quiet", "--package", "chameleon", "--", "run"]);
    command.arg(root().join("examples/figures").join(format!("{name}.toml"))).args((0..lanes).map(inject));
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(|why| Failure::Unstartable { program: "cargo".to_owned(), why })?;
    if !output.status.success() {
        return Err(Failure::NotAsItMustBe(format!("examples/figures/{name}.toml: {}", output.status)));
    }
    counted(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| Failure::NotAsItMustBe(format!("examples/figures/{name}.toml: not a line a task")))
}

/// The lines of the last stage: one a task, in order.
fn counted(printed: &str) -> Option<Counts> {
    let lines: Vec<&str> = printed.lines().collect();
    let last = lines.len().checked_sub(usize::try_from(TRIALS).ok()?)?;
    let right = (0..).zip(&lines[last..]).filter(|(task, line)| **line == expected(*task)).count() as u64;
    Some(Counts { right, wrong: TRIALS - right, none: 0 })
}

/// What a task prints at the end of the pipeline, if nothing is wrong.
fn expected(task: u64) -> String {
    format!("{:06}", task * 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_as_it_must_be_is_a_wrong_result() {
        let mut lines: Vec<String> = (0..TRIALS).map(expected).collect();
        lines[7].replace_range(3..4, "7");
        lines.insert(0, "of an earlier stage".to_owned());
        assert_eq!(counted(&lines.join("\n")), Some(Counts { right: TRIALS - 1, wrong: 1, none: 0 }));
        assert_eq!(counted("a line"), None);
    }
}
