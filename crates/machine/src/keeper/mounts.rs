//! What a workload sees of the file system: the machine's own, of which little or nothing may be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change, mount_remount};

/// In a mount namespace of its own: what happens in it stays in it.
pub(super) fn separate() -> io::Result<()> {
    let flags = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    Ok(mount_change("/", flags)?)
}

/// The processes of the own pid namespace, instead of all.
pub(super) fn own_processes() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("proc", "/proc", "proc", flags, None)?)
}

/// Makes all read-only but these paths, and `/dev` and `/proc`, which guard themselves.
pub(super) fn read_only(writable: &[String]) -> io::Result<()> {
    let mut kept = vec![PathBuf::from("/dev"), PathBuf::from("/proc")];
    for path in writable {
        let path = fs::canonicalize(path).map_err(|error| named(Path::new(path), &error))?;
        mount_bind(&path, &path).map_err(|error| named(&path, &error.into()))?;
        kept.push(path);
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(4);
        let (Some(point), Some(options)) = (fields.next(), fields.next()) else {
            continue;
        };
        let point = PathBuf::from(unescaped(point));
        if kept.iter().any(|kept| point.starts_with(kept)) || options.split(',').any(|option| option == "ro")
        {
            continue;
        }
        // What the mount forbids already must be said again, or it is not let.
        let flags = options
            .split(',')
            .fold(MountFlags::BIND | MountFlags::RDONLY, |flags, option| {
                flags
                    | match option {
                        "nosuid" => MountFlags::NOSUID,
                        "nodev" => MountFlags::NODEV,
                        "noexec" => MountFlags::NOEXEC,
                        "noatime" => MountFlags::NOATIME,
                        "nodiratime" => MountFlags::NODIRATIME,
                        "relatime" => MountFlags::RELATIME,
                        _ => MountFlags::empty(),
                    }
            });
        match mount_remount(&point, flags, "") {
            // Another mount lies over it: nobody gets there.
            Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::INVAL) if point != Path::new("/") => {}
            Ok(()) => {}
            Err(error) => return Err(named(&point, &error.into())),
        }
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The kernel writes spaces and the like as octal numbers.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let number = rest
            .get(at + 1..at + 4)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match number {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_mounts_are_read_as_they_are() {
        assert_eq!(super::unescaped("/a\\040b\\011"), "/a b\t");
        assert_eq!(super::unescaped("/a\\b"), "/a\\b");
    }
}
