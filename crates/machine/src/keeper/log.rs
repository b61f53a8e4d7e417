//! What a workload prints, in files that are rotated: `2026-11-21T12:00:00.000Z stdout F text`, as container runtimes write it.
//!
//! `F` ends a line; `P` is a part of one that goes on. Source: Kubernetes, CRI log format.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use muster_model::Timestamp;

/// The newest lines; older ones are in `out.log.1` …
pub const LOG: &str = "out.log";
/// A file is put aside when it is so long.
pub const FILE_MAX_BYTES: u64 = 1 << 20;
/// Files that are put aside.
pub const FILES_KEPT: u32 = 3;
/// Longest line in one piece.
pub const LINE_MAX_BYTES: usize = 2_048;
/// What is read of a log at once.
const READ_MAX_BYTES: u64 = 256 << 10;

/// Which of the program's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Its word in the files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

/// Writes the log.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    file: File,
    length: u64,
    file_max_bytes: u64,
    /// Lines that have begun, of each stream.
    begun: [Vec<u8>; 2],
}

impl Writer {
    /// Goes on with the log in this directory.
    pub fn open(directory: &Path, file_max_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(directory.join(LOG))?;
        let length = file.metadata()?.len();
        Ok(Self {
            directory: directory.to_owned(),
            file,
            length,
            file_max_bytes,
            begun: Default::default(),
        })
    }

    /// Takes in what was printed.
    pub fn take(&mut self, at: Timestamp, stream: Stream, mut bytes: &[u8]) -> io::Result<()> {
        let index = stream as usize;
        while !bytes.is_empty() {
            let room = LINE_MAX_BYTES - self.begun[index].len();
            match bytes.iter().take(room).position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.begun[index].extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    self.put(at, stream, b'F')?;
                }
                None => {
                    let taken = room.min(bytes.len());
                    self.begun[index].extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if self.begun[index].len() == LINE_MAX_BYTES {
                        self.put(at, stream, b'P')?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What has begun ends here.
    pub fn end(&mut self, at: Timestamp) -> io::Result<()> {
        for stream in [Stream::Out, Stream::Err] {
            if !self.begun[stream as usize].is_empty() {
                self.put(at, stream, b'F')?;
            }
        }
        Ok(())
    }

    fn put(&mut self, at: Timestamp, stream: Stream, tag: u8) -> io::Result<()> {
        let mut line = format!("{at} {} {} ", stream.as_str(), char::from(tag)).into_bytes();
        line.append(&mut self.begun[stream as usize]);
        line.push(b'\n');
        if self.length + line.len() as u64 > self.file_max_bytes && self.length > 0 {
            self.rotate()?;
        }
        self.file.write_all(&line)?;
        self.length += line.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let aside = |number: u32| self.directory.join(format!("{LOG}.{number}"));
        for number in (1..FILES_KEPT).rev() {
            match fs::rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(self.directory.join(LOG), aside(1))?;
        *self = Self {
            begun: std::mem::take(&mut self.begun),
            ..Self::open(&self.directory, self.file_max_bytes)?
        };
        Ok(())
    }
}

/// One line that a workload printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the keeper read it.
    pub at: Option<Timestamp>,
    /// Whether it came over standard error.
    pub is_error: bool,
    /// What it says.
    pub text: String,
}

impl Line {
    fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut parts = text.splitn(4, ' ');
        let (at, stream) = (parts.next(), parts.next());
        let at = at.and_then(|at| at.parse().ok());
        match (at, stream, parts.next(), parts.next()) {
            (Some(at), Some(stream @ ("stdout" | "stderr")), Some(_), Some(text)) => Self {
                at: Some(at),
                is_error: stream == "stderr",
                text: text.to_owned(),
            },
            _ => Self {
                at: None,
                is_error: false,
                text: text.into_owned(),
            },
        }
    }
}

/// The last lines, the oldest first.
pub fn last(directory: &Path, most: usize) -> io::Result<Vec<Line>> {
    let mut lines = VecDeque::new();
    for number in 0..=FILES_KEPT {
        let name = if number == 0 {
            LOG.to_owned()
        } else {
            format!("{LOG}.{number}")
        };
        let text = match File::open(directory.join(name)) {
            Ok(mut file) => {
                let length = file.metadata()?.len();
                file.seek(SeekFrom::Start(length.saturating_sub(READ_MAX_BYTES)))?;
                let mut text = Vec::new();
                file.take(READ_MAX_BYTES).read_to_end(&mut text)?;
                text
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        for line in text
            .split(|byte| *byte == b'\n')
            .rev()
            .filter(|line| !line.is_empty())
        {
            if lines.len() == most {
                return Ok(lines.into());
            }
            lines.push_front(Line::of(line));
        }
        if text.len() as u64 == READ_MAX_BYTES {
            break;
        }
    }
    Ok(lines.into())
}

/// Reads on where it read before, across rotations.
#[derive(Debug, Default)]
pub struct Tail {
    /// The file it reads, and how far.
    at: Option<(u64, u64)>,
    partial: Vec<u8>,
}

impl Tail {
    /// A tail that begins at the end of what is there.
    pub fn from_the_end(directory: &Path) -> Self {
        let at = fs::metadata(directory.join(LOG)).ok();
        Self {
            at: at.map(|metadata| (metadata.ino(), metadata.len())),
            partial: Vec::new(),
        }
    }

    /// The lines that were written since, at most so many, and how many more there were.
    pub fn read(&mut self, directory: &Path, most: usize) -> io::Result<(Vec<Line>, u64)> {
        let mut lines = Vec::new();
        let mut left_out = 0;
        if let Some((inode, _)) = self.at {
            // What was written before the file was put aside.
            let aside = directory.join(format!("{LOG}.1"));
            let current = fs::metadata(directory.join(LOG))
                .ok()
                .map(|metadata| metadata.ino());
            if current != Some(inode) {
                if fs::metadata(&aside).is_ok_and(|metadata| metadata.ino() == inode) {
                    left_out += self.read_file(&aside, most, &mut lines)?;
                }
                (self.at, self.partial) = (None, Vec::new());
            }
        }
        match self.read_file(&directory.join(LOG), most, &mut lines) {
            Ok(more) => Ok((lines, left_out + more)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((lines, left_out)),
            Err(error) => Err(error),
        }
    }

    fn read_file(&mut self, path: &Path, most: usize, lines: &mut Vec<Line>) -> io::Result<u64> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let mut from = self.at.map_or(0, |(_, at)| at);
        let mut left_out = 0;
        if metadata.len() < from {
            // It was cut: begin anew.
            from = 0;
        }
        if metadata.len() - from > READ_MAX_BYTES {
            from = metadata.len() - READ_MAX_BYTES;
            self.partial.clear();
            left_out += 1;
        }
        file.seek(SeekFrom::Start(from))?;
        let mut text = std::mem::take(&mut self.partial);
        let read = file.take(READ_MAX_BYTES).read_to_end(&mut text)?;
        self.at = Some((metadata.ino(), from + read as u64));
        let end = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        self.partial = text.split_off(end);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if lines.len() < most {
                lines.push(Line::of(line));
            } else {
                left_out += 1;
            }
        }
        Ok(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn lines_are_put_together_cut_and_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path(), FILE_MAX_BYTES).unwrap();
        writer.take(at(), Stream::Out, b"one\ntw").unwrap();
        writer.take(at(), Stream::Err, b"wrong\n").unwrap();
        writer.take(at(), Stream::Out, b"o\n").unwrap();
        writer
            .take(at(), Stream::Out, &[b'x'; LINE_MAX_BYTES + 3])
            .unwrap();
        writer.end(at()).unwrap();
        let lines = last(directory.path(), 10).unwrap();
        let long = "x".repeat(LINE_MAX_BYTES);
        assert_eq!(texts(&lines), ["one", "wrong", "two", &long, "xxx"]);
        assert!(lines[1].is_error && !lines[0].is_error && lines[0].at == Some(at()));
        assert_eq!(texts(&last(directory.path(), 2).unwrap()), [&long, "xxx"]);
    }

    #[test]
    fn files_are_put_aside_and_only_so_many_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path(), 400).unwrap();
        let mut tail = Tail::default();
        let mut heard = Vec::new();
        for number in 0..100 {
            writer
                .take(at(), Stream::Out, format!("line {number}\n").as_bytes())
                .unwrap();
            let (lines, left_out) = tail.read(directory.path(), 10).unwrap();
            assert_eq!(left_out, 0);
            heard.extend(lines);
        }
        let expected: Vec<_> = (0..100).map(|number| format!("line {number}")).collect();
        assert_eq!(texts(&heard), expected);
        let files = fs::read_dir(directory.path()).unwrap();
        let sizes: Vec<_> = files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 1 + FILES_KEPT as usize);
        assert!(sizes.iter().all(|size| *size <= 400), "{sizes:?}");
        assert_eq!(texts(&last(directory.path(), 20).unwrap()), expected[80..]);
    }

    #[test]
    fn a_tail_says_what_it_leaves_out_and_waits_for_the_end_of_a_line() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(LOG), "no log line\n").unwrap();
        let mut tail = Tail::from_the_end(directory.path());
        let mut file = OpenOptions::new()
            .append(true)
            .open(directory.path().join(LOG))
            .unwrap();
        write!(file, "a\nb\nc\nd").unwrap();
        let (lines, left_out) = tail.read(directory.path(), 2).unwrap();
        assert_eq!((texts(&lines), left_out), (vec!["a", "b"], 1));
        writeln!(file, "e").unwrap();
        let (lines, left_out) = tail.read(directory.path(), 2).unwrap();
        assert_eq!((texts(&lines), left_out), (vec!["de"], 0));
    }
}
