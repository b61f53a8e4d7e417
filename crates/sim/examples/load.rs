//! Holds many connections to a server on this computer and sends telemetry over them, for first figures by hand.
//!
//! `cargo run --release -p muster-sim --example load -- ADDRESS MACHINES MESSAGES_PER_SECOND SECONDS SERVER_PID`
//!
//! Open loop: every machine sends at its own pace whatever the server does. `SERVER_PID` is for the server's memory and
//! processor time, from /proc. Each message is one frame of about 200 bytes. Loopback only.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use muster_model::vocabulary::Quality;
use muster_model::{BootId, MachineId, RecordNumber, SequenceNumber, SessionNumber, Timestamp};
use muster_protocol::link::{
    Decoder, Envelope, Hello, MachineMessage, SUBPROTOCOL, ServerMessage, Telemetry, WireSample, encode,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

/// Machines that share a source address, so that ports do not run out.
const MACHINES_PER_SOURCE: usize = 5_000;

fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(load())
}

async fn load() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, machines, rate, seconds, pid] = arguments.as_slice() else {
        return Err("ADDRESS MACHINES MESSAGES_PER_SECOND SECONDS SERVER_PID".into());
    };
    let address: SocketAddr = address.parse()?;
    if !address.ip().is_loopback() {
        return Err("loopback only".into());
    }
    let (machines, rate, seconds): (usize, f64, u64) = (machines.parse()?, rate.parse()?, seconds.parse()?);
    let server = Process { pid: pid.parse()? };
    println!("before            {} KiB", server.resident_kib()?);
    let before_kib = server.resident_kib()?;
    let started = Instant::now();
    let mut joining = JoinSet::new();
    let mut links = Vec::with_capacity(machines);
    for index in 0..machines {
        joining.spawn(join(address, index));
        // A backlog's worth at a time: this is about holding, not about storms.
        while joining.len() > 512 {
            links.push(joining.join_next().await.ok_or("nobody joins")???);
        }
    }
    while let Some(joined) = joining.join_next().await {
        links.push(joined??);
    }
    println!(
        "joined            {machines} in {:.2} s",
        started.elapsed().as_secs_f64()
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    let held_kib = server.resident_kib()?;
    let each = (held_kib.saturating_sub(before_kib)) as f64 / machines as f64;
    println!("held              {held_kib} KiB, {each:.1} KiB a machine");
    if rate > 0.0 {
        send(links, rate, seconds, &server).await?;
    } else {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        drop(links);
    }
    Ok(())
}

async fn send(links: Vec<Link>, rate: f64, seconds: u64, server: &Process) -> Result<(), Failure> {
    let sent = Arc::new(AtomicU64::new(0));
    let machines = links.len();
    let every = Duration::from_secs_f64(machines as f64 / rate);
    let (began, cpu) = (Instant::now(), server.cpu_seconds()?);
    let mut sending = JoinSet::new();
    for (index, mut link) in links.into_iter().enumerate() {
        let sent = sent.clone();
        let start = tokio::time::Instant::now() + every.mul_f64(index as f64 / machines as f64);
        sending.spawn(async move {
            let mut ticks = tokio::time::interval_at(start, every);
            let mut heard = [0u8; 512];
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        link.send()?;
                        if link.stream.write_all(&link.out).await.is_err() { return Err::<(), Failure>("a connection was lost".into()); }
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    read = link.stream.read(&mut heard) => if read? == 0 { return Err("the server closed".into()); },
                }
            }
        });
    }
    let deadline = tokio::time::sleep(Duration::from_secs(seconds));
    tokio::pin!(deadline);
    tokio::select! {
        () = &mut deadline => {}
        Some(ended) = sending.join_next() => { ended??; }
    }
    let (took, count) = (began.elapsed().as_secs_f64(), sent.load(Ordering::Relaxed));
    let used = server.cpu_seconds()? - cpu;
    println!(
        "sent              {count} in {took:.1} s, {:.0} a second (asked for {rate:.0})",
        count as f64 / took
    );
    println!(
        "server processor  {used:.2} s, {:.2} µs a message",
        used / count as f64 * 1e6
    );
    println!("server memory     {} KiB", server.resident_kib()?);
    Ok(())
}

/// One machine in session.
struct Link {
    stream: TcpStream,
    machine: MachineId,
    session: SessionNumber,
    sequence: SequenceNumber,
    out: Vec<u8>,
}

impl Link {
    fn send(&mut self) -> Result<(), Failure> {
        self.sequence = self.sequence.next();
        let value = (self.sequence.0 % 1_000) as f64 / 10.0;
        let metric = "cpu.percent".into();
        let sample = WireSample {
            metric,
            value,
            unit: None,
            quality: Quality::Good,
            offset_ms: 0,
        };
        let message = MachineMessage::Telemetry(Telemetry {
            samples: vec![sample],
        });
        let (machine, session) = (self.machine, Some(self.session));
        let text = encode(&envelope(machine, session, self.sequence, message))?;
        self.out.clear();
        frame(&text, &mut self.out);
        Ok(())
    }
}

async fn join(address: SocketAddr, index: usize) -> Result<Link, Failure> {
    let source = Ipv4Addr::new(127, 0, 1, 1 + (index / MACHINES_PER_SOURCE) as u8);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /machine HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(String::from_utf8_lossy(&head).into_owned().into());
    }
    let machine = MachineId::from_uuid(uuid::Uuid::from_u128(
        0x1000_0000 + ((index as u128) << 64) + index as u128,
    ));
    let hello = MachineMessage::Hello(Box::new(Hello {
        versions: vec![1],
        minor: 0,
        agent_version: "load".into(),
        boot_id: BootId::from_uuid(uuid::Uuid::from_u128(index as u128)),
        capabilities: Vec::new(),
        dictionaries: Vec::new(),
        last_session: SessionNumber::ZERO,
        desired_version: 0,
        records: None,
        highest_record: RecordNumber::ZERO,
    }));
    let mut out = Vec::new();
    frame(
        &encode(&envelope(machine, None, SequenceNumber(1), hello))?,
        &mut out,
    );
    stream.write_all(&out).await?;
    let welcome = Decoder::default().server(&read_text(&mut stream).await?)?;
    let ServerMessage::Welcome(welcome) = welcome.message else {
        return Err("no welcome".into());
    };
    Ok(Link {
        stream,
        machine,
        session: welcome.session,
        sequence: SequenceNumber(1),
        out,
    })
}

fn envelope(
    machine_id: MachineId,
    session: Option<SessionNumber>,
    sequence: SequenceNumber,
    message: MachineMessage,
) -> Envelope<MachineMessage> {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let timestamp = Timestamp::from_millis(since.as_millis() as i64);
    Envelope {
        machine_id,
        session,
        sequence,
        record: None,
        timestamp,
        traceparent: None,
        message,
    }
}

/// A masked text frame, as a client sends it. Source: RFC 6455, 5.2. A mask of zeros is a mask.
fn frame(text: &str, out: &mut Vec<u8>) {
    out.push(0x81);
    match text.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(text.as_bytes());
}

async fn read_text(stream: &mut TcpStream) -> Result<String, Failure> {
    loop {
        let (first, second) = (stream.read_u8().await?, stream.read_u8().await?);
        let length = match second & 0x7f {
            126 => usize::from(stream.read_u16().await?),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        if first & 0x0f == 1 {
            return Ok(String::from_utf8(payload)?);
        }
    }
}

struct Process {
    pid: u32,
}

impl Process {
    fn resident_kib(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
    }

    fn cpu_seconds(&self) -> Result<f64, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / 100.0)
    }
}
