//! What a manifest may say.

use std::collections::BTreeMap;

use super::paths::{self, Kind};
use super::{
    COMMAND_MAX_BYTES, COMMAND_MAX_WORDS, COUNTER_MAX, ENTRIES_MAX, Entry, FILE_MAX_BYTES, FITS_MAX, FORMAT,
    HOOKS_MAX, Health, HealthCheck, Hook, Manifest, ManifestError, PRECONDITIONS_MAX, PRODUCT_MAX_CHARS,
    Payload, Precondition, RELEASE_MAX_BYTES, TIME_MAX_S, Test, VERSION_MAX_CHARS, What,
};
use crate::manifest::CHECKS_MAX;

type Checked = Result<(), ManifestError>;

/// A word such as a kind of machine or a reading.
const WORD_MAX_CHARS: usize = 64;
/// Bytes of the reference of an image.
const REFERENCE_MAX_BYTES: usize = 512;

pub(super) fn refuse(
    place: impl Into<String>,
    what: impl Into<String>,
    accepted: impl Into<String>,
) -> ManifestError {
    ManifestError::Refused {
        place: place.into(),
        what: what.into(),
        accepted: accepted.into(),
    }
}

impl Manifest {
    /// Whether all of it is accepted. Nothing is written anywhere for a manifest that does not pass.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Refused`] with the first thing that is wrong.
    pub fn check(&self) -> Checked {
        if self.format != FORMAT {
            return Err(refuse(
                "format",
                format!("{} is not known", self.format),
                FORMAT.to_string(),
            ));
        }
        product(&self.product)?;
        let version = self.version.to_string();
        if version.len() > VERSION_MAX_CHARS {
            return Err(refuse(
                "version",
                format!("{} characters", version.len()),
                format!("up to {VERSION_MAX_CHARS}"),
            ));
        }
        if !(1..=COUNTER_MAX).contains(&self.counter) {
            return Err(refuse(
                "counter",
                self.counter.to_string(),
                format!("1 to {COUNTER_MAX}"),
            ));
        }
        self.fits()?;
        count("preconditions", self.preconditions.len(), PRECONDITIONS_MAX)?;
        for (index, precondition) in self.preconditions.iter().enumerate() {
            condition(&format!("preconditions[{index}]"), precondition)?;
        }
        for (name, hooks) in [("before", &self.hooks.before), ("after", &self.hooks.after)] {
            count(&format!("hooks.{name}"), hooks.len(), HOOKS_MAX)?;
            for (index, hook) in hooks.iter().enumerate() {
                self.hook(&format!("hooks.{name}[{index}]"), hook)?;
            }
        }
        if let Some(health) = &self.health {
            self.health(health)?;
        }
        self.entries()?;
        self.payload()
    }

    fn fits(&self) -> Checked {
        count("fits.kinds", self.fits.kinds.len(), FITS_MAX)?;
        for (index, kind) in self.fits.kinds.iter().enumerate() {
            word(&format!("fits.kinds[{index}]"), kind)?;
        }
        if !self.fits.kinds.is_sorted_by(|one, next| one < next) {
            return Err(refuse(
                "fits.kinds",
                "out of order, or one twice",
                "sorted, each once",
            ));
        }
        if !self.fits.architectures.is_sorted_by(|one, next| one < next) {
            return Err(refuse(
                "fits.architectures",
                "out of order, or one twice",
                "sorted, each once",
            ));
        }
        Ok(())
    }

    fn hook(&self, place: &str, hook: &Hook) -> Checked {
        command(&format!("{place}.command"), &hook.command)?;
        time(&format!("{place}.within_s"), hook.within_s)
    }

    fn health(&self, health: &Health) -> Checked {
        if health.checks.is_empty() {
            return Err(refuse(
                "health.checks",
                "there is none",
                "at least one, or no health at all",
            ));
        }
        count("health.checks", health.checks.len(), CHECKS_MAX)?;
        for (index, check) in health.checks.iter().enumerate() {
            match check {
                HealthCheck::Command(check) => {
                    command(&format!("health.checks[{index}].command"), &check.command)?;
                }
                HealthCheck::Port(0) => {
                    return Err(refuse(format!("health.checks[{index}].port"), "0", "1 to 65535"));
                }
                HealthCheck::Port(_) | HealthCheck::Process => {}
            }
        }
        time("health.hold_s", health.hold_s)?;
        time("health.within_s", health.within_s)?;
        if health.within_s < health.hold_s {
            return Err(refuse(
                "health.within_s",
                format!(
                    "{} s is shorter than hold_s, {} s",
                    health.within_s, health.hold_s
                ),
                "as long as hold_s, or longer",
            ));
        }
        Ok(())
    }

    fn entries(&self) -> Checked {
        count("entries", self.entries.len(), ENTRIES_MAX)?;
        let mut seen: BTreeMap<&str, Kind<'_>> = BTreeMap::new();
        let mut last: Option<&str> = None;
        let mut bytes = 0_u64;
        for (index, entry) in self.entries.iter().enumerate() {
            let place = || at(index, entry);
            paths::check(&entry.path).map_err(|(what, accepted)| refuse(place(), what, accepted))?;
            match last {
                Some(last) if last == entry.path => {
                    return Err(refuse(
                        place(),
                        "there is an entry for this path already",
                        "one entry a path",
                    ));
                }
                Some(last) if last > entry.path.as_str() => {
                    return Err(refuse(
                        place(),
                        format!("it comes after {last:?}"),
                        "entries in the order of the bytes of their paths",
                    ));
                }
                _ => last = Some(&entry.path),
            }
            if let Some((parent, _)) = entry.path.rsplit_once('/') {
                match seen.get(parent) {
                    Some(Kind::Directory) => {}
                    Some(Kind::File) => {
                        return Err(refuse(
                            place(),
                            format!("{parent:?} is a file"),
                            "a directory there",
                        ));
                    }
                    Some(Kind::Link(_)) => {
                        return Err(refuse(
                            place(),
                            format!("{parent:?} is a link"),
                            "a directory there",
                        ));
                    }
                    None => {
                        return Err(refuse(
                            place(),
                            format!("its directory {parent:?} is no entry"),
                            "an entry for every directory, before what lies in it",
                        ));
                    }
                }
            }
            let kind = match &entry.what {
                What::Directory => Kind::Directory,
                What::File(file) => {
                    if file.length > FILE_MAX_BYTES {
                        return Err(refuse(
                            place(),
                            format!("a file of {} bytes", file.length),
                            format!("up to {FILE_MAX_BYTES}"),
                        ));
                    }
                    bytes += file.length;
                    if bytes > RELEASE_MAX_BYTES {
                        return Err(refuse(
                            place(),
                            format!("with it all files have {bytes} bytes"),
                            format!("up to {RELEASE_MAX_BYTES} in a release"),
                        ));
                    }
                    Kind::File
                }
                What::Link(link) => Kind::Link(&link.to),
            };
            seen.insert(&entry.path, kind);
        }
        self.one_content_one_length()?;
        let mut steps = paths::STEPS_MAX;
        for (index, entry) in self.entries.iter().enumerate() {
            if let What::Link(link) = &entry.what {
                paths::lead(&seen, &entry.path, &link.to, &mut steps)
                    .map_err(|(what, accepted)| refuse(at(index, entry), what, accepted))?;
            }
        }
        Ok(())
    }

    /// Bytes that are the same are as long.
    fn one_content_one_length(&self) -> Checked {
        let mut lengths = BTreeMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if let What::File(file) = &entry.what
                && *lengths.entry(file.sha256).or_insert(file.length) != file.length
            {
                return Err(refuse(
                    at(index, entry),
                    "another file with this SHA-256 has another length",
                    "one length for one content",
                ));
            }
        }
        Ok(())
    }

    fn payload(&self) -> Checked {
        let started = match &self.payload {
            Payload::Tree if self.entries.is_empty() => {
                return Err(refuse(
                    "entries",
                    "there is nothing in the release",
                    "at least one entry",
                ));
            }
            Payload::Tree => return Ok(()),
            Payload::Image(image) => return self.image(&image.reference),
            Payload::Agent(started) => ("payload.agent.entry", &started.entry),
            Payload::Executable(started) => ("payload.executable.entry", &started.entry),
        };
        let (place, path) = started;
        let found = self
            .entries
            .binary_search_by(|entry| entry.path.as_str().cmp(path));
        match found.map(|index| &self.entries[index].what) {
            Ok(What::File(file)) if file.executable => Ok(()),
            Ok(What::File(_)) => Err(refuse(
                place,
                format!("{path:?} is not executable"),
                "an executable file",
            )),
            Ok(What::Directory | What::Link(_)) => Err(refuse(
                place,
                format!("{path:?} is no file"),
                "an executable file",
            )),
            Err(_) => Err(refuse(
                place,
                format!("{path:?} is not in the release"),
                "the path of an executable file of its entries",
            )),
        }
    }

    fn image(&self, reference: &str) -> Checked {
        const ACCEPTED: &str = "NAME@sha256: and 64 hexadecimal digits, up to 512 bytes";
        let place = "payload.image.reference";
        let named = reference.rsplit_once("@sha256:").filter(|(name, digest)| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@')
                && digest.parse::<crate::Sha256Digest>().is_ok()
        });
        if named.is_none() || reference.len() > REFERENCE_MAX_BYTES {
            return Err(refuse(
                place,
                format!("{reference:?} is no image with a digest"),
                ACCEPTED,
            ));
        }
        if !self.entries.is_empty() {
            return Err(refuse(
                "entries",
                "an image carries files",
                "none: the registry has its content",
            ));
        }
        Ok(())
    }
}

/// Whether this can be the name of a product.
///
/// # Errors
///
/// [`ManifestError::Refused`].
pub fn product(name: &str) -> Checked {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte));
    if begins && is_name && name.len() <= PRODUCT_MAX_CHARS {
        return Ok(());
    }
    Err(refuse(
        "product",
        format!("{name:?} is no name of a product"),
        format!("a-z, 0-9, -, _ and ., the first a letter or a digit, up to {PRODUCT_MAX_CHARS} characters"),
    ))
}

fn at(index: usize, entry: &Entry) -> String {
    let shown: String = entry.path.chars().take(200).collect();
    format!("entries[{index}] {shown:?}")
}

fn count(place: &str, there: usize, most: usize) -> Checked {
    if there > most {
        return Err(refuse(
            place,
            format!("there are {there}"),
            format!("up to {most}"),
        ));
    }
    Ok(())
}

fn word(place: &str, word: &str) -> Checked {
    let is_word = !word.is_empty()
        && word.chars().count() <= WORD_MAX_CHARS
        && word
            .chars()
            .all(|char| char.is_alphanumeric() || "-_.".contains(char));
    if is_word {
        return Ok(());
    }
    Err(refuse(
        place,
        format!("{word:?}"),
        format!("letters, digits, -, _ and ., up to {WORD_MAX_CHARS}"),
    ))
}

fn time(place: &str, seconds: u64) -> Checked {
    if (1..=TIME_MAX_S).contains(&seconds) {
        return Ok(());
    }
    Err(refuse(
        place,
        format!("{seconds} s"),
        format!("1 to {TIME_MAX_S}"),
    ))
}

fn command(place: &str, words: &[String]) -> Checked {
    count(place, words.len(), COMMAND_MAX_WORDS)?;
    let program = words.first().map_or("", String::as_str);
    if program.is_empty() {
        return Err(refuse(
            place,
            "there is no program",
            "a program and its arguments",
        ));
    }
    let bytes: usize = words.iter().map(String::len).sum();
    if bytes > COMMAND_MAX_BYTES {
        return Err(refuse(
            place,
            format!("{bytes} bytes"),
            format!("up to {COMMAND_MAX_BYTES}"),
        ));
    }
    if words.iter().any(|word| word.contains(char::is_control)) {
        return Err(refuse(place, "there is a control character in it", "none"));
    }
    Ok(())
}

fn condition(place: &str, precondition: &Precondition) -> Checked {
    word(&format!("{place}.reading"), &precondition.reading)?;
    match &precondition.test {
        Test::AtLeast(_) | Test::AtMost(_) => Ok(()),
        Test::In(words) if words.is_empty() => Err(refuse(
            format!("{place}.test.in"),
            "there is no word: it could never hold",
            "at least one",
        )),
        Test::In(words) => {
            count(&format!("{place}.test.in"), words.len(), FITS_MAX)?;
            words
                .iter()
                .enumerate()
                .try_for_each(|(index, one)| word(&format!("{place}.test.in[{index}]"), one))
        }
    }
}
