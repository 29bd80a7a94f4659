//! One ARMOR in its process: what arrives goes to the ARMOR, what it answers is carried out.
//!
//! Inputs are taken in batches of what is ready, each source in turn; what a batch wants saved is
//! written together, and what it says leaves together when the process turns to waiting. Idle, a batch
//! is one input: prompt. Under load it is many: cheap.

use std::convert::Infallible;
use std::time::Duration;

use chameleon_core::armor::LinkEvent;
use chameleon_core::message::{DaemonMessage, Message};
use chameleon_core::names::ArmorName;
use chameleon_core::shell::{Identity, Input, Output, Running};
use chameleon_core::world::{FileEvent, ProcessEvent, SlotEvent};
use tokio::sync::mpsc;

use crate::perform::World;
use crate::process::{Blanks, mark};
use crate::saving::{Completed, Saving, SavingError};
use crate::timers;

/// The most inputs of one source in a batch.
const BATCH: usize = 128;
/// How long nothing happens before blank processes are made ahead of need.
const QUIET: Duration = Duration::from_millis(2);

/// What happens around an ARMOR, other than on its links.
#[derive(Debug)]
pub enum Happening {
    Input(Input),
    /// A sync or commit is done.
    Saved(Completed),
    /// A watched process has exited.
    Exited(u32),
}

/// Tells an event loop what happens; never waits, and does no harm when the loop is gone.
#[derive(Debug, Clone)]
pub struct Reporter(mpsc::UnboundedSender<Happening>);

impl Reporter {
    /// A reporter and where its reports come out.
    #[must_use]
    pub fn new() -> (Reporter, mpsc::UnboundedReceiver<Happening>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Reporter(sender), receiver)
    }

    pub fn tell(&self, happening: Happening) {
        let _ = self.0.send(happening);
    }

    pub fn process(&self, event: ProcessEvent) {
        self.tell(Happening::Input(Input::Process(event)));
    }

    pub fn slot(&self, event: SlotEvent) {
        self.tell(Happening::Input(Input::Slot(event)));
    }

    pub fn file(&self, event: FileEvent) {
        self.tell(Happening::Input(Input::File(event)));
    }
}

/// An ARMOR, restored, with everything around it.
pub struct EventLoop {
    pub armor: Box<dyn Running>,
    pub world: World,
    pub saving: Saving,
    /// What comes in on links; bounded, so that peers wait for an ARMOR that falls behind.
    pub inputs: mpsc::Receiver<Input>,
    pub happenings: mpsc::UnboundedReceiver<Happening>,
}

impl EventLoop {
    /// Runs the ARMOR until it can no longer be run.
    ///
    /// # Errors
    /// See [`SavingError`]: what cannot be saved must not be said.
    pub async fn run(mut self) -> Result<Infallible, SavingError> {
        let output = self.armor.resume(timers::now());
        self.take(output);
        while let Ok(happening) = self.happenings.try_recv() {
            self.happened(happening)?;
        }
        let (from, incarnation) = (self.armor.identity().name, self.armor.identity().incarnation);
        let daemon = ArmorName::Daemon(self.armor.identity().host);
        match from == daemon {
            true => self.handle(Input::Message { from, incarnation, message: self.ready() }),
            false => self.world.links.open(daemon),
        }
        loop {
            let saved = self.saving.flush()?;
            self.release(saved)?;
            match self.world.processes.blanks() {
                Blanks::Missing => {
                    self.world.processes.make_blank();
                    tokio::task::yield_now().await;
                }
                Blanks::Few | Blanks::Enough => self.wait().await?,
            }
            self.drain()?;
        }
    }

    /// Waits for something to happen, and deals with it. Making a process takes this one a millisecond, so that it is
    /// done when nobody waits for an answer.
    async fn wait(&mut self) -> Result<(), SavingError> {
        let lacks_blanks = self.world.processes.blanks() != Blanks::Enough;
        tokio::select! {
            Some(happening) = self.happenings.recv() => self.happened(happening)?,
            Some(input) = self.inputs.recv() => self.handle(input),
            () = self.world.timers.next_due() => {}
            () = tokio::time::sleep(QUIET), if lacks_blanks => self.world.processes.make_blank(),
        }
        Ok(())
    }

    /// Deals with everything that is ready.
    fn drain(&mut self) -> Result<(), SavingError> {
        let now = timers::now().boot;
        while let Some(timer) = self.world.timers.pop(now) {
            self.handle(Input::Timer(timer));
        }
        for _ in 0..BATCH {
            let Ok(happening) = self.happenings.try_recv() else { break };
            self.happened(happening)?;
        }
        for _ in 0..BATCH {
            let Ok(input) = self.inputs.try_recv() else { break };
            self.handle(input);
        }
        Ok(())
    }

    fn happened(&mut self, happening: Happening) -> Result<(), SavingError> {
        match happening {
            Happening::Input(input) => self.handle(input),
            Happening::Saved(completed) => {
                let saved = self.saving.complete(completed)?;
                self.release(saved)?;
            }
            Happening::Exited(pid) => {
                if let Some(event) = self.world.processes.exited(pid) {
                    self.handle(Input::Process(event));
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, input: Input) {
        if let Input::Link(LinkEvent::Up { peer, .. }) = input {
            self.report_ready(peer);
        }
        let output = self.armor.handle(timers::now(), input);
        self.take(output);
    }

    /// A daemon that has just come, or come back, learns that this ARMOR runs.
    fn report_ready(&mut self, peer: ArmorName) {
        if peer == ArmorName::Daemon(self.armor.identity().host) {
            self.world.links.send(peer, self.ready());
        }
    }

    /// A daemon says it to itself.
    fn ready(&self) -> Message {
        let Identity { name, incarnation, .. } = *self.armor.identity();
        DaemonMessage::Ready { name, incarnation, process: mark::own() }.into()
    }

    fn take(&mut self, output: Output) {
        if let Some(request) = output.save {
            self.saving.add(request);
        }
        for effect in output.effects {
            self.world.perform(effect);
        }
    }

    /// Tells the ARMOR what is saved, and saves what it answers, until there is no news.
    fn release(&mut self, mut saved: Option<u64>) -> Result<(), SavingError> {
        while let Some(number) = saved {
            self.handle(Input::Saved(number));
            saved = self.saving.flush()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use chameleon_core::armor::{Armor, Event, Moment, Progress, Step};
    use chameleon_core::message::{FtmMessage, Query, UserMessage};
    use chameleon_core::names::{HostId, Incarnation, JobId};
    use chameleon_core::shell::{Saved, Shell};

    use super::*;
    use crate::bulk::Roads;
    use crate::client::{Client, ClientEvent};
    use crate::datagrams::Datagrams;
    use crate::home::Home;
    use crate::links::Links;
    use crate::perform::{Files, Slots};
    use crate::process::Processes;
    use crate::saving::Archive;
    use crate::store::{Store, StoreError};
    use crate::timers::Timers;

    /// Saves every job that it is asked for on disk, and then says so.
    #[derive(Debug)]
    struct Clerk;

    impl Armor for Clerk {
        type Message = FtmMessage;
        type Record = u64;

        fn apply(&mut self, _: &u64) {}

        fn handle(&mut self, _: Moment, event: Event<FtmMessage>) -> Step<u64> {
            let mut step = Step::none();
            if let Event::Message { from, message: FtmMessage::Await(JobId(number)) } = event {
                step.record_on_disk(self, number);
                step.send(from, UserMessage::Forgotten { job: JobId(number) });
            } else if let Event::Message { from, message: FtmMessage::Ask(Query::Armors) } = event {
                step.send(from, UserMessage::Armors(Vec::new()));
            }
            step
        }

        fn resume(&mut self, _: Moment) -> Step<u64> {
            Step::none()
        }

        fn progress(&self) -> Progress {
            Progress::default()
        }
    }

    /// A store whose commits last until the test lets them end; it tells how many records each has.
    #[derive(Debug, Clone)]
    struct SlowStore {
        began: Sender<usize>,
        may_end: Arc<Mutex<Receiver<bool>>>,
    }

    impl Store for SlowStore {
        fn records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
            Ok(Vec::new())
        }

        fn commit(&self, records: &[Saved]) -> Result<(), StoreError> {
            self.began.send(records.len()).unwrap();
            match self.may_end.lock().unwrap().recv().unwrap() {
                true => Ok(()),
                false => Err(StoreError::InUse { path: "store".into() }),
            }
        }

        fn share(&self) -> Box<dyn Store> {
            Box::new(self.clone())
        }
    }

    struct Setting {
        _directory: tempfile::TempDir,
        clerk: EventLoop,
        client: Client,
        began: Receiver<usize>,
        let_end: Sender<bool>,
    }

    fn setting() -> Setting {
        let directory = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::create(directory.path()).unwrap());
        let (name, incarnation, host) = (ArmorName::Ftm, Incarnation(1), HostId(1));
        let identity = Identity { name, incarnation, host, cores: 1, seed: [0; 32], mirror: None, elected: false };
        let ((sent, began), (let_end, ends)) = (channel(), channel());
        let store = SlowStore { began: sent, may_end: Arc::new(Mutex::new(ends)) };
        let (mut links, inputs) = Links::new(home.clone(), name, incarnation);
        links.listen().unwrap();
        let (reporter, happenings) = Reporter::new();
        let world = World {
            links,
            timers: Timers::default(),
            processes: Processes::new(home.clone(), identity.clone(), reporter.clone(), None),
            slots: Slots::new(Roads::new(home.clone(), None), host, reporter.clone()),
            files: Files::new(Roads::new(home.clone(), None), host, reporter.clone()),
            datagrams: Datagrams::default(),
        };
        let saving = Saving::new(Archive::Store(Box::new(store)), reporter);
        let armor = Box::new(Shell::new(identity, Clerk));
        let clerk = EventLoop { armor, world, saving, inputs, happenings };
        let client = Client::connect(Home::open(directory.path()).unwrap()).unwrap();
        Setting { _directory: directory, clerk, client, began, let_end }
    }

    async fn next(client: &mut Client) -> ClientEvent {
        tokio::time::timeout(Duration::from_secs(20), client.recv()).await.expect("something is said")
    }

    /// Asks, and asks again until the clerk's own link to the client is up, so that nothing it says vanishes.
    async fn acquaint(client: &mut Client) {
        client.open(ArmorName::Ftm);
        while !matches!(next(client).await, ClientEvent::Up(_)) {}
        loop {
            client.send(ArmorName::Ftm, FtmMessage::Ask(Query::Armors));
            if tokio::time::timeout(Duration::from_millis(20), client.recv()).await.is_ok() {
                return;
            }
        }
    }

    #[tokio::test]
    async fn what_is_said_waits_for_the_disk_and_saves_gather_meanwhile() {
        let Setting { _directory, clerk, mut client, began, let_end } = setting();
        let talk = async {
            acquaint(&mut client).await;
            for number in 1..=5 {
                client.send(ArmorName::Ftm, FtmMessage::Await(JobId(number)));
            }
            let gather = move || (began.recv().unwrap(), began);
            let (first, began) = tokio::task::spawn_blocking(gather).await.unwrap();
            let early = tokio::time::timeout(Duration::from_millis(100), async {
                loop {
                    if let ClientEvent::Message { message: Message::User(UserMessage::Forgotten { .. }), .. } =
                        client.recv().await
                    {
                        return;
                    }
                }
            });
            assert!(early.await.is_err(), "nothing is said before it is saved");
            let mut records = first;
            let_end.send(true).unwrap();
            let mut job = 0;
            while job < 5 {
                if let Ok(more) = began.try_recv() {
                    records += more;
                    let_end.send(true).unwrap();
                }
                if let Ok(ClientEvent::Message {
                    message: Message::User(UserMessage::Forgotten { job: said }), ..
                }) = tokio::time::timeout(Duration::from_millis(10), client.recv()).await
                {
                    job += 1;
                    assert_eq!(said, JobId(job), "in the order in which it was decided");
                }
            }
            assert_eq!(records, 5);
        };
        tokio::select! {
            ended = clerk.run() => panic!("{ended:?}"),
            () = talk => {}
        }
    }

    #[tokio::test]
    async fn an_armor_that_cannot_save_dies_without_a_word() {
        let Setting { _directory, clerk, mut client, began: _began, let_end } = setting();
        let_end.send(false).unwrap();
        let talk = async {
            acquaint(&mut client).await;
            client.send(ArmorName::Ftm, FtmMessage::Await(JobId(1)));
            loop {
                if let ClientEvent::Message { message: Message::User(UserMessage::Forgotten { .. }), .. } =
                    next(&mut client).await
                {
                    return;
                }
            }
        };
        tokio::select! {
            ended = clerk.run() => assert!(matches!(ended, Err(SavingError::Store(_)))),
            () = talk => panic!("it was said although it was not saved"),
        }
    }
}
