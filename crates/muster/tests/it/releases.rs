//! Releases on their way from a folder to a server, as people type it: the real server, the real commands.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::faults::kit::{Process, Server, muster, steady_port};

struct Place {
    folder: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn muster(&self, words: &[&str]) -> Output {
        let server = format!("http://127.0.0.1:{}", self.port);
        let mut command = muster();
        command
            .current_dir(self.folder.path())
            .args(["--server", &server]);
        command.args(words).output().unwrap()
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        let output = self.muster(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, words: &[&str]) -> Value {
        let words = [words, &["--output", "json"]].concat();
        serde_json::from_str(&self.done(&words)).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let output = self.muster(words);
        assert!(!output.status.success(), "{words:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn release(&self, version: &str, counter: &str, lines: usize) {
        let app = self.path("app");
        std::fs::create_dir_all(&app).unwrap();
        let text: Vec<String> = (0..lines)
            .map(|line| format!("{line}: {}\n", line * line))
            .collect();
        std::fs::write(app.join("data"), text.concat()).unwrap();
        std::fs::write(app.join("same"), "the same in all").unwrap();
        let words = [
            "release",
            "create",
            "app",
            "--product",
            "car-app",
            "--into",
            "releases",
        ];
        self.done(&[&words[..], &["--version", version, "--counter", counter]].concat());
    }
}

#[test]
fn releases_of_a_folder_come_to_the_server_once_and_are_shown_with_what_machines_fetch() {
    let place = Place {
        folder: tempfile::tempdir().unwrap(),
        port: steady_port(),
    };
    let _server = Server::ready(Process::start(Server::command(&place.path("server"), place.port)));
    place.release("1.0.0", "1", 20_000);
    place.release("1.1.0", "2", 20_010);
    let metadata = place.path("releases").join("metadata");
    std::fs::create_dir_all(&metadata).unwrap();
    let root = r#"{"signatures":[],"signed":{"_type":"root","version":1}}"#;
    std::fs::write(metadata.join("1.root.json"), root).unwrap();

    let said = place.refused(&["release", "publish", "releases", "car-app/9.9.9"]);
    assert!(
        said.contains("car-app/9.9.9 is not in releases") && said.contains("there are car-app"),
        "{said}"
    );
    let said = place.refused(&["release", "publish", "nowhere"]);
    assert!(said.contains("the folder cannot be used"), "{said}");

    let published = place.json(&["release", "publish", "releases", "car-app/1.0.0"]);
    assert_eq!(published["sent_contents"], 2, "{published}");
    assert_eq!(published["metadata"][0], "1.root.json", "{published}");
    let said = place.done(&["release", "publish", "releases"]);
    assert!(
        said.contains("car-app 1.0.0 was there already")
            && said.contains("car-app 1.1.0 is published")
            && said.contains("1 contents sent"),
        "{said}"
    );
    let again = place.json(&["release", "publish", "releases"]);
    assert_eq!(
        (&again["sent_contents"], &again["metadata"]),
        (&0.into(), &Value::Array(Vec::new())),
        "{again}"
    );
    let list = place.done(&["release", "list"]);
    assert!(
        list.contains("1.1.0") && list.contains("1.0.0") && list.contains("tree"),
        "{list}"
    );
    let info = place.json(&["release", "info", "car-app", "1.1.0"]);
    let (full, patch) = (
        info["deltas"]["full_bytes"].as_u64().unwrap(),
        info["deltas"]["items"][0]["bytes"].as_u64().unwrap(),
    );
    assert!(patch > 0 && patch * 10 < full, "{info}");
    let shown = place.done(&["release", "info", "car-app", "1.1.0"]);
    assert!(
        shown.contains("runs on     0 machines") && shown.contains("nothing"),
        "{shown}"
    );

    // A lower counter, and the same version with other content.
    std::fs::remove_dir_all(place.path("releases")).unwrap();
    place.release("1.2.0", "2", 20_020);
    let said = place.refused(&["release", "publish", "releases"]);
    assert!(
        said.contains("MST-A104") && said.contains("3 to 9007199254740991 are accepted"),
        "{said}"
    );
    std::fs::remove_dir_all(place.path("releases")).unwrap();
    place.release("1.1.0", "3", 20_030);
    let said = place.refused(&["release", "publish", "releases"]);
    assert!(said.contains("MST-A103"), "{said}");
    let said = place.refused(&["release", "info", "car-app", "7.0.0"]);
    assert!(said.contains("MST-A100"), "{said}");
}
