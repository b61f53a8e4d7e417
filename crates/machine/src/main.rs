//! The small executable for devices: the runtime of one machine and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster_machine::main_with_args(std::env::args_os())
}
