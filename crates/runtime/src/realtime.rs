//! What a thread needs that must not be late: a clock that counts while the computer sleeps, a place before all others, and memory
//! that stays where it is.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, getrlimit};
use rustix::time::{DynamicClockId, clock_gettime_dynamic};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Above the kernel's threads for ordinary devices (50), below those that keep the computer itself going.
const PRIORITY: u8 = 60;

/// Time since the computer was started, also while it slept (`CLOCK_BOOTTIME`). It never goes back, and nobody sets it.
pub fn boot_time() -> Duration {
    let now = clock_gettime_dynamic(DynamicClockId::Boottime);
    let now = now.expect("every Linux since 2.6.39 has this clock");
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// What the system granted to a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Whether it goes before all ordinary threads; else why not.
    pub scheduling: Result<(), String>,
    /// Whether the memory of the process stays where it is; else why not.
    pub memory: Result<(), String>,
}

impl Grants {
    /// Asks for everything, for the calling thread. What is refused is no reason to stop: it is to be told.
    pub fn ask() -> Self {
        Self {
            scheduling: go_first(),
            memory: lock_memory(),
        }
    }

    /// The priority of the thread, where it was granted.
    pub fn priority(&self) -> Option<u8> {
        self.scheduling.is_ok().then_some(PRIORITY)
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scheduling {
            Ok(()) => write!(f, "real-time scheduling (FIFO, priority {PRIORITY})")?,
            Err(why) => write!(f, "no real-time scheduling ({why})")?,
        }
        match &self.memory {
            Ok(()) => f.write_str(", memory locked"),
            Err(why) => write!(f, ", memory not locked ({why})"),
        }
    }
}

fn go_first() -> Result<(), String> {
    let value = ThreadPriorityValue::try_from(PRIORITY)?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(value),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
    .map_err(|error| match error {
        thread_priority::Error::OS(code) => match io::Error::from_raw_os_error(code) {
            error if error.kind() == io::ErrorKind::PermissionDenied => {
                "not permitted: CAP_SYS_NICE or LimitRTPRIO= gives it".to_owned()
            }
            error => error.to_string(),
        },
        other => format!("{other:?}"),
    })
}

/// Pages are locked when they are first used, so that a process does not grow by it.
fn lock_memory() -> Result<(), String> {
    // Where only so much may be locked, locking what is yet to come would make memory run out.
    if let Some(most) = getrlimit(Resource::Memlock).current
        && !rustix::process::geteuid().is_root()
    {
        return Err(format!(
            "only {most} bytes may be locked: LimitMEMLOCK=infinity gives it"
        ));
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
        .map_err(|error| io::Error::from(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::{Grants, boot_time};

    #[test]
    fn it_is_said_what_was_granted() {
        // On a thread of its own: the others shall stay as they are.
        let grants = std::thread::spawn(|| Grants {
            scheduling: super::go_first(),
            memory: Err("not asked for".to_owned()),
        });
        let grants = grants.join().expect("it ends");
        let policy = std::fs::read_to_string("/proc/self/limits").expect("procfs");
        match &grants.scheduling {
            Ok(()) => assert!(grants.to_string().contains("FIFO"), "{grants}"),
            Err(why) => assert!(
                !why.is_empty() && policy.contains("Max realtime priority"),
                "{why}"
            ),
        }
        assert!(grants.to_string().ends_with("memory not locked (not asked for)"));
    }

    #[test]
    fn time_goes_on() {
        let before = boot_time();
        while boot_time() == before {
            std::hint::spin_loop();
        }
        assert!(boot_time() > before);
    }
}
