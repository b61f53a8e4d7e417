//! Recordings on their way from a machine to the person who asked: real processes, one after the other killed in the middle.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::faults::kit::{Agent, Process, Server, muster, steady_port, until};

const PATIENCE: Duration = Duration::from_secs(60);
const FILE: &str = "pinned-20260101T000000.000Z-20260101T000230.000Z-by_hand.mcap";

struct Place {
    folder: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            port: steady_port(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self, more: &[(&str, &str)]) -> Server {
        let mut command = Server::command(&self.path("server"), self.port);
        command.envs(more.iter().copied());
        Server::ready(Process::start(command))
    }

    fn agent(&self, more: &[(&str, &str)]) -> Process {
        let url = format!("ws://127.0.0.1:{}", self.port);
        let mut agent = Agent::new(&self.path("agent"), &url, "frida");
        let usual = [
            ("MUSTER__RECORDING__RESERVE_MB", "0"),
            ("MUSTER__RECORDING__AFTER_S", "1"),
        ];
        let environment = usual.iter().chain(more);
        agent.environment = environment
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        agent.start()
    }

    /// A recording that somebody kept: its content does not matter to whoever brings it.
    fn recording(&self, bytes: usize) -> Vec<u8> {
        let folder = self.path("agent").join("recordings");
        std::fs::create_dir_all(&folder).unwrap();
        let content: Vec<u8> = (0..bytes).map(|byte| (byte * 31 % 251) as u8).collect();
        std::fs::write(folder.join(FILE), &content).unwrap();
        content
    }

    fn muster(&self, words: &[&str]) -> Output {
        let server = format!("http://127.0.0.1:{}", self.port);
        let mut command = muster();
        command
            .current_dir(self.folder.path())
            .args(["--server", &server]);
        command.args(words).output().unwrap()
    }

    /// What a command says that must do what it is told.
    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        let output = self.muster(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn recordings(&self) -> Option<Value> {
        let output = self.muster(&["recordings", "list", "frida", "--output", "json"]);
        serde_json::from_slice(&output.stdout).ok()
    }

    /// The recording, as the server says it.
    fn item(&self) -> Option<Value> {
        let all = self.recordings()?;
        let items = all["items"].as_array()?;
        items.iter().find(|item| item["file"] == FILE).cloned()
    }

    fn offset(&self) -> u64 {
        self.item()
            .and_then(|item| item["transfer"]["offset"].as_u64())
            .unwrap_or(0)
    }
}

fn entries(path: &Path) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

#[test]
fn a_recording_arrives_whole_whoever_is_killed_meanwhile() {
    let place = Place::new();
    let content = place.recording(2_000_000);
    let slowly = [("MUSTER__RECORDING__UPLOAD_KIB_PER_S", "256")];
    let mut server = place.server(&[]);
    let mut agent = place.agent(&slowly);
    until("the recording is listed", PATIENCE, || {
        place.item().filter(|item| item["on_machine"] == true)
    });
    let asked = place.muster(&["recordings", "fetch", "frida", "by_hand", "--wait", "0"]);
    assert_eq!(
        asked.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&asked.stderr)
    );

    until("some of it is there", PATIENCE, || {
        (place.offset() > 0).then_some(())
    });
    server.process.kill();
    let _server = place.server(&[]);
    let before = until("the rest goes on", PATIENCE, || {
        Some(place.offset()).filter(|at| *at > 0)
    });
    agent.kill();
    // While its first machine is away the recording is not lost to make room: it is linked.
    std::fs::remove_file(place.path("agent").join("recordings").join(FILE)).unwrap();
    let _agent = place.agent(&slowly);
    until("it is there", PATIENCE, || {
        place.item().filter(|item| !item["stored"].is_null())
    });
    assert!(before < content.len() as u64, "it was killed in the middle");

    place.done(&["recordings", "fetch", "frida", "by_hand", "--to", "here.mcap"]);
    assert_eq!(std::fs::read(place.path("here.mcap")).unwrap(), content);
    let events = until("the machine says so", PATIENCE, || {
        let events = place.done(&["events", "--output", "json"]);
        events.contains("recording.uploaded").then_some(events)
    });
    let command = place.item().unwrap()["stored"]["command_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(events.contains(&command), "the event names its cause: {events}");
    until("nothing is left over", PATIENCE, || {
        (entries(&place.path("agent").join("recordings").join("uploads")) == 0).then_some(())
    });

    let again = place.muster(&["recordings", "fetch", "frida", "by_hand", "--to", "here.mcap"]);
    assert_eq!(again.status.code(), Some(2), "what is there is not overwritten");
    place.done(&["recordings", "remove", "frida", "by_hand"]);
    let gone = place.muster(&["recordings", "remove", "frida", "by_hand"]);
    assert_eq!(
        gone.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&gone.stderr)
    );
}

#[test]
fn minutes_that_were_marked_from_afar_are_fetched_and_decide_the_same_again() {
    let place = Place::new();
    let _server = place.server(&[]);
    let _agent = place.agent(&[]);
    until("the machine records", PATIENCE, || {
        place.recordings().filter(|all| all["records"] == true)
    });
    place.done(&["recordings", "mark", "frida", "--reason", "it rattles"]);
    until("it is kept", PATIENCE, || {
        let all = place.recordings()?;
        all["items"][0]["file"]
            .as_str()
            .filter(|file| file.ends_with("-marked.mcap"))
            .map(str::to_owned)
    });
    place.done(&["recordings", "fetch", "frida", "marked", "--to", "marked.mcap"]);
    let mut replay = muster();
    let replayed = replay
        .args(["agent", "replay"])
        .arg(place.path("marked.mcap"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&replayed.stdout);
    assert!(
        replayed.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&replayed.stderr)
    );
    assert!(said.contains("the same was decided"), "{said}");
}

#[test]
fn a_server_without_room_says_so_and_takes_it_when_there_is_some() {
    let place = Place::new();
    place.recording(100_000);
    let mut small = place.server(&[("MUSTER__RECORDINGS_MAX_BYTES", "50000")]);
    let _agent = place.agent(&[]);
    until("the recording is listed", PATIENCE, || place.item());
    let asked = place.muster(&["recordings", "fetch", "frida", "by_hand", "--wait", "0"]);
    assert_eq!(
        asked.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    until("it is said what is in the way", PATIENCE, || {
        let item = place.item()?;
        let detail = item["transfer"]["detail"].as_str()?;
        detail
            .contains("recordings take 0 of the 50000 bytes")
            .then_some(())
    });
    small.process.kill();
    let _large = place.server(&[]);
    until("it is there", PATIENCE, || {
        place.item().filter(|item| !item["stored"].is_null())
    });
}
