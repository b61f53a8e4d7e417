//! Signing in at a terminal, from the set-up link to the audit log: the real server and the real commands.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::faults::kit::{Process, muster, steady_port};

const PATIENCE: Duration = Duration::from_secs(30);

/// A person at a terminal with a home of their own.
struct Desk<'a> {
    home: &'a Path,
    server: String,
    /// Whom the server proves itself by.
    authorities: &'a Path,
    token: Option<String>,
}

impl Desk<'_> {
    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = muster();
        command
            .args(arguments)
            .env("HOME", self.home)
            .env("MUSTER_SERVER", &self.server)
            .env("MUSTER_CA_FILE", self.authorities);
        command
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(token) = &self.token {
            command.env("MUSTER_TOKEN", token);
        }
        let mut child = command.spawn().unwrap();
        // A command that reads nothing may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// What a command that must succeed writes.
    fn does(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that must fail says.
    fn fails(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(
            !output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn from_the_set_up_link_to_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let (data, home) = (folder.path().join("server"), folder.path().join("home"));
    std::fs::create_dir(&home).unwrap();
    let authorities = data.join("identity").join("ca.pem");
    let port = steady_port();
    let mut command = muster();
    command
        .args(["serve", "--admin-listen", "127.0.0.1:0", "--data"])
        .arg(&data);
    command.args(["--machines-listen", "127.0.0.1:0"]);
    command.args(["--listen", &format!("127.0.0.1:{port}")]);
    let mut server = Process::start(command);
    let word = |said: &str, begin: &str| {
        let rest = &said[said.find(begin)?..];
        let end = rest.find(char::is_whitespace)?;
        Some(rest[..end].to_owned())
    };
    let (url, link) = server.hear("where it is, and the set-up link", PATIENCE, |said| {
        let serving = &said[said.find("Serving at ")? + "Serving at ".len()..];
        Some((word(serving, "http")?, word(said, "mstu_")?))
    });
    let desk = |token: Option<&str>| Desk {
        home: &home,
        server: url.clone(),
        authorities: &authorities,
        token: token.map(str::to_owned),
    };
    let root = desk(None);
    assert!(root.fails(&["machines"], "").contains("muster login"));
    assert!(root.fails(&["login", "root"], "").contains("set-up link"));
    assert!(
        root.fails(
            &["set-up", "mstu_x", "root", "--password-stdin"],
            "correct horse battery\n"
        )
        .contains("MST-A044")
    );
    root.does(
        &["set-up", &link, "root", "--password-stdin"],
        "correct horse battery\n",
    );

    assert!(
        root.fails(&["login", "root", "--password-stdin"], "wrong wrong wrong\n")
            .contains("MST-A041")
    );
    let said = root.does(&["login", "root", "--password-stdin"], "correct horse battery\n");
    assert!(
        said.contains("Signed in at") && said.contains("as root until"),
        "{said}"
    );
    let sessions = home.join(".config/muster/sessions.json");
    assert_eq!(
        std::fs::metadata(&sessions).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        root.does(&["whoami"], "")
            .starts_with("root (admin), by a session until")
    );
    root.does(&["machines"], "");

    let grants = ["--grant", "operator:label.site=munich", "--grant", "viewer"];
    let add: Vec<&str> = [
        "person",
        "add",
        "ada",
        "--reason",
        "new in hall 3",
        "--password-stdin",
    ]
    .into_iter()
    .chain(grants)
    .collect();
    root.does(&add, "a long password of ada\n");
    assert!(
        root.fails(&add, "a long password of ada\n").contains("MST-A005"),
        "there already"
    );
    assert!(
        root.does(&["person", "list"], "")
            .contains("operator:label.site=munich, viewer")
    );
    let scope = root.fails(
        &["person", "grant", "ada", "engineer:kind=car", "--reason", "x"],
        "",
    );
    assert!(scope.contains("kind is not accepted in a scope"), "{scope}");
    root.does(
        &[
            "person",
            "grant",
            "ada",
            "engineer:label.site=berlin",
            "--reason",
            "helps out",
        ],
        "",
    );
    assert!(
        root.does(&["person", "revoke", "ada", "viewer", "--reason", "no more"], "")
            .contains("ada: operator:label.site=munich, engineer")
    );
    assert!(
        root.fails(&["person", "disable", "root", "--reason", "x"], "")
            .contains("last admin")
    );

    let token = root.does(
        &["token", "make", "nightly", "--grant", "viewer", "--expires", "1d"],
        "",
    );
    let program = desk(Some(token.trim()));
    program.does(&["machines"], "");
    let refused = program.fails(&["stop", "--all", "--yes", "--reason", "x"], "");
    assert!(
        refused.contains("MST-A045") && refused.contains("narrowed to viewer"),
        "{refused}"
    );
    let id = root.does(&["token", "list", "--output", "json"], "");
    let id: serde_json::Value = serde_json::from_str(&id).unwrap();
    root.does(&["token", "revoke", id["items"][0]["id"].as_str().unwrap()], "");
    assert!(program.fails(&["machines"], "").contains("MST-A040"));

    let when = [
        "--when",
        "now.hour >= 0",
        "--description",
        "nothing is deployed",
        "--reason",
        "audit",
    ];
    let set: Vec<&str> = ["policy", "set", "freeze", "--permission", "deploy"]
        .into_iter()
        .chain(when)
        .collect();
    root.does(&set, "");
    let checked = root.does(&["person", "check", "root"], "");
    assert!(
        checked.contains("the policy freeze forbids it: nothing is deployed"),
        "{checked}"
    );
    root.does(&["policy", "remove", "freeze", "--reason", "over"], "");

    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let grace = Desk {
        home: &other,
        server: url.clone(),
        authorities: &authorities,
        token: None,
    };
    it_takes_two(&root, &grace);

    let audit = root.does(&["audit"], "");
    for line in [
        "people.set_up",
        "new in hall 3",
        "tokens.revoke",
        "policies.change",
    ] {
        assert!(audit.contains(line), "{line}: {audit}");
    }
    assert!(
        root.does(&["audit", "--outcome", "refused"], "")
            .contains("narrowed to viewer")
    );
    assert!(
        root.does(&["audit", "check"], "")
            .contains("The audit log is whole")
    );
    // No secret stands in what the server wrote, nor where it keeps things.
    let said = server.said();
    for secret in [token.trim(), "correct horse battery", "a long password of ada"] {
        assert!(!said.contains(secret), "{said}");
        let kept = std::fs::read(data.join("audit/log.db")).unwrap();
        assert!(
            !kept
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        );
    }
    // A file that others can read is not used.
    std::fs::set_permissions(&sessions, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(root.fails(&["machines"], "").contains("can be read by others"));
    std::fs::set_permissions(&sessions, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(root.does(&["logout"], "").contains("Signed out"));
    assert!(root.fails(&["whoami"], "").contains("MST-A040"));
}

/// What one proposes and another approves, at two terminals.
fn it_takes_two(root: &Desk<'_>, grace: &Desk<'_>) {
    let add = ["person", "add", "grace", "--grant", "admin", "--reason", "second"];
    root.does(
        &[&add[..], &["--password-stdin"]].concat(),
        "a long password of grace\n",
    );
    grace.does(
        &["login", "grace", "--password-stdin"],
        "a long password of grace\n",
    );
    let set = |permission| {
        let policy = [
            "policy",
            "set",
            "two",
            "--effect",
            "second-person",
            "--permission",
            permission,
        ];
        let when = ["--when", "action == 'people.change'", "--reason", "audit"];
        [
            &policy[..],
            &when,
            &["--description", "nobody changes rights alone"],
        ]
        .concat()
    };
    assert!(root.fails(&set("stop"), "").contains("a stop never waits"));
    root.does(&set("administer"), "");
    assert!(root.does(&["policy", "list"], "").contains("second person"));
    assert!(
        root.does(&["whoami"], "").contains("yes"),
        "only where the act is that one"
    );

    let output = root.run(&["person", "grant", "ada", "admin", "--reason", "trusted"], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("MST-A080") && said.contains("nobody changes rights alone"),
        "{said}"
    );
    let id = said.split("muster proposal approve ").nth(1).unwrap();
    let id = id.split('`').next().unwrap();
    let own = root.fails(&["proposal", "approve", id], "");
    assert!(own.contains("it takes somebody else"), "{own}");
    let listed = grace.does(&["proposal", "list"], "");
    assert!(
        listed.contains(id) && listed.contains("can decide") && listed.contains("trusted"),
        "{listed}"
    );
    let shown = grace.does(&["proposal", "show", id], "");
    assert!(
        shown.contains("PUT /api/v1/people/ada") && shown.contains("\"role\": \"admin\""),
        "{shown}"
    );
    assert!(!root.does(&["person", "list"], "").contains("berlin, admin"));
    let done = grace.does(&["proposal", "approve", id, "--reason", "asked her"], "");
    assert!(done.contains("people.change by root is done"), "{done}");
    assert!(root.does(&["person", "list"], "").contains("berlin, admin"));
    assert!(root.does(&["audit"], "").contains("root with grace"));
    assert!(
        grace
            .fails(&["proposal", "refuse", id, "--reason", "late"], "")
            .contains("MST-A081")
    );

    root.fails(&["person", "revoke", "ada", "admin", "--reason", "again"], "");
    let waiting = root.does(&["proposal", "list", "--output", "json"], "");
    let waiting: serde_json::Value = serde_json::from_str(&waiting).unwrap();
    let id = waiting["items"][0]["id"].as_str().unwrap();
    root.does(&["proposal", "withdraw", id], "");
    assert!(
        root.does(&["proposal", "list", "--all"], "")
            .contains("withdrawn")
    );
    root.does(&["policy", "remove", "two", "--reason", "over"], "");
}
