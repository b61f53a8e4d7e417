//! The executable as people start it, and under real faults: killed, stopped, cut off, on broken disks, with wrong clocks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod bench;
mod faults;
mod identity;
mod recordings;
mod release;
mod releases;
mod sim;
