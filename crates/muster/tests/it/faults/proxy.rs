//! A TCP proxy between machines and server that treats what passes as a bad network does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_runtime::{Shutdown, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

/// What one read takes at most, where nothing says less.
const PIECE_BYTES: usize = 4 * 1024;
/// What the kernel may hold for a throttled way: a modem's, not a server's.
const SMALL_BUFFER_BYTES: u32 = 4 * 1024;

/// What happens to one way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Way {
    /// Nothing passes, and nobody is told.
    pub(crate) blackhole: bool,
    pub(crate) delay: Duration,
    pub(crate) bytes_per_s: Option<u64>,
}

/// How connections end on their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// With a reset, both ways, whatever is in the middle of a frame.
    Reset,
    /// With an orderly end after a part of a frame.
    Truncate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weather {
    pub(crate) up: Way,
    pub(crate) down: Way,
    /// Each connection ends after some number of bytes up to this.
    pub(crate) end_after: Option<(End, u64)>,
    /// Nobody is let in, and who is in is thrown out.
    pub(crate) closed: bool,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    weather: watch::Sender<Weather>,
    shutdown: Shutdown,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicU64,
    ended: AtomicU64,
    dice: AtomicU64,
}

impl Proxy {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let socket = TcpSocket::new_v4().unwrap();
        // Connections take this over from whom they were accepted by.
        socket.set_recv_buffer_size(SMALL_BUFFER_BYTES).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1_024).unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, seen) = watch::channel(Weather::default());
        let (shutdown, shared) = (Shutdown::new(), Arc::<Shared>::default());
        let tasks = Tasks::new(shutdown.clone());
        let (all, counters) = (tasks.clone(), shared.clone());
        let asked = shutdown.clone();
        tasks.spawn_small(async move {
            loop {
                let (inside, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = asked.requested() => return,
                };
                if seen.borrow().closed {
                    let _ = inside.set_zero_linger();
                    continue;
                }
                counters.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, counters, asked) = (seen.clone(), counters.clone(), asked.clone());
                all.spawn_small(async move {
                    tokio::select! {
                        () = pass(inside, to, seen, &counters) => {}
                        () = asked.requested() => {}
                    }
                });
            }
        });
        Self {
            address,
            weather,
            shutdown,
            shared,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) fn weather(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How many connections ended because of [`Weather::end_after`].
    pub(crate) fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.request("the test ends");
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

/// One connection, until either end or the weather ends it.
async fn pass(inside: TcpStream, to: SocketAddr, mut seen: watch::Receiver<Weather>, shared: &Shared) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER_BYTES).unwrap();
    let Ok(outside) = socket.connect(to).await else {
        return;
    };
    for stream in [&inside, &outside] {
        let _ = stream.set_nodelay(true);
    }
    let weather = *seen.borrow();
    let budget = weather.end_after.map(|(end, most)| {
        let next = shared.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let mixed = (next ^ (next >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (end, AtomicU64::new(1 + (mixed ^ (mixed >> 29)) % most))
    });
    let (mut inside_read, mut inside_write) = inside.into_split();
    let (mut outside_read, mut outside_write) = outside.into_split();
    let ended = {
        let left = budget.as_ref().map(|(_, left)| left);
        tokio::select! {
            used_up = copy(&mut inside_read, &mut outside_write, seen.clone(), |weather| weather.up, left) => used_up,
            used_up = copy(&mut outside_read, &mut inside_write, seen.clone(), |weather| weather.down, left) => used_up,
            _ = seen.wait_for(|weather| weather.closed) => true,
        }
    };
    let cut = budget.map_or(End::Reset, |(end, _)| end);
    if ended {
        shared.ended.fetch_add(1, Ordering::SeqCst);
        if cut == End::Reset {
            for stream in [inside_read.as_ref(), outside_read.as_ref()] {
                let _ = stream.set_zero_linger();
            }
        }
    }
}

/// One way. True when the bytes of the connection are used up, false when an end closed it.
async fn copy(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut seen: watch::Receiver<Weather>,
    way: impl Fn(&Weather) -> Way,
    left: Option<&AtomicU64>,
) -> bool {
    let mut piece = vec![0; PIECE_BYTES];
    let mut free_at = tokio::time::Instant::now();
    loop {
        // What was sent into a hole arrives when the hole is gone, as TCP would send it again.
        if seen.wait_for(|weather| !way(weather).blackhole).await.is_err() {
            return false;
        }
        let now = way(&seen.borrow());
        let most = now
            .bytes_per_s
            .map_or(PIECE_BYTES, |rate| (rate / 20).max(16) as usize);
        let Ok(n @ 1..) = from.read(&mut piece[..most.min(PIECE_BYTES)]).await else {
            return false;
        };
        // It may have become a hole while we read.
        if seen.wait_for(|weather| !way(weather).blackhole).await.is_err() {
            return false;
        }
        if let Some(rate) = now.bytes_per_s {
            free_at =
                free_at.max(tokio::time::Instant::now()) + Duration::from_secs_f64(n as f64 / rate as f64);
            tokio::time::sleep_until(free_at).await;
        }
        if !now.delay.is_zero() {
            tokio::time::sleep_until(tokio::time::Instant::now() + now.delay).await;
        }
        let mut out = n;
        if let Some(left) = left {
            let had = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                Some(left.saturating_sub(n as u64))
            });
            out = n.min(had.unwrap_or(0) as usize);
        }
        if to.write_all(&piece[..out]).await.is_err() {
            return false;
        }
        if out < n {
            return true;
        }
    }
}
