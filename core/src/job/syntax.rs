//! A job file: its text read into a job, every problem with its place.
//!
//! What the file leaves out has the values below; what comes from the surroundings of the person
//! who submits it (directory, environment, standard input) is handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::check::{self, SPOOL_QUOTA, Unfit};
use super::{Determinism, Job, Mask, Origin, OsBytes, Promise, Stdin, build, mask, needs, stages, values};
use crate::document::{self, At, Problems, Table, Value};
use crate::names::Millis;
use crate::refusal::{Problem, Refusal, Remarks};
use crate::strategy::check::MOST_REPLICAS;
use crate::strategy::library::{self, NotFound};
use crate::strategy::{Order, Strategy};
use crate::word::{BadValue, listing, nearest};

/// What a job has from where it is submitted.
pub struct Surroundings<'a> {
    /// The run directory, absolute.
    pub directory: OsBytes,
    /// `NAME=value`; the job's `env` comes on top.
    pub environment: Vec<OsBytes>,
    /// Used unless the job names a file.
    pub stdin: Stdin,
    /// Reads a strategy file, its path as it stands in the job file, or says why it cannot.
    pub read: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
}

/// A job file that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub job: Job,
    /// What is odd about it all the same; to be shown.
    pub remarks: Remarks,
}

/// Reads a job file. `file` is its name as the person wrote it.
///
/// # Errors
/// The text is refused, with all of its problems and those of the strategy file it names.
pub fn parse(file: &str, bytes: &[u8], surroundings: &Surroundings<'_>) -> Result<Accepted, Refusal> {
    let text = document::text_of(file, bytes)?;
    let (root, problems) = document::parse(text);
    let mut reading = Reading { problems: &problems, surroundings, remarks: vec![], within: vec![] };
    let job = reading.job(Table::root("the job file", &root, &problems));
    let Reading { remarks, within, .. } = reading;
    match job {
        Some(job) if problems.is_empty() => Ok(Accepted { job, remarks: Remarks::new(file, text, remarks) }),
        _ => Err(Refusal::new(file, text, problems.into_vec(), within)),
    }
}

/// A job file while it is read. Every method notes what is wrong and goes on.
pub(super) struct Reading<'a> {
    problems: &'a Problems<'a>,
    pub(super) surroundings: &'a Surroundings<'a>,
    remarks: Vec<Problem>,
    /// Strategy files that were refused.
    within: Vec<Refusal>,
}

impl<'a> Reading<'a> {
    /// The job; `None` without a `[job]`, and worth nothing if a problem was noted.
    fn job(&mut self, mut root: Table<'a>) -> Option<Job> {
        let mut header = root.required("job", "a table that begins with [job]").and_then(|value| value.table("[job]"));
        let strategy = header.as_mut().map_or_else(library::single, |header| self.strategy(header));
        let promise = self.promise(header.as_mut(), &strategy);
        let stages = stages::read(self, &mut root, &strategy, promise);
        let own_masks = root.optional("mask").map_or_else(Vec::new, |value| value.tables("[[mask]]"));
        let own_masks = own_masks.into_iter().map(|table| self.own_mask(table)).collect();
        let placement = root.table("placement");
        root.finish();
        let mut header = header?;
        let build = header.optional("build").and_then(|value| build::read(self, &value, &stages));
        let job = Job {
            name: self.name(&mut header),
            strategy,
            stages,
            deadline: self.deadline(&mut header),
            abnormal_exit: abnormal_exit(&mut header),
            notify: self.notify(&mut header),
            hold: flag(&mut header, "hold", "whether all output waits for the verdict"),
            net: flag(&mut header, "net", "whether programs may use the network"),
            determinism: header.optional("determinism").and_then(|value| value.word()).unwrap_or(Determinism::Plain),
            masks: self.masks(&mut header, own_masks),
            injections: vec![],
            directory: self.surroundings.directory.clone(),
            environment: self.environment(&mut header),
            stdin: self.stdin(&mut header),
            spool_quota: self.spool_quota(&mut header),
            origin: Origin::default(),
            build,
            umask: Job::USUAL_UMASK,
            needs: needs::read(self, &mut header, placement),
        };
        header.finish();
        Some(job)
    }

    /// Notes what does not fit, at its place.
    pub(super) fn fits<T>(&self, span: Range<usize>, result: Result<T, Unfit>) -> Option<T> {
        result.map_err(|unfit| self.refuse(span, &unfit)).ok()
    }

    /// Notes what does not fit.
    pub(super) fn refuse(&self, span: Range<usize>, unfit: &Unfit) {
        self.problems.note(span, unfit.to_string());
    }

    /// Notes a value that does not read as what it should be.
    pub(super) fn refuse_value(&self, span: Range<usize>, key: &str, bad: &BadValue) {
        self.problems.note_value(span, key, bad);
    }

    /// Notes that stages wait for each other.
    pub(super) fn refuse_circle(&self, span: Range<usize>, names: &[&str]) {
        let names: Vec<String> = names.iter().chain(names.first()).map(|name| format!("{name:?}")).collect();
        let sentence = format!("stages wait for each other, so that none could begin: {}", names.join(" waits for "));
        self.problems.note(span, sentence);
    }

    /// Notes what is odd, and allowed.
    pub(super) fn remark(&mut self, span: Range<usize>, sentence: &str, hint: &str) {
        self.remarks.push(Problem { span, sentence: sentence.to_owned(), hint: Some(hint.to_owned()) });
    }

    /// The name of a job, a stage or a mask.
    pub(super) fn name(&self, table: &mut Table<'a>) -> String {
        let what = "the name that listings and reports use";
        let name = table.required("name", what).and_then(|value| value.string(what));
        name.map(|name| self.fits(table.span_of("name"), check::name(name)));
        name.unwrap_or_default().to_owned()
    }

    /// The strategy that is named, with the lanes that are asked for.
    fn strategy(&mut self, header: &mut Table<'a>) -> Strategy {
        self.own_strategy(header, None).unwrap_or_else(library::single)
    }

    /// The strategy of a table, with the lanes that are asked for: of the one it names, or of `usual`.
    pub(super) fn own_strategy(&mut self, header: &mut Table<'a>, usual: Option<&Strategy>) -> Option<Strategy> {
        let what = format!("a strategy: {}, or a path ending in .toml", listing(library::names()));
        let named = match usual {
            Some(_) => header.optional("strategy"),
            None => header.required("strategy", &what),
        };
        let named = named.and_then(|value| value.string(&what));
        let found = named.map(|name| library::find(name, self.surroundings.read));
        let found = found.or_else(|| usual.filter(|_| header.holds("strategy")).cloned().map(Ok));
        let lanes = 1..=i64::from(MOST_REPLICAS);
        let replicas = header.optional("replicas").and_then(|value| value.number("the number of lanes", lanes.clone()));
        let quorum = header.optional("quorum").and_then(|value| value.number("how many lanes must agree", lanes));
        let order = header.optional("order").and_then(|value| value.word());
        match found {
            Some(Ok(strategy)) if header.holds("replicas") && header.holds("quorum") => {
                self.with_lanes(header, &strategy, replicas, quorum, order)
            }
            Some(Err(not_found)) => self.no_strategy(header.span_of("strategy"), not_found),
            Some(Ok(_)) | None => None,
        }
    }

    fn with_lanes(
        &self,
        header: &Table<'a>,
        strategy: &Strategy,
        replicas: Option<u16>,
        quorum: Option<u16>,
        order: Option<Order>,
    ) -> Option<Strategy> {
        let key = if quorum.is_some() { "quorum" } else { "replicas" };
        let note = |unsound| self.problems.note(header.span_of(key), format!("{unsound} (strategy {})", strategy.name));
        strategy.with(replicas, quorum, order).map_err(note).ok()
    }

    fn no_strategy(&mut self, span: Range<usize>, not_found: NotFound) -> Option<Strategy> {
        match not_found {
            NotFound::Unknown(bad) => self.problems.note_value(span, "strategy", &bad),
            NotFound::Unreadable { .. } => self.problems.note(span, not_found.to_string()),
            NotFound::Refused(refusal) => {
                self.problems.note(span, "the strategy file is refused, as told below");
                self.within.push(refusal);
            }
        }
        None
    }

    /// The promise of all stages that make none of their own.
    fn promise(&self, header: Option<&mut Table<'a>>, strategy: &Strategy) -> Promise {
        let Some(header) = header else { return Promise::default() };
        let promise = header.optional("execution").and_then(|value| value.word()).unwrap_or_default();
        if header.has("execution") {
            self.fits(header.span_of("execution"), check::promise(promise, strategy));
        }
        promise
    }

    fn deadline(&self, header: &mut Table<'a>) -> Option<Millis> {
        let value = header.optional("deadline")?;
        let deadline = value.parsed("how long the job may take, such as \"10s\"", values::duration)?;
        self.fits(value.span(), check::deadline(deadline)).map(|()| deadline)
    }

    fn spool_quota(&self, header: &mut Table<'a>) -> u64 {
        let Some(value) = header.optional("spool_quota") else { return SPOOL_QUOTA };
        let quota = value.parsed("the most undecided output a lane may hold, such as \"1GiB\"", values::size);
        quota.map(|quota| self.fits(value.span(), check::spool_quota(quota)));
        quota.unwrap_or(SPOOL_QUOTA)
    }

    fn notify(&self, header: &mut Table<'a>) -> Vec<OsBytes> {
        let words = header.optional("notify").map_or_else(Vec::new, |value| self.command(&value));
        words.iter().map(|word| os_bytes(word.get_ref())).collect()
    }

    /// A program and its arguments.
    pub(super) fn command(&self, value: &Value<'a>) -> Vec<At<&'a str>> {
        let words = value.strings(
            "a list of a program and its arguments, such as [\"sort\", \"in.txt\"]",
            "a program or an argument",
        );
        for word in &words {
            self.fits(word.span(), check::no_zero_byte(word.get_ref().as_bytes()));
        }
        let is_empty = words.first().is_some_and(|program| program.get_ref().is_empty());
        if is_empty || value.length() == Some(0) {
            self.refuse(value.span(), &Unfit::NoProgram);
        }
        words
    }

    fn stdin(&self, header: &mut Table<'a>) -> Stdin {
        let what = "the path of the file that programs read as standard input";
        let path = header.optional("stdin").and_then(|value| self.path(&value, what));
        path.map_or_else(|| self.surroundings.stdin.clone(), |path| Stdin::File(path, 0))
    }

    /// A path, made absolute.
    pub(super) fn path(&self, value: &Value<'a>, what: &str) -> Option<OsBytes> {
        let written = value.string(what)?;
        self.fits(value.span(), check::path(&self.surroundings.directory, written.as_bytes()))
    }

    /// The environment around, with the job's own variables in it; in the order of the names.
    fn environment(&self, header: &mut Table<'a>) -> Vec<OsBytes> {
        let own = header.optional("env").map_or_else(Vec::new, |value| self.variables(&value));
        let mut variables: BTreeMap<&[u8], &OsBytes> = BTreeMap::new();
        for entry in &self.surroundings.environment {
            variables.entry(name_of(entry)).or_insert(entry);
        }
        variables.extend(own.iter().map(|entry| (name_of(entry), entry)));
        variables.into_values().cloned().collect()
    }

    /// A table of variables.
    pub(super) fn variables(&self, value: &Value<'a>) -> Vec<OsBytes> {
        let mut variables = Vec::new();
        for (name, value) in value.pairs("a table of variables, such as { LANG = \"C\" }") {
            self.fits(name.span(), check::variable(name.get_ref()));
            if let Some(text) = value.string("the value of a variable") {
                self.fits(value.span(), check::no_zero_byte(text.as_bytes()));
                variables.push(os_bytes(&format!("{}={text}", name.get_ref())));
            }
        }
        variables
    }

    /// The shipped masks that are named, and those that the job defines.
    fn masks(&self, header: &mut Table<'a>, own: Vec<Mask>) -> Vec<Mask> {
        let named = header
            .optional("mask")
            .map_or_else(Vec::new, |value| value.items("a list of masks, such as [\"stat-cache\"]"));
        let shipped = |name: &str| {
            let names = mask::SHIPPED.iter().map(|(name, ..)| *name);
            let expected =
                format!("a mask that comes with Chameleon: {}; others are tables [[mask]]", listing(names.clone()));
            let nearest = nearest(name, names).map(str::to_owned);
            Mask::shipped(name).ok_or(BadValue { found: name.to_owned(), expected, nearest })
        };
        let named = named.iter().filter_map(|value| value.parsed("the name of a mask", shipped));
        named.chain(own).collect()
    }

    /// A mask that the job defines.
    fn own_mask(&mut self, mut table: Table<'a>) -> Mask {
        let name = self.name(&mut table);
        if Mask::shipped(&name).is_some() {
            let sentence = format!("the mask {name:?} comes with Chameleon, expected another name");
            self.problems.note_with_hint(
                table.span_of("name"),
                sentence,
                Some(format!("or write mask = [{name:?}] in [job]")),
            );
        }
        let what = "a list of globs over paths in the run directory, such as [\"**/*.log\"]";
        let globs = table.required("paths", what).map_or_else(Vec::new, |value| value.strings(what, "a glob"));
        for glob in &globs {
            let unfit = |error| Unfit::Glob { name: name.clone(), error };
            self.fits(glob.span(), mask::check(glob.get_ref()).map_err(unfit));
        }
        table.finish();
        Mask { name, paths: globs.into_iter().map(|glob| glob.into_inner().to_owned()).collect() }
    }
}

/// Exit codes that are no result.
fn abnormal_exit(header: &mut Table<'_>) -> Vec<u8> {
    let codes = header
        .optional("abnormal_exit")
        .map_or_else(Vec::new, |value| value.items("a list of exit codes, such as [3, 4]"));
    let codes = codes.iter().filter_map(|value| value.number("an exit code that means abnormal termination", 1..=255));
    codes.collect::<BTreeSet<u8>>().into_iter().collect()
}

fn flag(header: &mut Table<'_>, key: &'static str, what: &str) -> bool {
    header.optional(key).and_then(|value| value.boolean(what)).unwrap_or(false)
}

/// Text as the system has it.
pub(super) fn os_bytes(text: &str) -> OsBytes {
    OsBytes::from(text.as_bytes().to_vec())
}

/// The name in `NAME=value`.
fn name_of(entry: &OsBytes) -> &[u8] {
    entry.split(|byte| *byte == b'=').next().unwrap_or_default()
}
