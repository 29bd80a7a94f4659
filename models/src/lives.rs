//! What ARMORs do, worked out once by the real code and then remembered.
//!
//! An ARMOR is a function of its past, so a moment of its life is known by a number, and what it does about an input is
//! computed when it is asked for the first time: by raising it, letting it live through the shortest past that
//! is known to lead to that moment, and giving it the input. The checker then works on numbers, millions of them, while
//! the ARMORs need neither be copied nor compared. Two moments are the same if the ARMOR debugs alike in both.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chameleon_core::armor::{Effect, Moment, Timer};
use chameleon_core::message::Message;
use chameleon_core::names::{ArmorName, Incarnation, Millis};
use chameleon_core::shell::{Identity, Input, Output, Place, Running, SaveRequest, Saved};

/// Makes an ARMOR of any kind; `None` for what is none.
pub type Raise = fn(Identity) -> Option<Box<dyn Running>>;

/// Time stands still: what takes its time may happen at any moment.
const NOW: Moment = Moment { boot: Millis(1_000), unix_ms: 0 };

/// A moment of an ARMOR's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life(u32);

/// Something that reaches an ARMOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Heard(u32);

/// What an ARMOR has saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Store(u32);

/// A save that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Saving(u32);

/// What an ARMOR does about an input.
#[derive(Debug)]
pub struct Stepped {
    pub life: Life,
    pub saving: Option<Saving>,
    pub deeds: Vec<Deed>,
}

/// One effect, as far as a model tells effects apart.
#[derive(Debug)]
pub enum Deed {
    /// What the recipient will hear.
    Send {
        to: ArmorName,
        heard: Heard,
        message: Message,
    },
    Set(Timer),
    Cancel(Timer),
    Forget(ArmorName),
    /// It asks the machine for something.
    Ask(Effect),
}

/// The records of a store: those with keys, and the journal behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Records {
    pub keyed: BTreeMap<String, Vec<u8>>,
    appended: Vec<Vec<u8>>,
}

impl Records {
    fn write(&mut self, record: &Saved) {
        match &record.place {
            Place::Append => self.appended.push(record.bytes.clone()),
            Place::Put(key) => drop(self.keyed.insert(key.clone(), record.bytes.clone())),
            Place::Delete(key) => drop(self.keyed.remove(key)),
        }
    }
}

/// How a moment came about.
#[derive(Clone)]
enum Past {
    Born(Identity, Store),
    Went(Life, Heard),
}

#[derive(Default)]
struct Memory {
    heard: Vec<Arc<Input>>,
    heard_by_text: HashMap<String, Heard>,
    stores: Vec<Arc<Records>>,
    stores_by_records: HashMap<Arc<Records>, Store>,
    savings: Vec<Arc<SaveRequest>>,
    savings_by_text: HashMap<String, Saving>,
    pasts: Vec<Past>,
    lives: HashMap<blake3::Hash, Life>,
    births: HashMap<(ArmorName, Incarnation, Store), Arc<Stepped>>,
    steps: HashMap<(Life, Heard), Arc<Stepped>>,
    written: HashMap<(Store, Saving), Store>,
}

/// All that is remembered.
pub struct Lives {
    raise: Raise,
    memory: RwLock<Memory>,
}

impl Lives {
    /// Nothing yet, of ARMORs that are made by `raise`.
    #[must_use]
    pub fn new(raise: Raise) -> Self {
        Lives { raise, memory: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store in which nothing is.
    pub fn empty(&self) -> Store {
        self.write().store(Records::default())
    }

    /// The number of an input.
    pub fn hear(&self, input: &Input) -> Heard {
        let text = format!("{input:?}");
        let known = self.read().heard_by_text.get(&text).copied();
        known.unwrap_or_else(|| self.write().hear(text, input))
    }

    /// The input of this number.
    pub fn input(&self, heard: Heard) -> Arc<Input> {
        Arc::clone(&self.read().heard[heard.0 as usize])
    }

    pub fn records(&self, store: Store) -> Arc<Records> {
        Arc::clone(&self.read().stores[store.0 as usize])
    }

    pub fn saving(&self, saving: Saving) -> Arc<SaveRequest> {
        Arc::clone(&self.read().savings[saving.0 as usize])
    }

    /// The store after a save was written to it.
    pub fn written(&self, store: Store, saving: Saving) -> Store {
        if let Some(&written) = self.read().written.get(&(store, saving)) {
            return written;
        }
        let mut memory = self.write();
        let mut records = (*memory.stores[store.0 as usize]).clone();
        let request = Arc::clone(&memory.savings[saving.0 as usize]);
        request.records.iter().for_each(|record| records.write(record));
        let written = memory.store(records);
        memory.written.insert((store, saving), written);
        written
    }

    /// An ARMOR is restored from this store and begins.
    pub fn born(&self, identity: &Identity, store: Store) -> Arc<Stepped> {
        let key = (identity.name, identity.incarnation, store);
        if let Some(stepped) = self.read().births.get(&key) {
            return Arc::clone(stepped);
        }
        let past = Past::Born(identity.clone(), store);
        let (armor, output) = self.relive(&past);
        let stepped = self.remember(past, &*armor, output);
        self.write().births.insert(key, Arc::clone(&stepped));
        stepped
    }

    /// An ARMOR hears something.
    pub fn step(&self, life: Life, heard: Heard) -> Arc<Stepped> {
        if let Some(stepped) = self.read().steps.get(&(life, heard)) {
            return Arc::clone(stepped);
        }
        let past = Past::Went(life, heard);
        let (armor, output) = self.relive(&past);
        let stepped = self.remember(past, &*armor, output);
        self.write().steps.insert((life, heard), Arc::clone(&stepped));
        stepped
    }

    /// The ARMOR at the end of this past, and what it did last.
    fn relive(&self, past: &Past) -> (Box<dyn Running>, Output) {
        let (mut past, mut inputs) = (past.clone(), Vec::new());
        let (identity, store) = loop {
            match past {
                Past::Born(identity, store) => break (identity, store),
                Past::Went(life, heard) => {
                    inputs.push(self.input(heard));
                    past = self.read().pasts[life.0 as usize].clone();
                }
            }
        };
        let records = self.records(store);
        let records: Vec<Vec<u8>> = records.keyed.values().chain(&records.appended).cloned().collect();
        let mut armor = (self.raise)(identity).expect("a model has ARMORs only");
        armor.restore(&records).expect("what was saved can be read");
        let mut output = armor.resume(NOW);
        for input in inputs.into_iter().rev() {
            output = armor.handle(NOW, (*input).clone());
        }
        (armor, output)
    }

    fn remember(&self, past: Past, armor: &dyn Running, output: Output) -> Arc<Stepped> {
        let digest = blake3::hash(format!("{armor:?}").as_bytes());
        let Identity { name: from, incarnation, .. } = *armor.identity();
        let deed = |effect: Effect| match effect {
            Effect::Send { to, message } => {
                let heard = self.hear(&Input::Message { from, incarnation, message: message.clone() });
                Deed::Send { to, heard, message }
            }
            Effect::SetTimer { timer, .. } => Deed::Set(timer),
            Effect::CancelTimer { timer } => Deed::Cancel(timer),
            Effect::Forget { peer } => Deed::Forget(peer),
            asked => Deed::Ask(asked),
        };
        let deeds = output.effects.into_iter().map(deed).collect();
        let mut memory = self.write();
        let saving = output.save.map(|request| memory.save(request));
        Arc::new(Stepped { life: memory.life(digest, past), saving, deeds })
    }
}

impl Memory {
    fn hear(&mut self, text: String, input: &Input) -> Heard {
        let next = Heard(number(self.heard.len()));
        let heard = *self.heard_by_text.entry(text).or_insert(next);
        if heard == next {
            self.heard.push(Arc::new(input.clone()));
        }
        heard
    }

    fn store(&mut self, records: Records) -> Store {
        let (next, records) = (Store(number(self.stores.len())), Arc::new(records));
        let store = *self.stores_by_records.entry(Arc::clone(&records)).or_insert(next);
        if store == next {
            self.stores.push(records);
        }
        store
    }

    fn save(&mut self, request: SaveRequest) -> Saving {
        let next = Saving(number(self.savings.len()));
        let saving = *self.savings_by_text.entry(format!("{request:?}")).or_insert(next);
        if saving == next {
            self.savings.push(Arc::new(request));
        }
        saving
    }

    fn life(&mut self, digest: blake3::Hash, past: Past) -> Life {
        let next = Life(number(self.pasts.len()));
        let life = *self.lives.entry(digest).or_insert(next);
        if life == next {
            self.pasts.push(past);
        }
        life
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a model has fewer moments than that")
}
