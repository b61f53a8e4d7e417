use super::*;

fn native(program: &str) -> Workload {
    Workload {
        program: Some(program.into()),
        ..Workload::default()
    }
}

fn problem(text: &str) -> String {
    let workloads: Result<Workloads, _> = serde_json::from_str(text);
    match workloads {
        Err(error) => error.to_string(),
        Ok(workloads) => check_all(&workloads)
            .err()
            .map_or_else(String::new, |error| error.to_string()),
    }
}

#[test]
fn what_cannot_be_meant_is_said_with_its_place() {
    for (text, part) in [
        (r#"{"a": {"program": "/bin/true"}}"#, ""),
        (
            r#"{"a": {"kind": "container", "image": "x:1", "program": "sh"}}"#,
            "",
        ),
        (r#"{"A": {}}"#, "no name for a workload"),
        (r#"{"-a": {}}"#, "no name for a workload"),
        (r#"{"a": {"programme": "/x"}}"#, "unknown field `programme`"),
        (r#"{"a": {"limits": {"memory": 3}}}"#, "unknown field `memory`"),
        (
            r#"{"a": {}}"#,
            "workload a: program: a native workload needs one, or a product",
        ),
        (r#"{"a": {"product": "car-app"}}"#, ""),
        (r#"{"a": {"product": "Car"}}"#, "no name of a product"),
        (
            r#"{"a": {"product": "car", "program": "/a"}}"#,
            "product: a workload has a program or a product",
        ),
        (
            r#"{"a": {"kind": "container", "image": "x", "product": "car"}}"#,
            "product: only a native workload",
        ),
        (r#"{"a": {"program": "sleep"}}"#, "program: an absolute path"),
        (r#"{"a": {"program": "/a/../b"}}"#, "program: an absolute path"),
        (
            r#"{"a": {"program": "/a", "image": "b"}}"#,
            "image: only a container",
        ),
        (r#"{"a": {"kind": "container"}}"#, "image: a container needs one"),
        (
            r#"{"a": {"kind": "container", "image": "--privileged"}}"#,
            "image: the name",
        ),
        (
            r#"{"a": {"kind": "container", "image": "x", "runner": "own"}}"#,
            "runner: containers",
        ),
        (
            r#"{"a": {"program": "/a", "limits": {"memory_mib": 1}}}"#,
            "limits.memory_mib: 4 to",
        ),
        (
            r#"{"a": {"program": "/a", "environment": {"1X": ""}}}"#,
            "environment: names",
        ),
        (r#"{"a": {"program": "/a", "user": "-x"}}"#, "user: a name"),
        (
            r#"{"a": {"program": "/a", "user": "x", "capabilities": ["chown"]}}"#,
            "capabilities: only",
        ),
        (
            r#"{"a": {"program": "/a", "filesystem": {"writable": ["/x"]}}}"#,
            "read_only: true",
        ),
        (
            r#"{"a": {"program": "/a", "health": {"kind": "http"}}}"#,
            "health.port: for kind: http",
        ),
        (
            r#"{"a": {"program": "/a", "health": {"kind": "command"}}}"#,
            "health.command: for kind",
        ),
        (
            r#"{"a": {"program": "/a", "health": {"kind": "http", "port": 1, "path": "/a b"}}}"#,
            "health.path",
        ),
        (
            r#"{"a": {"program": "/a", "after": ["a"]}}"#,
            "after: it cannot wait for itself",
        ),
        (
            r#"{"a": {"program": "/a", "after": ["b"]}, "b": {"program": "/a", "after": ["c"]}, "c": {"program": "/a", "after": ["a"]}, "d": {"program": "/a", "after": ["a"]}}"#,
            "wait for each other: a, b, c, d",
        ),
        (r#"{"a": {"program": "/a", "after": ["elsewhere"]}}"#, ""),
        (
            r#"{"a": {"program": "/a", "restart": {"backoff_ms": 100, "backoff_max_ms": 50}}}"#,
            "restart.backoff_max_ms",
        ),
    ] {
        let said = problem(text);
        assert!(
            said.contains(part) && part.is_empty() == said.is_empty(),
            "{text}: {said:?} lacks {part:?}"
        );
    }
}

#[test]
fn there_are_only_so_many() {
    let many = |count: usize| -> Workloads {
        (0..count)
            .map(|n| (format!("w{n}").parse().unwrap(), native("/a")))
            .collect()
    };
    assert_eq!(check_all(&many(WORKLOADS_MAX)), Ok(()));
    assert_eq!(
        check_all(&many(WORKLOADS_MAX + 1)),
        Err(WorkloadError::TooMany(WORKLOADS_MAX + 1))
    );
}

#[test]
fn a_version_tells_definitions_apart_and_survives_being_written() {
    let one = native("/bin/sleep");
    let mut other = one.clone();
    assert_eq!(one.version(), other.version());
    other.limits.memory_mib = Some(16);
    assert_ne!(one.version(), other.version());
    let again: Workload = serde_json::from_str(&serde_json::to_string(&other).unwrap()).unwrap();
    assert_eq!((&again, again.version()), (&other, other.version()));
}
