//! The profile `default`: what administers a computer is refused with `EPERM`, the rest is let through.
//!
//! It is a list of what is refused, because programs that people bring cannot be known; what it leaves to guard, user and capabilities guard.

use std::io;

/// Whether this architecture has filters, and why not.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
pub(super) fn install() -> Result<(), Option<io::Error>> {
    use std::collections::BTreeMap;

    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    let other = |error: &dyn std::error::Error| Some(io::Error::other(error.to_string()));
    let rules: BTreeMap<i64, Vec<_>> = refused()
        .iter()
        .map(|number| (i64::from(*number as i32), Vec::new()))
        .collect();
    let arch = std::env::consts::ARCH.try_into().map_err(|error| other(&error))?;
    let refuse = SeccompAction::Errno(u32::from(
        rustix::io::Errno::PERM.raw_os_error().unsigned_abs() as u16
    ));
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(|error| other(&error))?;
    let program: BpfProgram = filter.try_into().map_err(|error| other(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| other(&error))
}

/// Without filters for this architecture.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
pub(super) fn install() -> Result<(), Option<io::Error>> {
    Err(None)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn refused() -> Vec<libc::c_long> {
    let mut all = vec![
        libc::SYS_acct,
        libc::SYS_add_key,
        libc::SYS_adjtimex,
        libc::SYS_bpf,
        libc::SYS_clock_adjtime,
        libc::SYS_clock_settime,
        libc::SYS_delete_module,
        libc::SYS_finit_module,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fsopen,
        libc::SYS_fspick,
        libc::SYS_init_module,
        libc::SYS_kexec_file_load,
        libc::SYS_keyctl,
        libc::SYS_kexec_load,
        libc::SYS_mount,
        libc::SYS_mount_setattr,
        libc::SYS_move_mount,
        libc::SYS_open_by_handle_at,
        libc::SYS_open_tree,
        libc::SYS_perf_event_open,
        libc::SYS_pivot_root,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_quotactl,
        libc::SYS_reboot,
        libc::SYS_request_key,
        libc::SYS_setdomainname,
        libc::SYS_sethostname,
        libc::SYS_setns,
        libc::SYS_settimeofday,
        libc::SYS_swapoff,
        libc::SYS_swapon,
        libc::SYS_syslog,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_userfaultfd,
        libc::SYS_vhangup,
    ];
    #[cfg(target_arch = "x86_64")]
    all.extend([libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_modify_ldt]);
    all.sort_unstable();
    all
}
