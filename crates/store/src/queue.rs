//! A queue into a thread: bounded by weight, never blocks the sender, drained in gulps by its one reader.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What one item counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// Why an item was not taken; it is handed back.
#[derive(Debug)]
pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

/// What the reader found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// There are items.
    Ready,
    /// None came in time.
    Idle,
    /// None is left, and none will come.
    Closed,
}

pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    limit: Weight,
}

struct State<T> {
    items: VecDeque<(T, Weight)>,
    held: Weight,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(limit: Weight) -> Self {
        let state = State {
            items: VecDeque::new(),
            held: Weight::default(),
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            limit,
        }
    }

    /// Puts an item at the end. An empty queue takes any item, so that none is too heavy for ever.
    pub(crate) fn push(&self, item: T, weight: Weight) -> Result<(), Refused<T>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed(item));
        }
        let rows = state.held.rows + weight.rows;
        let bytes = state.held.bytes + weight.bytes;
        if !state.items.is_empty() && (rows > self.limit.rows || bytes > self.limit.bytes) {
            return Err(Refused::Full(item));
        }
        state.held = Weight { rows, bytes };
        state.items.push_back((item, weight));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits until there is an item.
    pub(crate) fn wait(&self, timeout: Duration) -> Waited {
        let mut state = self.state.lock();
        if state.items.is_empty() && !state.closed {
            self.arrived.wait_for(&mut state, timeout);
        }
        match (state.items.is_empty(), state.closed) {
            (false, _) => Waited::Ready,
            (true, true) => Waited::Closed,
            (true, false) => Waited::Idle,
        }
    }

    /// Moves items to `into` until they weigh `rows_max` rows or none is left; says how many rows these were.
    pub(crate) fn drain(&self, into: &mut Vec<T>, rows_max: usize) -> usize {
        let mut state = self.state.lock();
        let mut rows = 0;
        while rows < rows_max
            && let Some((item, weight)) = state.items.pop_front()
        {
            state.held.rows -= weight.rows;
            state.held.bytes -= weight.bytes;
            rows += weight.rows;
            into.push(item);
        }
        rows
    }

    /// Rows that wait.
    pub(crate) fn rows(&self) -> usize {
        self.state.lock().held.rows
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().items.is_empty()
    }

    /// Takes no more items; what is queued can still be drained.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_all();
    }
}
