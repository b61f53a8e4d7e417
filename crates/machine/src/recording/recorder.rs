//! The thread that records: it alone touches the files while a machine runs.
//!
//! [`Recorder::start`] begins it; it is given messages and wishes over a bounded queue and never answers. How it fares stands in
//! [`Status`], what happened in [`News`]. A disk that hangs holds up this thread and nobody else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use muster_model::Timestamp;
use muster_model::recording::name::{Kind, Name, begun};
use muster_model::recording::{KeptRecording, LISTED_MAX, Recordings, Shown};
use muster_runtime::Clock;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::cut::{Cut, Wish};
use super::folder::{self, Entry, Recovered};
use super::segment::Segment;
use super::{About, Options, RecordingError};
use crate::message::Message;

/// What is written is on the disk after this.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// With nothing to do the thread looks around this often.
const IDLE: Duration = Duration::from_secs(60);
/// Batches that may wait.
const WAITING_MAX: usize = 64;
/// Messages that are cut out between two looks at the queue.
const CUT_AT_ONCE: usize = 250;
/// Wishes that may wait.
const WISHES_MAX: usize = 8;
/// How often what is kept may grow by what happens meanwhile, in times of `after`.
const EXTENDED_MAX: i64 = 4;
/// Stack of the thread. It is address space; only what is touched becomes memory.
const STACK_BYTES: usize = 512 * 1024;
/// News that wait for the node.
const NEWS_MAX: usize = 32;

/// What the thread is told.
#[derive(Debug)]
pub enum Order {
    /// These were said, in this order.
    Messages(Vec<Arc<Message>>),
    /// A moment that matters.
    Keep(Moment),
    /// People changed something in the directory, through [`folder`].
    Look,
}

/// A moment that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// A word for it.
    pub why: String,
    /// For a person.
    pub text: String,
    /// When it was.
    pub at: Timestamp,
    /// Whether a person says so.
    pub pinned: bool,
}

/// How recording fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Why nothing is recorded now.
    pub paused: Option<String>,
    /// Complete recordings, the oldest first.
    pub files: Vec<Shown>,
    /// Bytes of the one that is being written.
    pub writing_bytes: u64,
    /// Since when it holds something.
    pub writing_from: Option<Timestamp>,
    /// Messages that were written since the start.
    pub written: u64,
    /// Messages that were not, because the disk was too slow or paused.
    pub dropped: u64,
    /// Messages that had no form.
    pub formless: u64,
    /// Grows with whatever is worth telling.
    pub version: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A file that nobody had finished was read.
    Recovered(Recovered),
    /// A moment that matters is kept.
    Kept {
        /// In this file.
        file: String,
        /// For this.
        wish: Wish,
    },
}

impl Status {
    /// As the machine says it.
    fn report(&self) -> Recordings {
        let rolls = |shown: &&Shown| shown.why.is_none();
        let rolling = || self.files.iter().filter(rolls);
        let from = rolling().map(|shown| shown.from).chain(self.writing_from).min();
        let to = rolling().map(|shown| shown.to).max();
        let span = from.zip(to).map_or(0, |(from, to)| to.millis_since(from).max(0));
        let kept = || self.files.iter().rev().filter(|shown| shown.why.is_some());
        Recordings {
            paused: self.paused.clone(),
            rolling_s: u64::try_from(span / 1_000).unwrap_or(0),
            rolling_bytes: rolling().map(|shown| shown.bytes).sum::<u64>() + self.writing_bytes,
            kept: kept()
                .take(LISTED_MAX)
                .map(|shown| KeptRecording {
                    file: shown.file.clone(),
                    bytes: shown.bytes,
                })
                .collect(),
            failed: Vec::new(),
            more: (kept().count().saturating_sub(LISTED_MAX)) as u64,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    status: Status,
    news: Vec<News>,
}

/// The thread, as its node sees it. Dropped, it ends with what it has.
#[derive(Debug)]
pub struct Recorder {
    /// Nothing once it was asked to end.
    orders: Mutex<Option<SyncSender<Order>>>,
    shared: Arc<Mutex<Shared>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    directory: PathBuf,
}

impl Recorder {
    /// Begins a thread.
    pub fn start(options: Options, about: About, clock: Clock) -> std::io::Result<Self> {
        let (orders, told) = sync_channel(WAITING_MAX);
        let (end, ended) = oneshot::channel();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let directory = options.directory.clone();
        let work = Work {
            options,
            about,
            clock,
            shared: shared.clone(),
            segment: None,
            begun_ms: 0,
            retry_ms: 0,
            paused: None,
            wishes: Vec::new(),
            cut: None,
            recovered: false,
            status: Status::default(),
        };
        std::thread::Builder::new()
            .name("recorder".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                work.run(&told);
                // Nobody waits any more if this fails.
                let _ = end.send(());
            })?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            shared,
            ended: Mutex::new(Some(ended)),
            directory,
        })
    }

    /// Where the files are.
    pub fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// Hands over; false if the thread has too much to do.
    pub fn order(&self, order: Order) -> bool {
        let orders = self.orders.lock();
        let Some(orders) = &*orders else { return false };
        match orders.try_send(order) {
            Ok(()) => true,
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => {
                if let Order::Messages(messages) = order {
                    self.shared.lock().status.dropped += messages.len() as u64;
                }
                false
            }
        }
    }

    /// How it fares.
    pub fn status(&self) -> Status {
        self.shared.lock().status.clone()
    }

    /// So many messages never came here.
    pub fn lost(&self, messages: u64) {
        self.shared.lock().status.dropped += messages;
    }

    /// Messages that were not recorded.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().status.dropped
    }

    /// Why nothing is recorded now.
    pub fn paused(&self) -> Option<String> {
        self.shared.lock().status.paused.clone()
    }

    /// What number the status has, without looking at all of it.
    pub fn version(&self) -> u64 {
        self.shared.lock().status.version
    }

    /// What there is, as the machine says it.
    pub fn report(&self) -> Recordings {
        self.shared.lock().status.report()
    }

    /// What happened since this was asked last.
    pub fn news(&self) -> Vec<News> {
        std::mem::take(&mut self.shared.lock().news)
    }

    /// Lets it write what it has, and waits for that.
    pub async fn end(&self) {
        self.orders.lock().take();
        let ended = self.ended.lock().take();
        if let Some(ended) = ended {
            // A thread that panicked has ended as well.
            let _ = ended.await;
        }
    }
}

struct Work {
    options: Options,
    about: About,
    clock: Clock,
    shared: Arc<Mutex<Shared>>,
    segment: Option<Segment>,
    begun_ms: u64,
    retry_ms: u64,
    paused: Option<String>,
    wishes: Vec<Wish>,
    cut: Option<Cut>,
    recovered: bool,
    status: Status,
}

impl Work {
    fn run(mut self, told: &Receiver<Order>) {
        self.try_to(Self::begin);
        let mut look_ms = 0;
        loop {
            let now_ms = self.clock.mono_ms();
            let wait = if self.cut.is_some() {
                Duration::ZERO
            } else if self.segment.is_some() || !self.wishes.is_empty() || self.paused.is_some() {
                Duration::from_millis((look_ms + ms(SYNC_EVERY)).saturating_sub(now_ms))
            } else {
                IDLE
            };
            match told.recv_timeout(wait) {
                Ok(order) => self.hear(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now_ms = self.clock.mono_ms();
            if self.cut.is_some() {
                self.try_to(Self::cut_on);
            }
            if now_ms >= look_ms + ms(SYNC_EVERY) {
                look_ms = now_ms;
                self.look();
            }
        }
        self.try_to(Self::roll);
        self.tell();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.wall_ms())
    }

    /// Does something to the disk; a disk that fails pauses.
    fn try_to(&mut self, work: fn(&mut Self) -> Result<(), RecordingError>) {
        if let Err(error) = work(self) {
            self.pause(error.to_string());
        }
    }

    fn pause(&mut self, why: String) {
        if self.paused.is_none() {
            tracing::warn!(%why, "recording pauses");
        }
        // What is in the file is read when recording goes on.
        self.segment = None;
        self.cut = None;
        self.recovered = false;
        self.paused = Some(why);
        self.retry_ms = self.clock.mono_ms() + ms(self.options.retry_after);
        self.tell();
    }

    fn begin(&mut self) -> Result<(), RecordingError> {
        folder::make(&self.options.directory)?;
        if !self.recovered {
            let recovered = folder::recover(&self.options.directory, &self.about)?;
            self.recovered = true;
            let mut shared = self.shared.lock();
            shared.news.extend(recovered.into_iter().map(News::Recovered));
            shared.news.truncate(NEWS_MAX);
            drop(shared);
            self.wishes = Wish::all(&self.options.directory);
            self.wishes.truncate(WISHES_MAX);
        }
        self.make_room()?;
        self.paused = None;
        self.tell();
        Ok(())
    }

    /// From when on rolling files are still needed.
    fn waits_since(&self) -> Option<Timestamp> {
        let cut = self.cut.as_ref().map(|cut| cut.wish.from);
        self.wishes.iter().map(|wish| wish.from).chain(cut).min()
    }

    fn hear(&mut self, order: Order) {
        match order {
            Order::Messages(messages) => {
                for (place, message) in messages.iter().enumerate() {
                    if self.paused.is_some() {
                        self.shared.lock().status.dropped += (messages.len() - place) as u64;
                        return;
                    }
                    match self.record(message) {
                        Ok(()) => self.status.written += 1,
                        Err(RecordingError::Json(error)) => {
                            tracing::debug!(topic = %message.topic, %error, "a message has no form");
                            self.status.formless += 1;
                        }
                        Err(error) => self.pause(error.to_string()),
                    }
                }
            }
            Order::Keep(moment) => self.wish(moment),
            Order::Look => self.try_to(Self::list),
        }
    }

    fn list(&mut self) -> Result<(), RecordingError> {
        self.status.files = folder::list(&self.options.directory)?
            .iter()
            .map(Entry::shown)
            .collect();
        self.tell();
        Ok(())
    }

    fn record(&mut self, message: &Message) -> Result<(), RecordingError> {
        if self
            .segment
            .as_ref()
            .is_some_and(|segment| segment.is_behind(message.at))
        {
            self.roll()?;
        }
        if self.segment.is_none() {
            let path = self.options.directory.join(begun(message.at));
            self.segment = Some(Segment::create(path, &self.about)?);
            self.begun_ms = self.clock.mono_ms();
        }
        match &mut self.segment {
            Some(segment) => segment.write(message),
            None => Ok(()),
        }
    }

    /// Finishes the file that is being written.
    fn roll(&mut self) -> Result<(), RecordingError> {
        let Some(segment) = self.segment.take() else {
            return Ok(());
        };
        let part = segment.path().to_owned();
        let finished = segment.finish()?;
        if let Some((from, to)) = finished.span {
            let name = Name {
                kind: Kind::Rolling,
                from,
                to,
            };
            folder::rename(&part, &self.options.directory.join(name.file()))?;
        }
        self.list()
    }

    fn wish(&mut self, moment: Moment) {
        let signed = |duration: Duration| i64::try_from(ms(duration)).unwrap_or(i64::MAX / 8);
        let (before, after) = (signed(self.options.before), signed(self.options.after));
        let full = self.wishes.len() >= WISHES_MAX;
        let waits = self
            .wishes
            .iter_mut()
            .find(|wish| wish.pinned == moment.pinned && wish.from <= moment.at && moment.at <= wish.to);
        let wish = match waits {
            // It belongs to what is kept already.
            Some(wish) => {
                let most = wish.at.plus_millis(after.saturating_mul(EXTENDED_MAX));
                wish.to = moment.at.plus_millis(after).min(most).max(wish.to);
                wish.clone()
            }
            None if full => {
                tracing::warn!(why = %moment.why, "too much is to be kept: this is not");
                return;
            }
            None => {
                let wish = Wish {
                    why: moment.why,
                    text: moment.text,
                    at: moment.at,
                    from: moment.at.plus_millis(-before),
                    to: moment.at.plus_millis(after),
                    pinned: moment.pinned,
                };
                self.wishes.push(wish.clone());
                wish
            }
        };
        if let Err(error) = wish.write(&self.options.directory) {
            self.pause(error.to_string());
        }
    }

    /// What is due now and then.
    fn look(&mut self) {
        if self.paused.is_some() {
            if self.clock.mono_ms() >= self.retry_ms {
                self.try_to(Self::begin);
            }
            return;
        }
        self.try_to(Self::keep_house);
    }

    fn keep_house(&mut self) -> Result<(), RecordingError> {
        let now_ms = self.clock.mono_ms();
        if let Some(segment) = &mut self.segment {
            segment.sync()?;
            let bytes = segment.bytes();
            let old = now_ms >= self.begun_ms + ms(self.options.segment_every);
            self.status.writing_bytes = bytes;
            self.status.writing_from = segment.from();
            if old || bytes >= self.options.segment_bytes_max {
                self.roll()?;
            }
        }
        let now = self.now();
        if self.cut.is_none()
            && let Some(place) = self.wishes.iter().position(|wish| wish.to < now)
        {
            // What is being written may be a part of it.
            self.roll()?;
            let wish = self.wishes.remove(place);
            let rolling = folder::list(&self.options.directory)?;
            let sources = rolling.into_iter().filter(|entry| {
                entry.name.kind == Kind::Rolling && entry.name.to >= wish.from && entry.name.from <= wish.to
            });
            let sources = sources
                .map(|entry| self.options.directory.join(entry.file))
                .collect();
            self.cut = Some(Cut::begin(
                wish,
                sources,
                &self.options.directory,
                self.about.clone(),
            ));
        }
        self.make_room()?;
        self.tell();
        Ok(())
    }

    /// Removes what has to go; without room nothing is recorded.
    fn make_room(&mut self) -> Result<(), RecordingError> {
        let written = self.segment.as_ref().map_or(0, Segment::bytes);
        let left = folder::make_room(&self.options, self.now(), self.waits_since(), written)?;
        self.status.files = left.entries.iter().map(Entry::shown).collect();
        match left.short_of {
            None => Ok(()),
            Some(what) => Err(RecordingError::Refused(what.to_owned())),
        }
    }

    fn cut_on(&mut self) -> Result<(), RecordingError> {
        let Some(cut) = &mut self.cut else { return Ok(()) };
        let Some(done) = cut.turn(CUT_AT_ONCE)? else {
            return Ok(());
        };
        let wish = cut.wish.clone();
        self.cut = None;
        if let Some(name) = done {
            let mut shared = self.shared.lock();
            shared.news.push(News::Kept {
                file: name.file(),
                wish,
            });
            shared.news.truncate(NEWS_MAX);
        }
        self.list()
    }

    /// Lets the node see how it fares.
    fn tell(&mut self) {
        self.status.paused.clone_from(&self.paused);
        if self.segment.is_none() {
            self.status.writing_bytes = 0;
            self.status.writing_from = None;
        }
        let mut shared = self.shared.lock();
        self.status.dropped = shared.status.dropped;
        self.status.version = shared.status.version;
        let same = Status {
            written: shared.status.written,
            writing_bytes: shared.status.writing_bytes,
            ..self.status.clone()
        } == shared.status;
        self.status.version += u64::from(!same);
        shared.status.clone_from(&self.status);
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 8)
}
