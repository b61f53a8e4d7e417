//! Which directories a power cut can leave.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::record::{Operation, Promise};

/// Of fewer operations that are not synced every subset is tried, of more the lone ones.
const ALL_SUBSETS_UP_TO: usize = 7;

/// What a name can mean, by number: it stays the same thing when it is renamed.
type Thing = usize;
const ROOT: Thing = 0;

/// An operation with names made into things.
#[derive(Clone, Debug)]
enum Step {
    /// Bytes behind those that are there.
    Data(Thing, Vec<u8>),
    Mode(Thing, bool),
    /// Names of a directory, and what they mean from now on.
    Names(Thing, Vec<(String, Option<Thing>)>),
    SyncFile(Thing),
    SyncDirectory(Thing),
    Promised(Promise),
}

#[derive(Clone, Debug)]
enum Kind {
    Directory,
    File,
    Link(String),
}

/// How an operation came through the power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Kept,
    Lost,
    /// The first half of what was written.
    Half,
    /// As long as it should be, and zeros.
    Zeros,
}

/// An update, ready to be cut.
#[derive(Debug)]
pub(super) struct Recorded {
    kinds: Vec<Kind>,
    steps: Vec<Step>,
    /// The first step at which the power may be cut.
    begun: usize,
}

/// What a disk holds after a cut.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    Directory(BTreeMap<String, Content>),
    File(Vec<u8>, Option<bool>),
    Link(String),
}

/// A directory that a power cut can leave, and how it came about.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) content: Content,
    /// What was promised before the cut.
    pub(super) promised: Vec<Promise>,
    /// For people: after how many operations, and what was lost.
    pub(super) how: String,
}

impl Recorded {
    pub(super) fn new(operations: Vec<Operation>) -> Self {
        let mut recorded = Self {
            kinds: vec![Kind::Directory],
            steps: Vec::new(),
            begun: 0,
        };
        // How things are without any cut.
        let mut live: Vec<BTreeMap<String, Thing>> = vec![BTreeMap::new()];
        for operation in operations {
            let step = recorded.step(&mut live, operation);
            recorded.steps.push(step);
            if matches!(recorded.steps.last(), Some(Step::Promised(Promise::Begun))) {
                recorded.begun = recorded.steps.len();
            }
        }
        recorded
    }

    fn make(&mut self, live: &mut Vec<BTreeMap<String, Thing>>, kind: Kind, path: &Path) -> Step {
        self.kinds.push(kind);
        live.push(BTreeMap::new());
        let made = self.kinds.len() - 1;
        let (directory, name) = place(live, path);
        live[directory].insert(name.clone(), made);
        Step::Names(directory, vec![(name, Some(made))])
    }

    fn step(&mut self, live: &mut Vec<BTreeMap<String, Thing>>, operation: Operation) -> Step {
        match operation {
            Operation::Create { path } => self.make(live, Kind::File, &path),
            Operation::MakeDirectory { path } => self.make(live, Kind::Directory, &path),
            Operation::Link { to, path } => self.make(live, Kind::Link(to), &path),
            Operation::Write { path, bytes } => Step::Data(thing(live, &path), bytes),
            Operation::SetMode { path, executable } => Step::Mode(thing(live, &path), executable),
            Operation::SyncFile { path } => Step::SyncFile(thing(live, &path)),
            Operation::SyncDirectory { path } => Step::SyncDirectory(thing(live, &path)),
            Operation::Rename { from, to } => {
                let (directory, old) = place(live, &from);
                let (_, new) = place(live, &to);
                let moved = live[directory].remove(&old).unwrap();
                live[directory].insert(new.clone(), moved);
                Step::Names(directory, vec![(old, None), (new, Some(moved))])
            }
            Operation::Remove { path } => {
                let (directory, name) = place(live, &path);
                live[directory].remove(&name).unwrap();
                Step::Names(directory, vec![(name, None)])
            }
            Operation::Promised(promise) => Step::Promised(promise),
        }
    }

    /// How many operations there are at which the power may be cut.
    pub(super) fn cuts(&self) -> usize {
        self.steps.len() - self.begun + 1
    }

    /// Every directory that a cut can leave, each once for what was promised before it.
    pub(super) fn each(&self, mut look: impl FnMut(Left)) {
        let mut seen = BTreeSet::new();
        for done in self.begun..=self.steps.len() {
            let promised: Vec<Promise> = self.steps[..done]
                .iter()
                .filter_map(|step| match step {
                    Step::Promised(promise) => Some(promise.clone()),
                    _ => None,
                })
                .collect();
            let open = self.not_synced(done);
            for fates in fates(&open, &self.steps) {
                let content = self.left(done, &fates);
                if seen.insert((content.clone(), promised.len())) {
                    let lost: Vec<String> = fates
                        .iter()
                        .filter(|(_, fate)| **fate != Fate::Kept)
                        .map(|(step, fate)| format!("{fate:?} {}", self.told(*step)))
                        .collect();
                    look(Left {
                        content,
                        promised: promised.clone(),
                        how: format!("after {} operations, {} not synced: {lost:?}", done, open.len()),
                    });
                }
            }
        }
    }

    fn told(&self, step: usize) -> String {
        match &self.steps[step] {
            Step::Data(thing, bytes) => format!("#{step}: {} bytes of thing {thing}", bytes.len()),
            other => format!("#{step}: {other:?}"),
        }
    }

    /// Of the first `done` operations those that a power cut may undo.
    fn not_synced(&self, done: usize) -> Vec<usize> {
        let mut open = Vec::new();
        for (index, step) in self.steps[..done].iter().enumerate() {
            match step {
                Step::Data(..) | Step::Mode(..) | Step::Names(..) if index >= self.begun => open.push(index),
                Step::SyncFile(synced) => open.retain(
                    |open| !matches!(&self.steps[*open], Step::Data(thing, _) | Step::Mode(thing, _) if thing == synced),
                ),
                Step::SyncDirectory(synced) => {
                    open.retain(|open| !matches!(&self.steps[*open], Step::Names(thing, _) if thing == synced));
                }
                _ => {}
            }
        }
        open
    }

    fn left(&self, done: usize, fates: &BTreeMap<usize, Fate>) -> Content {
        let mut names: BTreeMap<Thing, BTreeMap<&str, Thing>> = BTreeMap::new();
        let mut data: BTreeMap<Thing, Vec<u8>> = BTreeMap::new();
        let mut modes: BTreeMap<Thing, bool> = BTreeMap::new();
        for (index, step) in self.steps[..done].iter().enumerate() {
            let fate = fates.get(&index).copied().unwrap_or(Fate::Kept);
            match (step, fate) {
                (Step::Promised(_) | Step::SyncFile(_) | Step::SyncDirectory(_), _) | (_, Fate::Lost) => {}
                (Step::Data(thing, bytes), fate) => {
                    let there = data.entry(*thing).or_default();
                    match fate {
                        Fate::Half => there.extend(&bytes[..bytes.len() / 2]),
                        Fate::Zeros => there.resize(there.len() + bytes.len(), 0),
                        Fate::Kept | Fate::Lost => there.extend(bytes),
                    }
                }
                (Step::Mode(thing, executable), _) => {
                    modes.insert(*thing, *executable);
                }
                (Step::Names(directory, changes), _) => {
                    let names = names.entry(*directory).or_default();
                    for (name, meaning) in changes {
                        match meaning {
                            Some(thing) => names.insert(name, *thing),
                            None => names.remove(name.as_str()),
                        };
                    }
                }
            }
        }
        self.content(ROOT, &names, &data, &modes)
    }

    fn content(
        &self,
        thing: Thing,
        names: &BTreeMap<Thing, BTreeMap<&str, Thing>>,
        data: &BTreeMap<Thing, Vec<u8>>,
        modes: &BTreeMap<Thing, bool>,
    ) -> Content {
        match &self.kinds[thing] {
            Kind::Link(to) => Content::Link(to.clone()),
            Kind::File => Content::File(
                data.get(&thing).cloned().unwrap_or_default(),
                modes.get(&thing).copied(),
            ),
            Kind::Directory => Content::Directory(
                names
                    .get(&thing)
                    .into_iter()
                    .flatten()
                    .map(|(name, thing)| ((*name).to_owned(), self.content(*thing, names, data, modes)))
                    .collect(),
            ),
        }
    }
}

/// What may become of what was not synced: all kept, all lost, each alone kept, each alone lost, the last write torn in two ways with
/// the rest kept and with the rest lost; and of few every subset.
fn fates(open: &[usize], steps: &[Step]) -> Vec<BTreeMap<usize, Fate>> {
    let all = |fate| open.iter().map(|step| (*step, fate)).collect::<BTreeMap<_, _>>();
    let mut ways = vec![all(Fate::Kept), all(Fate::Lost)];
    if open.len() <= ALL_SUBSETS_UP_TO {
        ways.extend((0..1_u32 << open.len()).map(|kept| {
            let fate = |bit: usize| {
                if kept & 1 << bit == 0 {
                    Fate::Lost
                } else {
                    Fate::Kept
                }
            };
            open.iter()
                .enumerate()
                .map(|(bit, step)| (*step, fate(bit)))
                .collect()
        }));
    }
    for one in open {
        for (it, others) in [(Fate::Kept, Fate::Lost), (Fate::Lost, Fate::Kept)] {
            let mut way = all(others);
            way.insert(*one, it);
            ways.push(way);
        }
    }
    let last = open
        .iter()
        .rev()
        .find(|step| matches!(steps[**step], Step::Data(..)));
    if let Some(last) = last {
        for torn in [Fate::Half, Fate::Zeros] {
            for others in [Fate::Kept, Fate::Lost] {
                let mut way = all(others);
                way.insert(*last, torn);
                ways.push(way);
                // Names as they should be, and only the content torn.
                let mut way = all(others);
                for step in open {
                    if matches!(steps[*step], Step::Names(..)) {
                        way.insert(*step, Fate::Kept);
                    }
                }
                way.insert(*last, torn);
                ways.push(way);
            }
        }
    }
    ways
}

fn thing(live: &[BTreeMap<String, Thing>], path: &Path) -> Thing {
    path.iter()
        .fold(ROOT, |here, name| live[here][name.to_str().unwrap()])
}

fn place(live: &[BTreeMap<String, Thing>], path: &Path) -> (Thing, String) {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    (thing(live, path.parent().unwrap()), name)
}

/// Builds it on a real file system.
pub(super) fn build(content: &Content, at: &Path) {
    let mode = |mode| fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
    match content {
        Content::Link(to) => symlink(to, at).unwrap(),
        Content::File(bytes, executable) => {
            fs::write(at, bytes).unwrap();
            mode(match executable {
                None => 0o600,
                Some(false) => 0o644,
                Some(true) => 0o755,
            });
        }
        Content::Directory(names) => {
            if !at.exists() {
                fs::create_dir(at).unwrap();
            }
            mode(0o755);
            names
                .iter()
                .for_each(|(name, content)| build(content, &at.join(name)));
        }
    }
}
