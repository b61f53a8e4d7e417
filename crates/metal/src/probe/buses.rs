//! I2C buses, serial ports and USB devices.

use std::fs;
use std::path::Path;

use i2cdev::core::I2CDevice;
use i2cdev::linux::LinuxI2CDevice;

use super::names::Names;
use super::{Places, Scan, Sort, rights};
use crate::MetalError;
use crate::linux::files::{entries, number, optional};
use crate::wiring::Device;

/// What a serial port is suggested with; which rate its device speaks, nobody can tell.
const BAUD: u32 = 115_200;
/// Addresses that devices have. Source: the I2C specification, UM10204, 3.1.12.
const ADDRESSES: std::ops::RangeInclusive<u16> = 0x08..=0x77;

pub(super) fn i2c(places: &Places, scan: Scan) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("I2C buses");
    let devices = entries(&places.roots.sys.join("bus/i2c/devices"))?;
    let buses = devices
        .iter()
        .filter_map(|(name, path)| Some((name.strip_prefix("i2c-")?.parse::<u32>().ok()?, path)));
    for (bus, path) in buses {
        let adapter = optional(&path.join("name")).unwrap_or_default();
        sort.note(format!("bus {bus}: {adapter}"));
        for (name, path) in &devices {
            let Some(address) = name.strip_prefix(&format!("{bus}-")) else {
                continue;
            };
            let chip = optional(&path.join("name")).unwrap_or_default();
            let taken = if path.join("driver").exists() {
                "the kernel drives it"
            } else {
                "no driver has it"
            };
            sort.note(format!(
                "  0x{}: {chip}, {taken}",
                address.trim_start_matches('0')
            ));
        }
        let file = places.dev.join(format!("i2c-{bus}"));
        match rights(&file) {
            Some(why) => sort.note(format!("  {why}")),
            None if scan.i2c => answering(&file, bus, &mut sort),
            None => {}
        }
    }
    if !sort.notes.is_empty() && !scan.i2c {
        sort.note("what answers at which address, --scan-i2c finds out; reading from every address can disturb a device");
    }
    Ok(sort)
}

/// Reads a byte from every address. What a driver of the kernel has is left alone by the kernel.
fn answering(file: &Path, bus: u32, sort: &mut Sort) {
    for address in ADDRESSES {
        let device = LinuxI2CDevice::new(file, address);
        if device.is_ok_and(|mut device| device.smbus_read_byte().is_ok()) {
            sort.note(format!(
                "  answers: {{type: i2c, bus: {bus}, address: {address:#04x}}}"
            ));
        }
    }
}

pub(super) fn serial(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    let mut sort = Sort::new("serial ports");
    let consoles = optional(&places.roots.sys.join("class/tty/console/active")).unwrap_or_default();
    // Names by id say which adapter it is, whatever it is plugged into first.
    let mut by_id = Vec::new();
    for (id, link) in entries(&places.dev.join("serial/by-id"))? {
        let port = fs::read_link(&link).ok();
        let port = port.and_then(|target| Some(target.file_name()?.to_str()?.to_owned()));
        by_id.push((port.clone().unwrap_or_default(), link));
        sort.add(
            names,
            &serial_name(&id),
            Device::Serial {
                port: places.dev.join("serial/by-id").join(&id),
                baud: BAUD,
            },
        )
        .about(port.unwrap_or_default())
        .about(format!("{BAUD} is a guess"));
    }
    for (port, path) in entries(&places.roots.sys.join("class/tty"))? {
        // What has no device behind it is a console or a pseudo-terminal; what is of type 0, a port that is not there.
        let is_port = path.join("device").exists() && number::<u32>(&path.join("type")) != Some(0);
        if !is_port || by_id.iter().any(|(named, _)| *named == port) {
            continue;
        }
        let file = places.dev.join(&port);
        if consoles.split_whitespace().any(|console| console == port) {
            sort.note(format!("{}: the kernel's console is there", file.display()));
        } else if let Some(why) = rights(&file) {
            sort.note(why);
        } else {
            sort.add(
                names,
                &port,
                Device::Serial {
                    port: file,
                    baud: BAUD,
                },
            )
            .about(format!("{BAUD} is a guess"));
        }
    }
    for (port, link) in &by_id {
        if let Some(why) = rights(link) {
            sort.note(format!("{port}: {why}"));
        }
    }
    Ok(sort)
}

/// `usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0` begins with what they all begin with.
fn serial_name(id: &str) -> String {
    id.trim_start_matches("usb-").chars().take(24).collect()
}

pub(super) fn usb(places: &Places, names: &mut Names) -> Result<Sort, MetalError> {
    /// The class of hubs. Source: the class codes of the USB Implementers Forum.
    const HUB: &str = "09";
    let mut sort = Sort::new("USB devices");
    for (name, path) in entries(&places.roots.sys.join("bus/usb/devices"))? {
        let id = |file: &str| u16::from_str_radix(&optional(&path.join(file))?, 16).ok();
        let (Some(vendor), Some(product)) = (id("idVendor"), id("idProduct")) else {
            continue;
        };
        let words: Vec<String> = ["manufacturer", "product"]
            .iter()
            .filter_map(|file| optional(&path.join(file)))
            .collect();
        let words = words.join(" ");
        if optional(&path.join("bDeviceClass")).as_deref() == Some(HUB) {
            continue;
        }
        let serial = optional(&path.join("serial"));
        let twin = sort.found.iter().any(|found| {
            matches!(&found.device, Device::Usb { vendor: v, product: p, serial: s }
                if (*v, *p) == (vendor, product) && *s == serial)
        });
        if twin {
            sort.note(format!(
                "{name}: one more {vendor:04x}:{product:04x} {words}, not to be told apart from the other"
            ));
            continue;
        }
        let wanted = if words.is_empty() {
            format!("usb-{name}")
        } else {
            words.clone()
        };
        let device = Device::Usb {
            vendor,
            product,
            serial,
        };
        sort.add(names, &wanted, device)
            .about(format!("{vendor:04x}:{product:04x} {words}"))
            .measures("present", 5_000, 1.0, 0.0);
    }
    Ok(sort)
}
