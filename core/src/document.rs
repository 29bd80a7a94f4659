//! A TOML document being read: every value is asked for once, by its key and with what it must be,
//! and what nobody asked for is an unknown key.
//!
//! Reading never stops at a problem: each is noted with its place, the value counts as absent, and
//! the text is refused at the end with all of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::refusal::{Problem, Refusal};
use crate::word::{BadValue, Word, listing, nearest};

/// A value with the place where it was written.
pub(crate) type At<T> = Spanned<T>;

/// No file that a person writes is longer.
const LONGEST_TEXT: usize = 1 << 20;

/// The problems of one text, noted while it is read.
pub(crate) struct Problems<'t> {
    text: &'t str,
    /// Start and end of each line on which the TOML itself is broken: what else is odd there is an
    /// echo of that.
    broken: BTreeMap<usize, usize>,
    list: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    pub(crate) fn note(&self, span: Range<usize>, sentence: impl Into<String>) {
        self.note_with_hint(span, sentence, None);
    }

    pub(crate) fn note_with_hint(&self, span: Range<usize>, sentence: impl Into<String>, hint: Option<String>) {
        if !self.is_broken(span.start) {
            self.list.borrow_mut().push(Problem { span, sentence: sentence.into(), hint });
        }
    }

    /// Notes a small value that does not read as what it should be.
    pub(crate) fn note_value(&self, span: Range<usize>, key: &str, bad: &BadValue) {
        let sentence = format!("`{}` is {:?}, expected {}", key.escape_debug(), bad.found, bad.expected);
        self.note_with_hint(span, sentence, bad.nearest.as_ref().map(|word| format!("did you mean {word:?}?")));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// Whether something is wrong with the value that stands there.
    fn concern(&self, span: &Range<usize>) -> bool {
        let inside = |place: usize| span.contains(&place) || place == span.start;
        self.is_broken(span.start) || self.list.borrow().iter().any(|problem| inside(problem.span.start))
    }

    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.list.into_inner()
    }

    fn is_broken(&self, place: usize) -> bool {
        self.broken.range(..=place).next_back().is_some_and(|(_, end)| place < *end)
    }

    /// Notes where the TOML itself is broken, once a line.
    fn note_broken(&mut self, span: Range<usize>, message: &str) {
        if self.is_broken(span.start) {
            return;
        }
        let start = self.text.floor_char_boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        self.note(span, format!("not TOML: {message}"));
        self.broken.insert(line_start, line_end + 1);
    }
}

/// The text of a file a person wrote.
///
/// # Errors
/// It is not UTF-8, or longer than any such file is.
pub(crate) fn text_of<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Refusal> {
    let refuse = |text: &str, span, sentence: String| {
        Refusal::new(file, text, vec![Problem { span, sentence, hint: None }], vec![])
    };
    if bytes.len() > LONGEST_TEXT {
        let sentence = format!("the file is {} bytes long, expected at most {LONGEST_TEXT}", bytes.len());
        return Err(refuse("", 0..0, sentence));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let (at, lossy) = (error.valid_up_to(), String::from_utf8_lossy(bytes));
        let sentence = format!("byte {:#04x} is not UTF-8 here, expected text", bytes[at]);
        refuse(&lossy, at..at + 1, sentence)
    })
}

/// The root of a text; what is wrong with its TOML is noted, and the rest is read nevertheless.
pub(crate) fn parse(text: &str) -> (Spanned<DeTable<'_>>, Problems<'_>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut problems = Problems { text, broken: BTreeMap::new(), list: RefCell::default() };
    for error in errors {
        problems.note_broken(error.span().unwrap_or(0..0), error.message());
    }
    (root, problems)
}

/// One table of a document, while its keys are asked for.
pub(crate) struct Table<'d> {
    /// What a sentence calls it, such as `[job]`.
    place: String,
    /// Its header.
    span: Range<usize>,
    entries: BTreeMap<&'d str, Value<'d>>,
    /// Every key that was asked for, which are the keys there are, and where it stands.
    asked: Vec<(&'static str, Option<Range<usize>>)>,
    /// Keys that must be there and are not, with what they say.
    missing: Vec<(&'static str, String)>,
    problems: &'d Problems<'d>,
}

/// A value that was asked for.
pub(crate) struct Value<'d> {
    key: &'d str,
    key_span: Range<usize>,
    value: &'d Spanned<DeValue<'d>>,
    problems: &'d Problems<'d>,
}

impl<'d> Table<'d> {
    /// The table at the root of a file, which messages call `place`.
    pub(crate) fn root(place: &str, root: &'d Spanned<DeTable<'d>>, problems: &'d Problems<'d>) -> Self {
        Table::new(place, 0..0, root.get_ref(), problems)
    }

    fn new(place: &str, span: Range<usize>, table: &'d DeTable<'d>, problems: &'d Problems<'d>) -> Self {
        let entries = pairs(table, problems).map(|(key, value)| (key.into_inner(), value)).collect();
        Table { place: place.to_owned(), span, entries, asked: vec![], missing: vec![], problems }
    }

    /// Where the value of a key stands that was asked for; the header if it was left out.
    pub(crate) fn span_of(&self, key: &str) -> Range<usize> {
        let asked = self.asked.iter().find(|(name, _)| *name == key);
        asked.and_then(|(_, span)| span.clone()).unwrap_or(self.span.clone())
    }

    /// Whether a key that was asked for was there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.asked.iter().any(|(name, span)| *name == key && span.is_some())
    }

    /// Whether a key that was asked for has the value that was written, or was rightly left out.
    pub(crate) fn holds(&self, key: &str) -> bool {
        let mut asked = self.asked.iter().filter(|(name, _)| *name == key);
        let is_missing = self.missing.iter().any(|(name, _)| *name == key);
        !is_missing && asked.all(|(_, span)| span.as_ref().is_none_or(|span| !self.problems.concern(span)))
    }

    /// The value of a key that may be absent.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<Value<'d>> {
        let value = self.entries.remove(key);
        self.asked.push((key, value.as_ref().map(Value::span)));
        value
    }

    /// The value of a key; its absence is a problem. `what` says what it is, with an example.
    pub(crate) fn required(&mut self, key: &'static str, what: &str) -> Option<Value<'d>> {
        let value = self.optional(key);
        if value.is_none() {
            self.missing.push((key, what.to_owned()));
        }
        value
    }

    /// A table inside this one that may be absent.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Table<'d>> {
        self.optional(key)?.table(&format!("[{key}]"))
    }

    /// Ends the reading: a key nobody asked for is a problem, and so is one that is missing, unless
    /// it is there with a slip of the finger, or lost where the TOML itself is broken.
    pub(crate) fn finish(self) {
        let mut missing = self.missing;
        for (key, value) in self.entries {
            let sentence = format!("unknown key `{}` in {}", key.escape_debug(), self.place);
            let keys = self.asked.iter().map(|(name, _)| *name);
            let meant = nearest(key, keys.clone());
            missing.retain(|(name, _)| Some(*name) != meant);
            let hint =
                meant.map_or_else(|| format!("expected {}", listing(keys)), |name| format!("did you mean `{name}`?"));
            self.problems.note_with_hint(value.key_span, sentence, Some(hint));
        }
        for (key, what) in missing.into_iter().filter(|_| self.problems.broken.is_empty()) {
            let sentence = format!("`{key}` is missing in {}", self.place);
            self.problems.note_with_hint(self.span.clone(), sentence, Some(format!("add `{key}`: {what}")));
        }
    }
}

/// The keys of a table with their values.
fn pairs<'d>(table: &'d DeTable<'d>, problems: &'d Problems<'d>) -> impl Iterator<Item = (At<&'d str>, Value<'d>)> {
    table.iter().map(move |(key, value)| {
        let name = key.get_ref().as_ref();
        (Spanned::new(key.span(), name), Value { key: name, key_span: key.span(), value, problems })
    })
}

impl<'d> Value<'d> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// The number of items, if a list was written.
    pub(crate) fn length(&self) -> Option<usize> {
        self.value.get_ref().as_array().map(|array| array.len())
    }

    /// Notes that the value is of another type than expected.
    fn mistyped(&self, expected: &str) {
        let found = match self.value.get_ref() {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Datetime(_) => "a date or a time".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.problems.note(self.span(), format!("`{}` is {found}, expected {expected}", self.key.escape_debug()));
    }

    /// A string. `what` says what it is, with an example.
    pub(crate) fn string(&self, what: &str) -> Option<&'d str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.mistyped(&format!("{what}, in quotes"));
        }
        text
    }

    /// A string that `read` turns into a value.
    pub(crate) fn parsed<T>(&self, what: &str, read: impl Fn(&str) -> Result<T, BadValue>) -> Option<T> {
        let text = self.string(what)?;
        read(text).map_err(|bad| self.problems.note_value(self.span(), self.key, &bad)).ok()
    }

    /// One of the words of a vocabulary.
    pub(crate) fn word<T: Word>(&self) -> Option<T> {
        let what = format!("{}: {}", T::WHAT, listing(T::WORDS.iter().map(|(word, _)| *word)));
        self.parsed(&what, T::read)
    }

    /// A whole number within bounds.
    pub(crate) fn number<T: TryFrom<i64>>(&self, what: &str, bounds: RangeInclusive<i64>) -> Option<T> {
        let number = self.value.get_ref().as_integer();
        let number = number.and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        let value = number.filter(|number| bounds.contains(number)).and_then(|number| T::try_from(number).ok());
        if value.is_none() {
            self.mistyped(&format!("{what}, a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        value
    }

    pub(crate) fn boolean(&self, what: &str) -> Option<bool> {
        let truth = self.value.get_ref().as_bool();
        if truth.is_none() {
            self.mistyped(&format!("{what}: true or false"));
        }
        truth
    }

    /// The items of a list. `what` says what it is, with an example.
    pub(crate) fn items(&self, what: &str) -> Vec<Value<'d>> {
        let Some(array) = self.value.get_ref().as_array() else {
            self.mistyped(what);
            return vec![];
        };
        let item = |value| Value { key: self.key, key_span: self.key_span.clone(), value, problems: self.problems };
        array.iter().map(item).collect()
    }

    /// A list of strings; an item that is none is noted and left out. `list` and `item` say what
    /// they are.
    pub(crate) fn strings(&self, list: &str, item: &str) -> Vec<At<&'d str>> {
        let string = |value: &Value<'d>| value.string(item).map(|text| Spanned::new(value.span(), text));
        self.items(list).iter().filter_map(string).collect()
    }

    /// A table, which messages call `place`.
    pub(crate) fn table(&self, place: &str) -> Option<Table<'d>> {
        let table = self.value.get_ref().as_table();
        if table.is_none() {
            self.mistyped(&format!("a table, {place}"));
        }
        table.map(|table| Table::new(place, self.span(), table, self.problems))
    }

    /// An array of tables, which messages call `place`, such as `[[stage]]`.
    pub(crate) fn tables(&self, place: &str) -> Vec<Table<'d>> {
        if self.value.get_ref().is_table() {
            self.problems.note(self.span(), format!("a single table, expected {place}: there may be several"));
            return vec![];
        }
        let items = self.items(&format!("tables, each of which begins with {place}"));
        items.iter().filter_map(|item| item.table(place)).collect()
    }

    /// The keys and values of a table whose keys are the person's own. `what` says what it is.
    pub(crate) fn pairs(&self, what: &str) -> Vec<(At<&'d str>, Value<'d>)> {
        let Some(table) = self.value.get_ref().as_table() else {
            self.mistyped(what);
            return vec![];
        };
        pairs(table, self.problems).collect()
    }
}
