//! Who a workload runs as: names are looked up in `/etc/passwd` and `/etc/group`, numbers are taken as they are.

use std::fs;
use std::io;

use rustix::process::{Gid, Uid, getegid, geteuid};

/// A user with its groups.
#[derive(Debug, PartialEq)]
pub(super) struct User {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

/// Looks up `user` or `user:group`.
pub(super) fn find(text: &str) -> io::Result<User> {
    find_in(
        text,
        &fs::read_to_string("/etc/passwd").unwrap_or_default(),
        &fs::read_to_string("/etc/group").unwrap_or_default(),
    )
}

fn find_in(text: &str, passwd: &str, group: &str) -> io::Result<User> {
    let missing =
        |what: &str, name: &str| io::Error::new(io::ErrorKind::NotFound, format!("no {what} {name:?} here"));
    let (user, wanted_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let entry = passwd.lines().map(fields).find(|line| match line.as_slice() {
        [name, _, uid, ..] => name == user || uid == user,
        _ => false,
    });
    let number = |text: Option<&String>| text.and_then(|text| text.parse::<u32>().ok());
    let (name, uid, own_gid) = match &entry {
        Some(line) => (line.first().cloned(), number(line.get(2)), number(line.get(3))),
        None => (None, user.parse().ok(), user.parse().ok()),
    };
    let uid = uid.ok_or_else(|| missing("user", user))?;
    let groups: Vec<_> = group.lines().map(fields).collect();
    let gid = match wanted_group {
        None => own_gid.ok_or_else(|| missing("group of the user", user))?,
        Some(wanted) => {
            let found = groups
                .iter()
                .find(|line| line.first().is_some_and(|name| name == wanted));
            number(found.and_then(|line| line.get(2)))
                .or_else(|| wanted.parse().ok())
                .ok_or_else(|| missing("group", wanted))?
        }
    };
    // As at a login: a number without a name belongs to no further groups.
    let belongs = |line: &&Vec<String>| {
        let members = line.get(3).map_or("", String::as_str);
        name.as_deref()
            .is_some_and(|name| members.split(',').any(|member| member == name))
    };
    let mut all: Vec<_> = groups
        .iter()
        .filter(belongs)
        .filter_map(|line| number(line.get(2)))
        .collect();
    all.push(gid);
    all.sort_unstable();
    all.dedup();
    Ok(User {
        uid: Uid::from_raw(uid),
        gid: Gid::from_raw(gid),
        groups: all.into_iter().map(Gid::from_raw).collect(),
    })
}

/// Becomes this user, and nobody else again. For a process of one thread.
pub(super) fn become_user(user: &User) -> io::Result<()> {
    if geteuid() == user.uid && getegid() == user.gid && !geteuid().is_root() {
        return Ok(());
    }
    rustix::thread::set_thread_groups(&user.groups)?;
    rustix::thread::set_thread_res_gid(user.gid, user.gid, user.gid)?;
    rustix::thread::set_thread_res_uid(user.uid, user.uid, user.uid)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nrobot:x:1001:1002::/home:/bin/sh\n";
    const GROUP: &str = "root:x:0:\ndialout:x:20:robot,other\nrobot:x:1002:\nvideo:x:44:other\n";

    fn found(text: &str) -> Option<(u32, u32, Vec<u32>)> {
        let user = find_in(text, PASSWD, GROUP).ok()?;
        let groups = user.groups.iter().map(|gid| gid.as_raw()).collect();
        Some((user.uid.as_raw(), user.gid.as_raw(), groups))
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(found("robot"), Some((1001, 1002, vec![20, 1002])));
        assert_eq!(found("1001"), Some((1001, 1002, vec![20, 1002])));
        assert_eq!(found("robot:video"), Some((1001, 44, vec![20, 44])));
        assert_eq!(found("4000"), Some((4000, 4000, vec![4000])));
        assert_eq!(found("4000:dialout"), Some((4000, 20, vec![20])));
        assert_eq!(found("4000:7"), Some((4000, 7, vec![7])));
        assert_eq!(found("nobody-here"), None);
        assert_eq!(found("robot:no-group"), None);
    }
}
