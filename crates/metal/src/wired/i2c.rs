//! Registers of I2C devices.

use std::io;
use std::time::Duration;

use i2cdev::core::I2CDevice;
use i2cdev::linux::{LinuxI2CDevice, LinuxI2CError};

use super::Places;
use super::parts::{Opened, Source, why};
use crate::wiring::Register;

pub(super) fn source(
    places: &Places,
    bus: u32,
    address: u16,
    register: Option<Register>,
) -> Opened<Box<dyn Source>> {
    let path = places.dev.join(format!("i2c-{bus}"));
    let register = register.ok_or("the register to be read is not described")?;
    let device = LinuxI2CDevice::new(&path, address).map_err(|error| why(&path, &refused(error)))?;
    let mut source = Registers { device, register };
    // A bus is there without the device: only an answer shows that.
    source.read(Duration::ZERO).map_err(|error| {
        format!(
            "not present: address {address:#04x} of {} does not answer ({error})",
            path.display()
        )
    })?;
    Ok(Box::new(source))
}

struct Registers {
    device: LinuxI2CDevice,
    register: Register,
}

impl Source for Registers {
    fn read(&mut self, _: Duration) -> io::Result<f64> {
        let Register { address, bytes, .. } = self.register;
        let read = self
            .device
            .smbus_read_i2c_block_data(address, bytes)
            .map_err(refused)?;
        if read.len() != usize::from(bytes) {
            let text = format!("{} bytes were asked for, {} came", bytes, read.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(number(&read, self.register))
    }
}

/// The number in up to four bytes.
pub(super) fn number(bytes: &[u8], register: Register) -> f64 {
    let join = |value: u32, byte: &u8| (value << 8) | u32::from(*byte);
    let value = if register.little_endian {
        bytes.iter().rev().fold(0, join)
    } else {
        bytes.iter().fold(0, join)
    };
    let bits = 8 * u32::from(register.bytes);
    if register.signed && bits > 0 && value >> (bits - 1) & 1 == 1 {
        f64::from(value) - 2f64.powi(i32::try_from(bits).unwrap_or(32))
    } else {
        f64::from(value)
    }
}

fn refused(error: LinuxI2CError) -> io::Error {
    error.into()
}
