//! The stages of a job file.

use std::collections::BTreeSet;

use super::check::{self, Unfit};
use super::command::TASK;
use super::graph::{self, Draft, Waits};
use super::syntax::{Reading, os_bytes};
use super::{Files, OsBytes, Promise, Stage, values};
use crate::document::{At, Table, Value};
use crate::strategy::Strategy;

/// All stages, in the order in which they run: each behind those that it waits for, and else as they stand.
///
/// `promise` is that of stages which make none of their own.
pub(super) fn read<'a>(
    reading: &mut Reading<'a>,
    root: &mut Table<'a>,
    strategy: &Strategy,
    promise: Promise,
) -> Vec<Stage> {
    let Some(value) = root.required("stage", "at least one table [[stage]] with name and command") else {
        return vec![];
    };
    let tables = value.tables("[[stage]]");
    if let Some(count) = value.length() {
        reading.fits(value.span(), check::stage_count(count));
    }
    let mut names = BTreeSet::new();
    let stage = |mut table: Table<'a>| {
        let mut stage = stage(reading, &mut table, promise);
        stage.strategy = own_strategy(reading, &mut table, strategy);
        let says = table.has("execution") && table.holds("execution");
        if let Some(span) = says.then(|| table.span_of("execution")) {
            reading.fits(span, check::promise(stage.promise, stage.strategy.as_ref().unwrap_or(strategy)));
        }
        let waits = Waits::read(&mut table);
        if !stage.name.is_empty() && !names.insert(stage.name.clone()) {
            reading.refuse(table.span_of("name"), &Unfit::SameName { name: stage.name.clone() });
        }
        table.finish();
        Draft { stage, waits }
    };
    let drafts = tables.into_iter().map(stage).collect();
    graph::ordered(reading, drafts)
}

/// The strategy of a stage that asks for another than the job's.
fn own_strategy<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, usual: &Strategy) -> Option<Strategy> {
    let own = reading.own_strategy(table, Some(usual));
    own.filter(|_| ["strategy", "replicas", "quorum", "order"].into_iter().any(|key| table.has(key)))
}

fn stage<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, promise: Promise) -> Stage {
    let name = reading.name(table);
    let what = "the program and its arguments, such as [\"sort\", \"in.txt\"]";
    let words = table.required("command", what).map_or_else(Vec::new, |value| reading.command(&value));
    let what = "a range of tasks such as \"0..10000\"";
    let tasks = table.optional("tasks").and_then(|value| value.parsed(what, values::tasks));
    let files = table.optional("files").and_then(|value| value.word()).unwrap_or(Files::Overlay);
    let inputs = paths(reading, table.optional("inputs"), "the path of a file that the program reads");
    let bundle =
        paths(reading, table.optional("bundle"), "the path of a file or directory that belongs to the program");
    let mut outputs = paths(reading, table.optional("outputs"), "a path outside the run directory that may be written");
    outputs.retain(|path| is_output(reading, path, files));
    let promise = table.optional("execution").and_then(|value| value.word()).unwrap_or(promise);
    check_task(reading, table, &words);
    let bare = |paths: Vec<At<OsBytes>>| paths.into_iter().map(At::into_inner).collect();
    let command = words.iter().map(|word| os_bytes(word.get_ref())).collect();
    Stage {
        name,
        command,
        tasks,
        files,
        inputs: bare(inputs),
        outputs: bare(outputs),
        promise,
        strategy: None,
        stdin: None,
        bundle: bare(bundle),
        only: Vec::new(),
    }
}

/// Paths, made absolute.
fn paths(reading: &Reading<'_>, value: Option<Value<'_>>, what: &str) -> Vec<At<OsBytes>> {
    let items = value.map_or_else(Vec::new, |value| value.items("a list of paths, such as [\"in.txt\"]"));
    items.iter().filter_map(|item| Some(At::new(item.span(), reading.path(item, what)?))).collect()
}

/// Whether an output is one that a stage must know: what lies in an overlay is held anyway.
fn is_output(reading: &mut Reading<'_>, path: &At<OsBytes>, files: Files) -> bool {
    let directory = &reading.surroundings.directory;
    let held = check::is_within(path.get_ref(), directory);
    let fits = reading.fits(path.span(), check::output(directory, path.get_ref(), files)).is_some();
    if held && fits {
        let hint = "outputs names paths outside the run directory";
        reading.remark(path.span(), "this output is in the run directory, which is held and committed anyway", hint);
    }
    !held && fits
}

/// Tasks that the command does not name, and a name that no task stands behind.
fn check_task(reading: &mut Reading<'_>, table: &Table<'_>, words: &[At<&str>]) {
    let naming: Vec<&At<&str>> = words.iter().filter(|word| word.get_ref().contains(TASK)).collect();
    if table.has("tasks") && naming.is_empty() && !words.is_empty() {
        let hint = format!("{TASK} in the command stands for the number of the task");
        reading.remark(table.span_of("command"), "the command is the same for every task", &hint);
    }
    if !table.has("tasks") {
        naming.iter().for_each(|word| reading.refuse(word.span(), &Unfit::NoTasks));
    }
}
