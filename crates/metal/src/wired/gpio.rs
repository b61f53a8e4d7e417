//! Lines of GPIO chips, through the character device.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{self, EdgeDetection, Value};

use super::Places;
use super::parts::{ContactInput, Opened, Source, Switch, why};
use crate::wiring::{Bias, Device, Direction};

/// Who has the line, as `gpioinfo` shows it.
const CONSUMER: &str = "muster-machine";

pub(super) fn input(device: &Device, places: &Places) -> Opened<Box<dyn ContactInput>> {
    Ok(Box::new(Line::open(device, places, true)?))
}

pub(super) fn output(device: &Device, places: &Places) -> Opened<Box<dyn Switch>> {
    Ok(Box::new(Line::open(device, places, false)?))
}

pub(super) fn source(device: &Device, places: &Places) -> Opened<Box<dyn Source>> {
    Ok(Box::new(Line::open(device, places, false)?))
}

struct Line {
    request: Request,
    is_output: bool,
    wakes: bool,
}

impl Line {
    fn open(device: &Device, places: &Places, wakes: bool) -> Opened<Self> {
        let Device::Gpio {
            chip,
            line,
            direction,
            active_low,
            bias,
            debounce_us,
        } = device
        else {
            return Err(format!("a {} is no line", device.kind()));
        };
        let path = chip_path(chip, places)?;
        let mut builder = Request::builder();
        builder.on_chip(&path).with_consumer(CONSUMER).with_line(*line);
        let is_output = *direction == Direction::Output;
        if is_output {
            builder.as_output(Value::Inactive);
        } else {
            builder.as_input().with_bias(match bias {
                Bias::AsIs => None,
                Bias::PullUp => Some(line::Bias::PullUp),
                Bias::PullDown => Some(line::Bias::PullDown),
                Bias::Disabled => Some(line::Bias::Disabled),
            });
            if wakes {
                builder.with_edge_detection(EdgeDetection::BothEdges);
            }
            if *debounce_us > 0 {
                builder.with_debounce_period(Duration::from_micros((*debounce_us).into()));
            }
        }
        if *active_low {
            builder.as_active_low();
        }
        let mut wakes = wakes && !is_output;
        let mut request = builder.request();
        if wakes && request.as_ref().is_err_and(|error| has_no_edges(&refused(error))) {
            // A chip without interrupts, such as an expander on a bus: its level is found at the next period.
            wakes = false;
            builder.with_edge_detection(None::<EdgeDetection>);
            request = builder.request();
        }
        let request = request.map_err(|error| why(&path, &refused(&error)) + &format!(" (line {line})"))?;
        Ok(Self {
            request,
            is_output,
            wakes,
        })
    }

    fn value(&self) -> io::Result<bool> {
        let value = self.request.lone_value().map_err(|error| refused(&error))?;
        Ok(value == Value::Active)
    }
}

impl ContactInput for Line {
    fn is_active(&mut self) -> io::Result<bool> {
        // What woke the loop is taken, so that it does not wake it again; what counts is the level now.
        while self.wakes && self.request.has_edge_event().map_err(|error| refused(&error))? {
            self.request.read_edge_event().map_err(|error| refused(&error))?;
        }
        self.value()
    }

    fn edges(&self) -> Option<BorrowedFd<'_>> {
        self.wakes.then(|| self.request.as_fd())
    }
}

impl Switch for Line {
    fn set(&mut self, on: bool) -> io::Result<()> {
        let value = if on { Value::Active } else { Value::Inactive };
        self.request
            .set_lone_value(value)
            .map_err(|error| refused(&error))
    }
}

impl Source for Line {
    fn read(&mut self, _: Duration) -> io::Result<f64> {
        Ok(f64::from(u8::from(self.value()?)))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_output {
            let _ = self.request.set_lone_value(Value::Inactive);
        }
    }
}

/// A chip by its path, its name or its label: names may change from boot to boot, labels do not.
fn chip_path(chip: &str, places: &Places) -> Opened<PathBuf> {
    if chip.starts_with('/') {
        return Ok(chip.into());
    }
    let named = places.dev.join(chip);
    if named.exists() {
        return Ok(named);
    }
    let labelled = gpiocdev::chip::chips().ok().into_iter().flatten().find(|path| {
        let info = gpiocdev::Chip::from_path(path).and_then(|chip| chip.info());
        info.is_ok_and(|info| info.label == chip)
    });
    labelled.ok_or_else(|| format!("not present: there is no GPIO chip {chip}"))
}

/// The system's own error where there is one, so that its kind is known.
fn refused(error: &gpiocdev::Error) -> io::Error {
    match error {
        gpiocdev::Error::Os(errno) | gpiocdev::Error::Uapi(_, gpiocdev_uapi::Error::Os(errno)) => {
            io::Error::from_raw_os_error(errno.0)
        }
        other => io::Error::other(other.to_string()),
    }
}

/// What the kernel says of a line whose chip raises no interrupt for it.
fn has_no_edges(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let codes = [Errno::NODEV, Errno::NXIO, Errno::OPNOTSUPP];
    error
        .raw_os_error()
        .is_some_and(|code| codes.iter().any(|errno| errno.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wired::parts::is_gone;

    #[test]
    fn what_the_kernel_refuses_keeps_its_kind() {
        let refused_with = |code: i32| {
            let errno = gpiocdev_uapi::Error::Os(gpiocdev_uapi::Errno(code));
            refused(&gpiocdev::Error::Uapi(gpiocdev::UapiCall::GetLine, errno))
        };
        let gone = refused_with(rustix::io::Errno::NODEV.raw_os_error());
        assert!(is_gone(&gone) && has_no_edges(&gone), "{gone}");
        let taken = refused_with(rustix::io::Errno::BUSY.raw_os_error());
        assert_eq!(taken.kind(), io::ErrorKind::ResourceBusy);
        assert!(!is_gone(&taken) && !has_no_edges(&taken), "{taken}");
    }
}
