//! Mounted disks, as `df` shows them.

use std::path::{Path, PathBuf};

use muster_model::state::Disk;

use super::files::{malformed, required};
use super::{LinuxRoots, truncated};
use crate::MetalError;
use crate::device::df_percent;
use crate::limits::MAX_DISKS;

/// File systems on images that are full by design: snaps, install media, read-only roots.
const IMAGES: &[&str] = &["squashfs", "erofs", "iso9660", "udf", "cramfs", "romfs"];
/// Local file systems whose source is no path under `/dev`.
const WITHOUT_DEVICE: &[&str] = &["zfs", "btrfs", "bcachefs", "ubifs"];

/// One line of mountinfo, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// `major:minor`: the same for every mount of one file system.
    pub(crate) device: String,
    pub(crate) mount_point: PathBuf,
    pub(crate) fs_type: String,
    pub(crate) source: String,
}

/// Every file system on a disk once, at its shortest mount point, by mount point.
///
/// Network file systems are left out on purpose: asking for their size blocks when their server is gone.
pub(crate) fn disks(roots: &LinuxRoots) -> Result<Vec<Disk>, MetalError> {
    let mut mounts = mounts(roots)?;
    mounts.retain(is_disk);
    // Of two mounts at one place the later covers the earlier: it comes first here and the other is dropped below.
    mounts.reverse();
    mounts.sort_by_key(|mount| mount.mount_point.as_os_str().len());
    let mut chosen: Vec<(Mount, Disk)> = Vec::new();
    for mount in mounts {
        let known = |(other, _): &(Mount, Disk)| {
            other.device == mount.device || other.mount_point == mount.mount_point
        };
        if !chosen.iter().any(known)
            && let Some(disk) = measure(&roots.mounts, &mount)
        {
            chosen.push((mount, disk));
        }
    }
    let mut disks: Vec<Disk> = chosen.into_iter().map(|(_, disk)| disk).collect();
    disks.sort_by(|a, b| a.mount.cmp(&b.mount));
    Ok(truncated(disks, MAX_DISKS))
}

/// The mounts of this process; of the first process where the tree is another's, whose `self` would be ours.
fn mounts(roots: &LinuxRoots) -> Result<Vec<Mount>, MetalError> {
    let own = roots.proc.join("self/mountinfo");
    let first = roots.proc.join("1/mountinfo");
    let (path, text) = match required(&first) {
        Ok(text) if roots.proc != Path::new("/proc") => (first, text),
        Ok(_) | Err(_) => {
            let text = required(&own)?;
            (own, text)
        }
    };
    text.lines()
        .map(|line| parse_mount(line).ok_or_else(|| malformed(&path, "a mount on each line", line)))
        .collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`. Source: proc(5).
pub(crate) fn parse_mount(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let device = mount.next()?.to_owned();
    let mount_point = PathBuf::from(unescaped(mount.nth(1)?));
    let mut file_system = file_system.split(' ');
    Some(Mount {
        device,
        mount_point,
        fs_type: file_system.next()?.to_owned(),
        source: unescaped(file_system.next().unwrap_or_default()),
    })
}

/// The kernel writes blanks and backslashes as `\040`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let [
            b'\\',
            a @ b'0'..=b'3',
            b @ b'0'..=b'7',
            c @ b'0'..=b'7',
            tail @ ..,
        ] = rest
        {
            bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_disk(mount: &Mount) -> bool {
    let fs_type = mount.fs_type.as_str();
    if IMAGES.contains(&fs_type) || mount.source.starts_with("/dev/loop") {
        return false;
    }
    // A container host has an overlay for each container, all on one disk; the one at "/" is our own root.
    let own_overlay = fs_type == "overlay" && mount.mount_point == Path::new("/");
    own_overlay || mount.source.starts_with("/dev/") || WITHOUT_DEVICE.contains(&fs_type)
}

/// `None` if it is no directory (containers have single files mounted), gone, or without a size.
fn measure(root: &Path, mount: &Mount) -> Option<Disk> {
    let inside = mount.mount_point.strip_prefix("/").ok()?;
    let path = root.join(inside);
    if !path.is_dir() {
        return None;
    }
    let sizes = rustix::fs::statvfs(&path).ok()?;
    let used_blocks = sizes.f_blocks.saturating_sub(sizes.f_bfree);
    Some(Disk {
        mount: mount.mount_point.to_string_lossy().into_owned(),
        size_bytes: sizes.f_blocks.checked_mul(sizes.f_frsize)?,
        used_bytes: used_blocks.checked_mul(sizes.f_frsize)?,
        used_percent: df_percent(used_blocks, sizes.f_bavail)?,
    })
}
