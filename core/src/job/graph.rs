//! Stages as a graph: which stage waits for which, and in what order they run because of that.
//!
//! They run one after the other, each with all lanes that there are: side by side two stages would share
//! the same CPUs, and end no sooner. A stage that says nothing waits for the one that stands before it.

use std::collections::BTreeMap;

use super::syntax::Reading;
use super::{Stage, check};
use crate::document::{At, Table};
use crate::names::StageId;
use crate::word::{BadValue, listing, nearest};

/// What a stage says of those it waits for.
pub(super) struct Waits<'a> {
    /// `None`: nothing, so that it waits for the one before it.
    after: Option<Vec<At<&'a str>>>,
    /// The one whose output it reads.
    stdin: Option<At<&'a str>>,
}

/// A stage, and those it waits for, by name.
pub(super) struct Draft<'a> {
    pub stage: Stage,
    pub waits: Waits<'a>,
}

impl<'a> Waits<'a> {
    pub(super) fn read(table: &mut Table<'a>) -> Self {
        let what = "a list of stages that end before this one begins, such as [\"a\", \"b\"]";
        let after = table.optional("after").map(|value| value.strings(what, "the name of a stage"));
        let stdin = table.table("stdin").and_then(|mut source| {
            let what = "the stage whose decided standard output is read, such as { stage = \"a\" }";
            let value = source.required("stage", what);
            let named = value.and_then(|value| Some(At::new(value.span(), value.string(what)?)));
            source.finish();
            named
        });
        Waits { after, stdin }
    }

    /// All names, with their keys.
    fn names(&self) -> impl Iterator<Item = (&'static str, &At<&'a str>)> {
        let after = self.after.iter().flatten().map(|name| ("after", name));
        after.chain(self.stdin.iter().map(|name| ("stage", name)))
    }
}

/// The stages in the order in which they run. What is wrong is noted, and they stay as they stand.
pub(super) fn ordered(reading: &Reading<'_>, drafts: Vec<Draft<'_>>) -> Vec<Stage> {
    let places: BTreeMap<String, usize> =
        drafts.iter().enumerate().map(|(place, draft)| (draft.stage.name.clone(), place)).collect();
    let mut known = true;
    for (key, name) in drafts.iter().flat_map(|draft| draft.waits.names()) {
        if !places.contains_key(*name.get_ref()) {
            reading.refuse_value(name.span(), key, &unknown(name.get_ref(), &places));
            known = false;
        }
    }
    let order = if known { run_order(&drafts, &places) } else { Ok((0..drafts.len()).collect()) };
    match order {
        Ok(order) => renumbered(reading, drafts, &places, &order),
        Err(circle) => {
            let said = circle.iter().find_map(|place| drafts[*place].waits.names().next());
            let names: Vec<&str> = circle.iter().map(|place| drafts[*place].stage.name.as_str()).collect();
            reading.refuse_circle(said.map_or(0..0, |(_, name)| name.span()), &names);
            drafts.into_iter().map(|draft| draft.stage).collect()
        }
    }
}

fn unknown(name: &str, places: &BTreeMap<String, usize>) -> BadValue {
    let names = || places.keys().map(String::as_str);
    let expected = format!("the name of another stage: {}", listing(names()));
    BadValue { found: name.to_owned(), expected, nearest: nearest(name, names()).map(str::to_owned) }
}

/// The places of the stages in running order, or those of stages that wait for each other in a circle.
fn run_order(drafts: &[Draft<'_>], places: &BTreeMap<String, usize>) -> Result<Vec<usize>, Vec<usize>> {
    let waits_for: Vec<Vec<usize>> = (0..drafts.len()).map(|place| awaited(drafts, places, place)).collect();
    let (mut order, mut done) = (Vec::new(), vec![false; drafts.len()]);
    while order.len() < drafts.len() {
        let ready = |place: &usize| !done[*place] && waits_for[*place].iter().all(|other| done[*other]);
        let Some(next) = (0..drafts.len()).find(ready) else { return Err(circle(&waits_for, &done)) };
        done[next] = true;
        order.push(next);
    }
    Ok(order)
}

/// The places of those that one waits for.
fn awaited(drafts: &[Draft<'_>], places: &BTreeMap<String, usize>, place: usize) -> Vec<usize> {
    let waits = &drafts[place].waits;
    let named = waits.names().filter_map(|(_, name)| places.get(*name.get_ref()).copied());
    let before = place.checked_sub(1).filter(|_| waits.after.is_none());
    named.chain(before).collect()
}

/// Follows those that wait until one comes again: no stage of these can ever run.
fn circle(waits_for: &[Vec<usize>], done: &[bool]) -> Vec<usize> {
    let stuck = |place: &usize| !done[*place];
    let mut path: Vec<usize> = (0..done.len()).find(stuck).into_iter().collect();
    while let Some(next) = path.last().and_then(|last| waits_for[*last].iter().copied().find(stuck)) {
        if let Some(again) = path.iter().position(|place| *place == next) {
            path.drain(..again);
            break;
        }
        path.push(next);
    }
    path
}

/// The stages in this order, those that are read known by their place in it.
fn renumbered(
    reading: &Reading<'_>,
    drafts: Vec<Draft<'_>>,
    places: &BTreeMap<String, usize>,
    order: &[usize],
) -> Vec<Stage> {
    let number_of = |place: &usize| order.iter().position(|other| other == place).and_then(|at| u16::try_from(at).ok());
    let mut drafts: Vec<Option<Draft<'_>>> = drafts.into_iter().map(Some).collect();
    let (mut stages, mut readers) = (Vec::with_capacity(order.len()), Vec::new());
    for place in order {
        let Some(Draft { mut stage, waits }) = drafts[*place].take() else { continue };
        if let Some(name) = waits.stdin {
            stage.stdin = places.get(*name.get_ref()).and_then(number_of).map(StageId);
            readers.push((stages.len(), name.span()));
        }
        stages.push(stage);
    }
    for (reader, span) in readers {
        reading.fits(span, check::handed(&stages, StageId(u16::try_from(reader).unwrap_or_default())));
    }
    stages
}

#[cfg(test)]
mod tests {
    use crate::job::{Job, OsBytes, Stdin, Surroundings, parse};
    use crate::names::StageId;

    /// A job of these stages, each a name and what else is said of it.
    fn job(stages: &[(&str, &str)]) -> Job {
        let stage =
            |(name, rest): &(&str, &str)| format!("[[stage]]\nname = \"{name}\"\ncommand = [\"true\"]\n{rest}\n");
        let stages: String = stages.iter().map(stage).collect();
        let text = format!("[job]\nname = \"x\"\nstrategy = \"tmr\"\n{stages}");
        let surroundings = Surroundings {
            directory: OsBytes::from(b"/run".to_vec()),
            environment: vec![],
            stdin: Stdin::Null,
            read: &|_| unreachable!("no file is named"),
        };
        parse("job.toml", text.as_bytes(), &surroundings).unwrap_or_else(|refusal| panic!("{refusal}")).job
    }

    fn order(stages: &[(&str, &str)]) -> String {
        let names: Vec<String> = job(stages).stages.into_iter().map(|stage| stage.name).collect();
        names.join(" ")
    }

    #[test]
    fn a_stage_runs_behind_those_it_waits_for_and_else_where_it_stands() {
        assert_eq!(order(&[("a", ""), ("b", ""), ("c", "")]), "a b c");
        assert_eq!(order(&[("a", "after = [\"c\"]"), ("b", "after = []"), ("c", "after = []")]), "b c a");
        assert_eq!(order(&[("a", "after = [\"b\", \"c\"]"), ("b", "after = []"), ("c", "")]), "b c a");
        let reads = ("a", "after = []\nstdin = { stage = \"b\" }");
        assert_eq!(order(&[reads, ("b", "after = []")]), "b a", "what it reads comes before it, too");
    }

    #[test]
    fn what_a_stage_reads_is_known_by_its_place_in_running_order() {
        let job = job(&[
            ("send", "after = []\nstdin = { stage = \"order\" }\nstrategy = \"single\"\nexecution = \"at-most-once\""),
            ("order", "after = []"),
        ]);
        assert_eq!(job.stages[1].stdin, Some(StageId(0)));
        assert_eq!(
            (job.strategy_of(StageId(0)).name.as_str(), job.strategy_of(StageId(1)).name.as_str()),
            ("tmr", "single")
        );
        assert!(job.is_at_most_once(StageId(1)) && !job.is_at_most_once(StageId(0)));
    }
}
