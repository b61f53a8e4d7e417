//! Who goes first among the threads of a process.

/// Lets other threads go before the calling one, by so much (`nice`). Going back is always allowed; where it is refused all the
/// same, all are alike.
pub fn step_back(by: i32) {
    // The system tells threads apart here, whatever POSIX says. Source: setpriority(2), "C library/kernel differences".
    if let Ok(nice) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, nice + by);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_calling_thread_steps_back() {
        let nice = || rustix::process::getpriority_process(None).expect("it can be asked");
        let before = nice();
        let other = std::thread::spawn(move || {
            super::step_back(3);
            nice()
        });
        assert_eq!(other.join().expect("it ends"), (before + 3).min(19));
        assert_eq!(nice(), before);
    }
}
