//! Machines with certificates: the real server, the real runtime of a machine, the real commands, and another TLS client.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::faults::kit::{Process, muster, steady_port, until};

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse battery\n";

/// A server of its own, with an admin who is signed in.
struct Place {
    folder: tempfile::TempDir,
    people: u16,
    machines: u16,
    server: Process,
}

impl Place {
    fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let people = steady_port();
        let mut command = muster();
        command.args(["serve", "--admin-listen", "127.0.0.1:0", "--data"]);
        command.arg(folder.path().join("server"));
        command.args(["--listen", &format!("127.0.0.1:{people}")]);
        command.args(["--machines-listen", "127.0.0.1:0"]);
        command.envs(settings.iter().copied());
        let mut server = Process::start(command);
        let (machines, link) = server.hear("where machines connect, and the set-up link", PATIENCE, |said| {
            let word = |before: &str| {
                let rest = &said[said.find(before)? + before.len()..];
                Some(rest[..rest.find(char::is_whitespace)?].to_owned())
            };
            Some((word("wss://127.0.0.1:")?.parse().ok()?, word("/set-up#")?))
        });
        let place = Self {
            folder,
            people,
            machines,
            server,
        };
        place.does_with(&["set-up", &link, "root", "--password-stdin"], PASSWORD);
        place.does_with(&["login", "root", "--password-stdin"], PASSWORD);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn authorities(&self) -> PathBuf {
        self.path("server").join("identity").join("ca.pem")
    }

    fn run(&self, words: &[&str], input: &str) -> Output {
        let mut command = muster();
        command
            .args(words)
            .env("HOME", self.path("home"))
            .env("MUSTER_SERVER", format!("https://127.0.0.1:{}", self.people))
            .env("MUSTER_CA_FILE", self.authorities())
            .env_remove("XDG_CONFIG_HOME");
        fed(command, input)
    }

    #[track_caller]
    fn does_with(&self, words: &[&str], input: &str) -> String {
        let output = self.run(words, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn does(&self, words: &[&str]) -> String {
        self.does_with(words, "")
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        let mut words = words.to_vec();
        words.extend(["--output", "json"]);
        serde_json::from_str(&self.does(&words)).unwrap()
    }

    fn token(&self, words: &[&str]) -> String {
        self.json(words)["token"].as_str().unwrap().to_owned()
    }

    /// `muster agent enroll`, with the token where nobody sees it.
    fn enroll(&self, data: &Path, token: &str, more: &[&str]) -> Output {
        let mut command = muster();
        command.args(["agent", "enroll", "-", "--server"]);
        command.arg(format!("https://127.0.0.1:{}", self.people));
        command.arg("--data").arg(data).args(more);
        fed(command, token)
    }

    fn machine(&self, data: &Path) -> Process {
        let mut command = muster();
        command.args(["agent", "run", "--data"]).arg(data);
        Process::start(command)
    }

    fn identity(&self, machine: &str) -> Value {
        self.json(&["identity", "show", machine])
    }

    fn wait_until_connected(&self, machine: &str) -> Value {
        until("the machine is connected", PATIENCE, || {
            let identity = self.identity(machine);
            (identity["connected"] == true).then_some(identity)
        })
    }
}

fn fed(mut command: Command, input: &str) -> Output {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Ends a process in order.
fn stop(process: &mut Process) {
    process.signal(Signal::TERM);
    process.end(PATIENCE);
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_machine_enrols_renews_by_itself_is_shut_out_and_comes_back() {
    let mut place = Place::new(&[
        ("MUSTER__IDENTITY__CERTIFICATE_LIFETIME_S", "15"),
        ("MUSTER__IDENTITY__ASK_AGAIN_S", "2"),
    ]);
    let data = place.path("frida");
    let token = place.token(&[
        "enroll",
        "new",
        "--kind",
        "lekiwi",
        "--label",
        "site=munich",
        "--name",
        "frida",
    ]);
    let output = place.enroll(&data, &token, &[]);
    assert!(output.status.success(), "{}", said(&output));
    for entry in std::fs::read_dir(data.join("identity")).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
    }
    // Twice is a mistake, and another machine cannot use what one has used.
    let output = place.enroll(&data, &token, &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output).contains("MST-M064"), "{}", said(&output));
    let output = place.enroll(&place.path("other"), &token, &[]);
    assert_eq!(output.status.code(), Some(77));
    assert!(said(&output).contains("MST-A061"), "{}", said(&output));

    let mut machine = place.machine(&data);
    let first = place.wait_until_connected("frida");
    let row = until("the machine shows as it was enrolled", PATIENCE, || {
        let machines = place.json(&["machines"]);
        let row = machines["items"][0].clone();
        (row["name"] == "frida" && row["kind"] == "lekiwi").then_some(row)
    });
    assert_eq!(row["labels"]["site"], "munich", "{row}");

    // Each is renewed at two thirds: when there is a third, the first has ended. The machine is still there, and never was away for 5 s.
    until("the first certificate is over", PATIENCE, || {
        let identity = place.identity("frida");
        let count = identity["certificates"].as_array().unwrap().len();
        (count >= 3).then_some(())
    });
    let lost = place.json(&["events", "--kind", "presence.lost"]);
    assert_eq!(lost["items"].as_array().map(Vec::len), Some(0), "{lost}");
    let keys = std::fs::read_dir(data.join("identity")).unwrap().flatten();
    let keys = keys.filter(|entry| entry.file_name().to_string_lossy().starts_with("key-"));
    assert!(keys.count() <= 2, "keys that are not used any more are removed");
    place.wait_until_connected("frida");

    let asked = Instant::now();
    place.does(&["identity", "revoke", "frida", "--reason", "stolen"]);
    machine.hear("the bye", PATIENCE, |said| {
        said.contains("this machine was shut out: stolen").then_some(())
    });
    let took = asked.elapsed();
    println!(
        "figure row 24: a machine was cut {} ms after the command",
        took.as_millis()
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(place.identity("frida")["connected"], false);
    stop(&mut machine);

    // Started anew it is not let in; with a token of its own it is, as the same machine.
    let mut machine = place.machine(&data);
    machine.hear("the refusal", PATIENCE, |said| {
        said.to_lowercase().contains("certificate").then_some(())
    });
    stop(&mut machine);
    let token = place.token(&["enroll", "renew", "frida"]);
    let output = place.enroll(&data, &token, &["--again"]);
    assert!(output.status.success(), "{}", said(&output));
    let mut machine = place.machine(&data);
    let back = place.wait_until_connected("frida");
    assert_eq!(back["machine_id"], first["machine_id"]);
    stop(&mut machine);

    // A key that others can read is none.
    let key = std::fs::read_dir(data.join("identity"))
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("key-"))
        .unwrap();
    std::fs::set_permissions(key.path(), PermissionsExt::from_mode(0o644)).unwrap();
    let mut machine = place.machine(&data);
    assert_eq!(machine.end(PATIENCE).code(), Some(64));
    assert!(machine.said().contains("MST-M061"), "{}", machine.said());
    let audit = place.does(&["audit", "--output", "json"]);
    for act in ["machines.enrol", "identities.revoke", "enrolments.make"] {
        assert!(audit.contains(act), "{act} in {audit}");
    }
    assert!(!audit.contains("mste_"), "a token is in the audit log");
    assert!(!place.server.said().contains("mste_"), "a token is in the log");
    stop(&mut place.server);
}

#[test]
fn the_authority_is_exchanged_while_machines_are_connected() {
    let mut place = Place::new(&[("MUSTER__IDENTITY__ASK_AGAIN_S", "1")]);
    let mut machines = Vec::new();
    for name in ["frida", "otto"] {
        let data = place.path(name);
        let token = place.token(&["enroll", "new", "--name", name]);
        let output = place.enroll(&data, &token, &[]);
        assert!(output.status.success(), "{}", said(&output));
        machines.push(place.machine(&data));
    }
    for name in ["frida", "otto"] {
        place.wait_until_connected(name);
    }
    let before = std::fs::read_to_string(place.authorities()).unwrap();
    place.does(&["identity", "rotate-ca"]);
    until("the old authority is out of force", PATIENCE, || {
        // The file that people are given has both, and then the new one.
        let all = place.json(&["identity", "authorities"]);
        let items = all["items"].as_array().unwrap();
        (items.len() == 1 && items[0]["generation"] == 2).then_some(())
    });
    let after = std::fs::read_to_string(place.authorities()).unwrap();
    assert_ne!(before, after);
    assert_eq!(place.does(&["identity", "authorities", "--pem"]), after);
    for name in ["frida", "otto"] {
        let identity = place.wait_until_connected(name);
        assert_eq!(identity["certificates"][0]["authority"], 2, "{identity}");
    }
    // A machine without a connection for 5 s would be lost.
    let lost = place.json(&["events", "--kind", "presence.lost"]);
    assert_eq!(lost["items"].as_array().map(Vec::len), Some(0), "{lost}");
    println!("figure row 25: two machines changed over to another authority, none was away for 5 s");
    for mut machine in machines {
        stop(&mut machine);
    }
    stop(&mut place.server);
}

/// What another TLS client sees, if there is one on this computer.
fn openssl(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("openssl");
    command.arg("s_client").args(arguments);
    if Command::new("openssl").arg("version").output().is_err() {
        println!("there is no openssl here: nothing is shown by it");
        return None;
    }
    let output = fed(command, input);
    Some(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

#[test]
fn another_tls_client_meets_the_same() {
    let mut place = Place::new(&[]);
    let data = place.path("frida");
    let token = place.token(&["enroll", "new", "--name", "frida"]);
    assert!(place.enroll(&data, &token, &[]).status.success());
    let text = std::fs::read_to_string(data.join("identity").join("identity.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let (certificate, key) = (place.path("frida.crt"), data.join("identity"));
    std::fs::write(&certificate, document["certificate"].as_str().unwrap()).unwrap();
    let key = key.join(document["key"].as_str().unwrap());
    let kept = place.path("session.pem");
    let (people, machines) = (
        format!("127.0.0.1:{}", place.people),
        format!("127.0.0.1:{}", place.machines),
    );
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (authorities, certificate, key, kept) = (
        path(&place.authorities()),
        path(&certificate),
        path(&key),
        path(&kept),
    );
    let mine = [
        "-CAfile",
        &authorities,
        "-cert",
        &certificate,
        "-key",
        &key,
        "-sess_out",
        &kept,
    ];
    let with = |first: &[&str], more: &[&str]| -> Option<String> { openssl(&[first, more].concat(), "") };

    let Some(old) = with(&["-connect", &people, "-tls1_2"], &[]) else {
        stop(&mut place.server);
        return;
    };
    assert!(old.contains("alert protocol version"), "{old}");
    let old = with(&["-connect", &machines, "-tls1_2"], &mine).unwrap();
    assert!(old.contains("alert protocol version"), "{old}");
    let bare = with(
        &[
            "-connect",
            &machines,
            "-tls1_3",
            "-ign_eof",
            "-CAfile",
            &authorities,
        ],
        &[],
    )
    .unwrap();
    assert!(bare.contains("alert certificate required"), "{bare}");

    let ask = format!(
        "GET /machine/{}/certificate HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\n\r\n",
        document["machine_id"].as_str().unwrap()
    );
    let first = ["-connect", machines.as_str(), "-tls1_3", "-ign_eof"];
    let good = openssl(&[&first[..], &mine[..]].concat(), &ask).unwrap();
    assert!(
        good.contains("200 OK") && good.contains("Verify return code: 0"),
        "{good}"
    );
    // Nothing was given that a session could be resumed by.
    assert!(!Path::new(&kept).exists(), "{good}");
    place.does(&["identity", "revoke", "frida", "--reason", "the test says so"]);
    let refused = openssl(&[&first[..], &mine[..]].concat(), &ask).unwrap();
    assert!(
        refused.contains("alert certificate revoked") && !refused.contains("200 OK"),
        "{refused}"
    );
    stop(&mut place.server);
}
