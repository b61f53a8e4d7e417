//! Network interfaces and traffic.

use std::path::Path;
use std::time::Duration;

use muster_model::state::{Network, NetworkInterface};

use super::files::{entries, malformed, number, optional, required};
use super::{LinuxRoots, addresses, truncated};
use crate::MetalError;
use crate::device::{Traffic, rounded};
use crate::limits::{MAX_ADDRESSES_PER_INTERFACE, MAX_INTERFACES};

pub(crate) fn network(roots: &LinuxRoots) -> Result<Network, MetalError> {
    let owned = if roots.ask_kernel_for_addresses {
        addresses::addresses()?
    } else {
        Vec::new()
    };
    let mut interfaces = Vec::new();
    for (name, path) in entries(&roots.sys.join("class/net"))? {
        // `bonding_masters` is a file among the interfaces.
        if name == "lo" || !path.is_dir() {
            continue;
        }
        let index: Option<u32> = number(&path.join("ifindex"));
        interfaces.push(NetworkInterface {
            mac: hardware_address(&path),
            addresses: owned
                .iter()
                .filter(|(owner, _)| Some(*owner) == index)
                .take(MAX_ADDRESSES_PER_INTERFACE)
                .map(|(_, address)| address.to_string())
                .collect(),
            up: is_up(&path),
            speed_mbit_per_s: speed(&path),
            name,
        });
    }
    interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Network {
        hostname: required(&roots.proc.join("sys/kernel/hostname"))?
            .trim()
            .to_owned(),
        interfaces: truncated(interfaces, MAX_INTERFACES),
    })
}

/// Tunnels have none, or one of zeros.
fn hardware_address(interface: &Path) -> Option<String> {
    let address = optional(&interface.join("address"))?.to_ascii_lowercase();
    address.chars().any(|c| c != '0' && c != ':').then_some(address)
}

/// Drivers without link detection say `unknown`; then only the carrier tells. Reading the carrier of an interface
/// that is down is refused (`EINVAL`).
fn is_up(interface: &Path) -> bool {
    match optional(&interface.join("operstate")).as_deref() {
        Some("up") => true,
        Some("unknown") | None => number::<u8>(&interface.join("carrier")) == Some(1),
        Some(_) => false,
    }
}

/// Drivers that do not know it refuse, or say −1 or its unsigned twin.
fn speed(interface: &Path) -> Option<u32> {
    number::<i64>(&interface.join("speed"))
        .and_then(|speed| u32::try_from(speed).ok())
        .filter(|speed| (1..u32::MAX).contains(speed))
}

/// Measures traffic between two readings.
#[derive(Debug, Default)]
pub(crate) struct TrafficMeter {
    last: Option<(Duration, Vec<Counters>)>,
}

impl TrafficMeter {
    /// `None` at the first reading, and when no time has passed since it.
    pub(crate) fn rate(&mut self, roots: &LinuxRoots, now: Duration) -> Result<Option<Traffic>, MetalError> {
        let path = roots.proc.join("net/dev");
        let text = required(&path)?;
        let counters = parse_counters(&text).ok_or_else(|| malformed(&path, "traffic counters", &text))?;
        let Some((then, earlier)) = &self.last else {
            self.last = Some((now, counters));
            return Ok(None);
        };
        let seconds = now.saturating_sub(*then).as_secs_f64();
        if seconds <= 0.0 {
            return Ok(None);
        }
        let (received, sent) = grown(earlier, &counters);
        self.last = Some((now, counters));
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
        let rate = |bytes: u64| rounded(bytes as f64 / seconds, 10.0);
        Ok(Some(Traffic {
            receive_bytes_per_s: rate(received),
            transmit_bytes_per_s: rate(sent),
        }))
    }
}

/// The counters of one interface since it came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) name: String,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

/// What was counted between two readings. An interface that is new, or whose counters began anew, counts from its
/// next reading on.
pub(crate) fn grown(earlier: &[Counters], later: &[Counters]) -> (u64, u64) {
    let mut total = (0_u64, 0_u64);
    for now in later {
        if let Some(then) = earlier.iter().find(|then| then.name == now.name) {
            total.0 = total
                .0
                .saturating_add(now.received_bytes.saturating_sub(then.received_bytes));
            total.1 = total
                .1
                .saturating_add(now.sent_bytes.saturating_sub(then.sent_bytes));
        }
    }
    total
}

/// Two lines of heading, then `name: received packets errs drop fifo frame compressed multicast sent …`; with large
/// counters there is no blank after the colon.
pub(crate) fn parse_counters(text: &str) -> Option<Vec<Counters>> {
    text.lines()
        .skip(2)
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (name, fields) = line.rsplit_once(':')?;
            let mut fields = fields.split_whitespace();
            Some(Counters {
                name: name.trim().to_owned(),
                received_bytes: fields.next()?.parse().ok()?,
                sent_bytes: fields.nth(7)?.parse().ok()?,
            })
        })
        .filter(|counters| counters.as_ref().is_none_or(|counters| counters.name != "lo"))
        .collect()
}
