//! Paths within a release, and where links lead.

use std::collections::BTreeMap;

use super::{NAME_MAX_BYTES, PATH_MAX_BYTES, PATH_MAX_NAMES};

/// Links followed on one way; Linux gives up after as many.
const LINKS_MAX: usize = 40;
/// Names looked up for all links of a release together, or checking it could be made to take minutes.
pub(super) const STEPS_MAX: u32 = 2_000_000;

/// What lies at a path, as far as links care.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    Directory,
    File,
    Link(&'a str),
}

/// What is wrong, and what is accepted.
type Wrong = (String, String);

fn wrong<T>(what: impl Into<String>, accepted: impl Into<String>) -> Result<T, Wrong> {
    Err((what.into(), accepted.into()))
}

/// Whether this can be the path of an entry.
pub(super) fn check(path: &str) -> Result<(), Wrong> {
    const RELATIVE: &str = "a relative path, such as bin/app";
    if path.is_empty() {
        return wrong("the path is empty", RELATIVE);
    }
    if path.starts_with('/') {
        return wrong("the path is absolute", RELATIVE);
    }
    if path.len() > PATH_MAX_BYTES {
        return wrong(
            format!("a path of {} bytes", path.len()),
            format!("up to {PATH_MAX_BYTES}"),
        );
    }
    if path.split('/').count() > PATH_MAX_NAMES {
        return wrong(
            format!("a path of {} names", path.split('/').count()),
            format!("up to {PATH_MAX_NAMES}"),
        );
    }
    for name in path.split('/') {
        match name {
            "" => {
                return wrong(
                    "there is an empty name in the path",
                    "one / between names, none at the end",
                );
            }
            "." | ".." => return wrong(format!("{name:?} is no name"), "names of files and directories"),
            _ if name.len() > NAME_MAX_BYTES => {
                return wrong(
                    format!("a name of {} bytes", name.len()),
                    format!("up to {NAME_MAX_BYTES}"),
                );
            }
            _ if name.contains(char::is_control) => {
                return wrong(
                    "there is a control character in the path",
                    "names that can be shown",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the link at this path leads to something in the release, also through other links.
///
/// `steps` are those that are left of [`STEPS_MAX`].
pub(super) fn lead(
    entries: &BTreeMap<&str, Kind<'_>>,
    link: &str,
    to: &str,
    steps: &mut u32,
) -> Result<(), Wrong> {
    const ACCEPTED: &str = "a relative path to something in the release";
    if to.len() > PATH_MAX_BYTES {
        return wrong(
            format!("it leads to a path of {} bytes", to.len()),
            format!("up to {PATH_MAX_BYTES}"),
        );
    }
    if to.is_empty() || to.contains(char::is_control) {
        return wrong(format!("it leads to {to:?}"), ACCEPTED);
    }
    // What is still to be gone, the next name last; where we are, by the paths of the directories.
    let mut way: Vec<&str> = to.split('/').rev().collect();
    let mut here: Vec<&str> = link.split('/').collect();
    here.pop();
    let mut links = 1;
    if to.starts_with('/') {
        return wrong(format!("it leads to {to:?}, out of the release"), ACCEPTED);
    }
    while let Some(name) = way.pop() {
        *steps = steps.saturating_sub(1);
        if *steps == 0 {
            return wrong(
                "all links together lead over too many names",
                format!("up to {STEPS_MAX}"),
            );
        }
        match name {
            "" | "." => continue,
            ".." => {
                if here.pop().is_none() {
                    return wrong(format!("it leads to {to:?}, out of the release"), ACCEPTED);
                }
                continue;
            }
            _ => {}
        }
        here.push(name);
        let path = here.join("/");
        match entries.get(path.as_str()) {
            Some(Kind::Directory) => {}
            Some(Kind::File) if way.is_empty() => {}
            Some(Kind::File) => {
                return wrong(format!("it leads to {to:?}, but {path:?} is a file"), ACCEPTED);
            }
            Some(Kind::Link(further)) => {
                links += 1;
                if links > LINKS_MAX {
                    return wrong(
                        format!("it leads to {to:?} over more than {LINKS_MAX} links, or in a circle"),
                        ACCEPTED,
                    );
                }
                if further.starts_with('/') {
                    return wrong(
                        format!("it leads to {to:?} and over {path:?} out of the release"),
                        ACCEPTED,
                    );
                }
                here.pop();
                way.extend(further.split('/').rev());
            }
            None => {
                return wrong(
                    format!("it leads to {to:?}, and {path:?} is not in the release"),
                    ACCEPTED,
                );
            }
        }
    }
    Ok(())
}
