//! The safety loop on a thread of its own: at a fixed rate, before all other threads, with memory that stays where it is, and
//! without a lock that anybody else holds. What it is told and what it tells go through cells that never wait; an event counter
//! wakes the loop, and a byte on a socket its node.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use muster_reflex::safety::Verdict;
use muster_runtime::realtime::{Grants, boot_time};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::net::UnixStream;

use super::steps::Writer;
use super::tape;
use super::turns::{Told, Turned, Turns};
use crate::supervisor::NodeError;

/// Turns that may wait for the node. Beyond them only news waits, and comes with the next turn.
const TURNS_WAITING: usize = 128;
/// A loop that does not turn for so long hangs.
const HANGS_AFTER: Duration = Duration::from_millis(1_500);
/// How long the last turn may take.
const ENDS_WITHIN: Duration = Duration::from_millis(500);
/// What a waker says that is not there any more.
const GONE: PollFlags = PollFlags::ERR.union(PollFlags::HUP).union(PollFlags::NVAL);
/// So much of the stack is touched before the first turn, so that it is there.
const STACK_TOUCHED: usize = 64 * 1024;
const STACK_BYTES: usize = 256 * 1024;

/// The loop as its node has it.
pub(super) struct Loop {
    told: triple_buffer::Input<Told>,
    turned: rtrb::Consumer<Turned>,
    shared: Arc<Shared>,
    news: UnixStream,
    thread: Option<JoinHandle<()>>,
    /// Every step, while somebody listens.
    tape: tape::Taken,
    /// How many turns there were when it was last looked, and when that was.
    looked: (u64, Instant),
}

/// What both sides see.
struct Shared {
    /// Counts when there is something for the loop.
    poke: OwnedFd,
    /// Takes a byte when there is something for the node.
    news: StdStream,
    turns: AtomicU64,
    stop: AtomicBool,
    /// What the computer granted to the thread, once it has asked.
    grants: OnceLock<Grants>,
}

impl Loop {
    pub(super) fn start(turns: Turns) -> Result<Self, NodeError> {
        let refused = |what: &'static str| move |error: std::io::Error| NodeError(format!("{what}: {error}"));
        let poke = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map_err(|error| NodeError(format!("no event counter: {error}")))?;
        let (near, far) = StdStream::pair().map_err(refused("the loop's news"))?;
        let quick = near
            .set_nonblocking(true)
            .and_then(|()| far.set_nonblocking(true));
        quick.map_err(refused("the loop's news"))?;
        let news = UnixStream::from_std(near).map_err(refused("the loop's news"))?;
        let shared = Arc::new(Shared {
            poke,
            news: far,
            turns: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            grants: OnceLock::new(),
        });
        let wakers = turns.wakers().map_err(refused("what wakes the loop"))?;
        let (told, hears) = triple_buffer::triple_buffer(&Told::default());
        let (tells, turned) = rtrb::RingBuffer::new(TURNS_WAITING);
        let (records, tape) = tape::tape();
        let works = Worker {
            turns,
            records,
            hears,
            tells,
            shared: shared.clone(),
            said: None,
        };
        let thread = std::thread::Builder::new()
            .name("safety".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let grants = Grants::ask();
                tracing::info!(%grants, "the safety loop has a thread of its own");
                let _ = works.shared.grants.set(grants);
                touch_stack();
                works.run(&wakers);
            })
            .map_err(refused("no thread for the safety loop"))?;
        Ok(Self {
            told,
            turned,
            shared,
            news,
            thread: Some(thread),
            tape,
            looked: (0, Instant::now()),
        })
    }

    pub(super) fn exchange(&mut self, told: &Told, came: &mut Vec<Turned>) -> Result<(), NodeError> {
        self.told.write(*told);
        count(&self.shared.poke);
        self.take(came);
        let turns = self.shared.turns.load(Ordering::Acquire);
        if turns != self.looked.0 {
            self.looked = (turns, Instant::now());
        }
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        if ended {
            return Err(NodeError("the safety loop ended by itself".to_owned()));
        }
        if self.looked.1.elapsed() > HANGS_AFTER {
            return Err(NodeError(format!(
                "the safety loop did not turn for {} ms",
                HANGS_AFTER.as_millis()
            )));
        }
        Ok(())
    }

    pub(super) async fn news(&mut self) {
        let mut bytes = [0; TURNS_WAITING];
        loop {
            match self
                .news
                .readable()
                .await
                .and_then(|()| self.news.try_read(&mut bytes))
            {
                Ok(_) => return,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // Without it the node looks by itself, once a second.
                Err(_) => std::future::pending().await,
            }
        }
    }

    pub(super) async fn end(&mut self, told: &Told, came: &mut Vec<Turned>) -> Result<(), NodeError> {
        self.told.write(*told);
        self.shared.stop.store(true, Ordering::Release);
        count(&self.shared.poke);
        let began = Instant::now();
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if began.elapsed() > ENDS_WITHIN {
                return Err(NodeError("the safety loop does not end".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.take(came);
        Ok(())
    }

    /// What the computer granted to its thread; nothing before the thread has asked.
    pub(super) fn grants(&self) -> Option<&Grants> {
        self.shared.grants.get()
    }

    /// The steps that were taken, for whoever records.
    pub(super) fn steps(&mut self) -> &mut Writer {
        self.tape.steps()
    }

    fn take(&mut self, came: &mut Vec<Turned>) {
        self.tape.take();
        while let Ok(turned) = self.turned.pop() {
            came.push(turned);
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        count(&self.shared.poke);
        // The next node needs the hardware back. One that hangs is left behind; it keeps the hardware, and nobody takes over.
        let began = Instant::now();
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
            && began.elapsed() < ENDS_WITHIN
        {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// The loop on its thread.
struct Worker {
    turns: Turns,
    /// Every step, while somebody listens.
    records: tape::Records,
    hears: triple_buffer::Output<Told>,
    tells: rtrb::Producer<Turned>,
    shared: Arc<Shared>,
    /// What the node was told last.
    said: Option<Turned>,
}

impl Worker {
    fn run(mut self, wakers: &[OwnedFd]) {
        let shared = self.shared.clone();
        let awaited = std::iter::once(&shared.poke).chain(wakers);
        let mut awaited: Vec<PollFd<'_>> = awaited
            .map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN))
            .collect();
        let period = self.turns.period();
        let mut due = boot_time();
        loop {
            let stop = shared.stop.load(Ordering::Acquire);
            let now = boot_time();
            self.turn(now, stop);
            if stop {
                return;
            }
            due = due_after(due, now, period);
            let wait = due.saturating_sub(boot_time());
            // Interrupted or not: the next turn looks at everything.
            let _ = poll(&mut awaited, Some(&timespec(wait)));
            // What was pulled out is ready for ever, and would keep a thread busy that goes before all others: it wakes nobody any
            // more, and is looked at in each turn.
            awaited.retain(|waker| !waker.revents().intersects(GONE));
            drain(&shared.poke);
        }
    }

    /// One turn; the last one is told whatever came of it.
    fn turn(&mut self, now: Duration, is_last: bool) {
        self.hears.update();
        let told = *self.hears.output_buffer();
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.records.before(now_us, self.turns.safety());
        let turned = self.turns.turn(now_us, &told);
        let much_waits = self.records.push(&turned);
        let is_news = is_last || self.said.is_none_or(|said| !is_same(&said, &turned));
        // What finds no room is still news in the next turn.
        let told = is_news && self.tells.push(turned).is_ok();
        if told {
            self.said = Some(turned);
        }
        if told || much_waits {
            // Full is as good as one more.
            let _ = rustix::io::write(&self.shared.news, &[1]);
        }
        self.shared.turns.fetch_add(1, Ordering::Release);
    }
}

/// When the next turn is due after one at `now`. What woke the loop before its time does not put off the turn that was due: or whoever
/// wakes it often would keep it from looking at what has no edges.
fn due_after(due: Duration, now: Duration, period: Duration) -> Duration {
    if now < due {
        return due;
    }
    let next = due + period;
    // What was missed is not made up for.
    if next <= now { now + period } else { next }
}

/// Whether a turn tells the node nothing that the one before did not: what actuators do on their way is none of its business.
fn is_same(before: &Turned, now: &Turned) -> bool {
    let (a, b): (&Verdict, &Verdict) = (&before.verdict, &now.verdict);
    // Who pressed something that changes nothing waits for an answer, too.
    if before.sample.asks != now.sample.asks {
        return false;
    }
    // So does who commanded something, also where the gate says the same of it as of the command before.
    let stamps = |turned: &Turned| {
        turned
            .sample
            .commands
            .map(|command| command.map(|command| command.stamp))
    };
    if stamps(before) != stamps(now) {
        return false;
    }
    (
        a.region, a.causes, a.standing, a.action, a.still, a.holder, a.keep,
    ) == (
        b.region, b.causes, b.standing, b.action, b.still, b.holder, b.keep,
    ) && a.outputs.enable == b.outputs.enable
        && a.decided == b.decided
}

fn count(counter: &OwnedFd) {
    // Full is as good as one more.
    let _ = rustix::io::write(counter, &1u64.to_ne_bytes());
}

fn drain(counter: &OwnedFd) {
    let mut count = [0; 8];
    let _ = rustix::io::read(counter, &mut count);
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[inline(never)]
fn touch_stack() {
    let mut bytes = [0u8; STACK_TOUCHED];
    bytes.fill(1);
    std::hint::black_box(&bytes);
}

#[cfg(test)]
mod tests {
    use muster_model::vocabulary::Authority;
    use muster_reflex::safety::{Command, Config, Safety, Sample, Stamp};

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_wakes_the_loop_early_does_not_put_off_the_turn_that_is_due() {
        let mut due = ms(100);
        for now in 91..100 {
            due = due_after(due, ms(now), ms(10));
        }
        assert_eq!(due, ms(100));
    }

    #[test]
    fn turns_keep_their_rate_and_what_was_missed_is_not_made_up_for() {
        assert_eq!(due_after(ms(100), ms(100), ms(10)), ms(110));
        assert_eq!(
            due_after(ms(100), ms(103), ms(10)),
            ms(110),
            "late by less than a period"
        );
        assert_eq!(due_after(ms(100), ms(110), ms(10)), ms(120));
        assert_eq!(due_after(ms(100), ms(500), ms(10)), ms(510));
    }

    #[test]
    fn each_command_is_news_also_where_the_gate_says_the_same_of_it() {
        let command = |sequence| Command {
            value: 1.0,
            stamp: Stamp {
                authority: Authority::LocalManual,
                sequence,
                deadline_us: 400_000,
            },
        };
        let turned = |sequence| {
            let mut sample = Sample::default();
            let verdict = Safety::new(Config::default(), None).step(1, &sample);
            sample.commands[0] = Some(command(sequence));
            Turned {
                now_us: 1,
                sample,
                verdict,
            }
        };
        assert!(is_same(&turned(1), &turned(1)));
        assert!(
            !is_same(&turned(1), &turned(2)),
            "who sent the second waits for an answer"
        );
    }
}
