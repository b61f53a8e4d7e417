//! What a simulated machine is made of. Believable, and plainly simulated: serial numbers begin with `SIM`.

use muster_model::ids::BootId;
use muster_model::state::{Hardware, Network, NetworkInterface, Platform};
use uuid::Uuid;

use super::computer::Build;
use super::place::Profile;
use super::random::Random;
use super::{SimulatedOptions, uptime_at_start_ms};
use crate::device::Facts;

const MACHINE_ID: u64 = 11;
const BOOT_ID: u64 = 12;
const SERIAL: u64 = 13;
const NETWORK: u64 = 14;

pub(crate) fn facts(options: &SimulatedOptions) -> Facts {
    let build = Build::of(options.profile);
    let serial = Random::new(options.seed, SERIAL).bits();
    let (vendor, model, revision, processor) = match options.profile {
        Profile::Car => (
            "Muster Simulated",
            "City Car E40",
            "B2",
            "ARMv8 Processor rev 1 (v8l)",
        ),
        Profile::Lekiwi => ("Muster Simulated", "LeKiwi", "1.0", "Cortex-A76"),
        Profile::Pi => (
            "raspberrypi",
            "Raspberry Pi 5 Model B Rev 1.0",
            "d04170",
            "Cortex-A76",
        ),
    };
    let (os, kernel) = match options.profile {
        Profile::Car => ("Ubuntu 22.04.5 LTS", "5.15.148-tegra"),
        Profile::Lekiwi | Profile::Pi => ("Debian GNU/Linux 12 (bookworm)", "6.12.34+rpt-rpi-2712"),
    };
    Facts {
        hardware: Hardware {
            vendor: Some(vendor.into()),
            model: Some(model.into()),
            serial: Some(format!("SIM{:012x}", serial >> 16)),
            revision: Some(revision.into()),
            architecture: "aarch64".into(),
            processor: Some(processor.into()),
            processors: build.processors,
            memory_bytes: build.memory_bytes,
        },
        platform: Platform {
            os: os.into(),
            kernel: kernel.into(),
            boot_id: BootId::from_uuid(uuid(options.seed, BOOT_ID)),
            booted_at: options.started_at.plus_millis(-uptime_at_start_ms(options.seed)),
        },
        machine_id_hint: Some(uuid(options.seed, MACHINE_ID)),
    }
}

/// A locally administered hardware address, a private IPv4 and a documentation IPv6 address (RFC 1918, RFC 3849).
pub(crate) fn network(options: &SimulatedOptions) -> Network {
    let [a, b, c, d, e, f, g, h] = Random::new(options.seed, NETWORK).bits().to_be_bytes();
    let (name, speed_mbit_per_s) = match options.profile {
        Profile::Car => ("wwan0", None),
        Profile::Lekiwi => ("wlan0", None),
        Profile::Pi => ("eth0", Some(1_000)),
    };
    Network {
        hostname: options.hostname.clone(),
        interfaces: vec![NetworkInterface {
            name: name.into(),
            mac: Some(format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")),
            addresses: vec![
                format!("10.{}.{}.{}", f, g, 1 + h % 254),
                format!("2001:db8:{a:02x}{b:02x}::{c:x}{d:02x}"),
            ],
            up: true,
            speed_mbit_per_s,
        }],
    }
}

fn uuid(seed: u64, purpose: u64) -> Uuid {
    let mut random = Random::new(seed, purpose);
    let mut bytes = [0; 16];
    for half in bytes.chunks_exact_mut(8) {
        half.copy_from_slice(&random.bits().to_be_bytes());
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
