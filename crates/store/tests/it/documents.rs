//! Documents are replaced only by who knows what is there.

use muster_store::{
    DataDirectory, Document, DocumentError, DocumentVersion, Documents, Precondition, SqliteDocuments,
};

use crate::kit::at;

#[test]
fn compare_and_set() {
    let directory = tempfile::tempdir().unwrap();
    let held = DataDirectory::open(directory.path()).unwrap();
    let documents = SqliteDocuments::open(&held).unwrap();
    let put = |key: &str, precondition, body: &str| {
        documents.put("config", key, precondition, at(5), body.as_bytes())
    };

    assert_eq!(documents.get("config", "site").unwrap(), None);
    assert_eq!(
        put("site", Precondition::Absent, "a").unwrap(),
        DocumentVersion(1)
    );
    match put("site", Precondition::Absent, "b") {
        Err(DocumentError::Conflict { actual, .. }) => assert_eq!(actual, Some(DocumentVersion(1))),
        other => panic!("{other:?}"),
    }
    let second = put("site", Precondition::Version(DocumentVersion(1)), "b").unwrap();
    assert_eq!(second, DocumentVersion(2));
    assert!(put("site", Precondition::Version(DocumentVersion(1)), "c").is_err());
    assert_eq!(put("site", Precondition::Any, "d").unwrap(), DocumentVersion(3));
    put("area", Precondition::Any, "x").unwrap();
    documents
        .put("other", "site", Precondition::Any, at(5), b"y")
        .unwrap();
    assert!(matches!(
        put("", Precondition::Any, ""),
        Err(DocumentError::Unacceptable)
    ));

    drop(documents);
    let documents = SqliteDocuments::open(&held).unwrap();
    let expected = Document {
        key: "site".to_owned(),
        version: DocumentVersion(3),
        updated_at: at(5),
        body: b"d".to_vec(),
    };
    assert_eq!(documents.get("config", "site").unwrap(), Some(expected.clone()));
    let keys = |after, limit| -> Vec<String> {
        let list = documents.list("config", after, limit).unwrap();
        list.into_iter().map(|document| document.key).collect()
    };
    assert_eq!(keys(None, 10), ["area", "site"]);
    assert_eq!(keys(None, 1), ["area"]);
    assert_eq!(keys(Some("area"), 10), ["site"]);

    let wrong = documents.delete("config", "site", Precondition::Version(DocumentVersion(2)));
    assert!(matches!(wrong, Err(DocumentError::Conflict { .. })));
    assert!(
        documents
            .delete("config", "site", Precondition::Version(DocumentVersion(3)))
            .unwrap()
    );
    assert!(!documents.delete("config", "site", Precondition::Any).unwrap());
}

#[test]
fn many_are_written_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let held = DataDirectory::open(directory.path()).unwrap();
    let documents = SqliteDocuments::open(&held).unwrap();
    documents
        .put("kind", "b", Precondition::Any, at(1), b"old")
        .unwrap();
    let document = |key: &str| Document {
        key: key.to_owned(),
        version: DocumentVersion(9),
        updated_at: at(2),
        body: b"new".to_vec(),
    };
    let many = ["a", "b"].map(|key| ("kind".to_owned(), document(key)));
    documents.put_all(many).unwrap();
    // Versions are counted here, whatever stood in the documents.
    let versions = |kind: &str| -> Vec<(String, u64)> {
        let list = documents.list(kind, None, 10).unwrap();
        list.into_iter()
            .map(|document| (document.key, document.version.0))
            .collect()
    };
    assert_eq!(versions("kind"), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert_eq!(documents.get("kind", "b").unwrap().unwrap().body, b"new");

    // One that cannot be written keeps all others from being.
    let wrong = ["c", ""].map(|key| ("kind".to_owned(), document(key)));
    assert!(matches!(
        documents.put_all(wrong),
        Err(DocumentError::Unacceptable)
    ));
    assert_eq!(versions("kind").len(), 2);
}
