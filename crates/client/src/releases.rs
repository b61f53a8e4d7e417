//! Releases on the server: which there are, and how they come there.

use std::io::Read;
use std::time::Duration;

use futures_util::stream;
use muster_protocol::api::{
    Release, ReleaseContent, ReleaseContents, ReleaseDeltas, ReleasePage, ReleasePublished, ReleaseSummary,
};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, StatusCode};

use crate::client::{Client, Request};
use crate::error::ClientError;
use crate::page::{Paged, Parameters, collect};

const RELEASES: &str = "releases";
/// What is read and sent at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Whoever sends slower than this gives up in the end.
const SLOWEST_BYTES_PER_S: u64 = 32 * 1024;

impl Client {
    /// Releases on the server, by product, of one the highest counter first; at most `limit`.
    pub async fn releases(&self, product: Option<&str>, limit: usize) -> Result<ReleasePage, ClientError> {
        collect(None, limit, async |cursor, limit| {
            let query = Parameters::default()
                .with("product", product.as_ref())
                .with("limit", Some(&limit))
                .with("cursor", cursor.as_ref());
            self.get(&[RELEASES], query).await
        })
        .await
    }

    /// All there is to know of a release.
    pub async fn release(&self, product: &str, version: &str) -> Result<Release, ClientError> {
        self.get(&[RELEASES, product, version], Parameters::default())
            .await
    }

    /// What machines have to fetch for a release. What is not known yet is null: ask again.
    pub async fn release_deltas(&self, product: &str, version: &str) -> Result<ReleaseDeltas, ClientError> {
        self.get(&[RELEASES, product, version, "deltas"], Parameters::default())
            .await
    }

    /// Of some contents, at most 10,000, those that the server lacks.
    pub async fn missing_contents(&self, contents: &ReleaseContents) -> Result<ReleaseContents, ClientError> {
        self.post(&[RELEASES, "missing"], contents).await
    }

    /// Brings some content. Says whether it was not there before.
    pub async fn put_content(
        &self,
        content: &ReleaseContent,
        from: impl Read + Send + 'static,
    ) -> Result<bool, ClientError> {
        let pieces = stream::try_unfold(from, |mut from| async {
            let reading = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; PIECE_BYTES];
                let read = from.read(&mut piece)?;
                piece.truncate(read);
                Ok((piece, from))
            });
            let read: std::io::Result<_> = reading
                .await
                .unwrap_or_else(|ended| Err(std::io::Error::other(ended)));
            let (piece, from) = read?;
            Ok::<_, std::io::Error>((!piece.is_empty()).then_some((piece, from)))
        });
        let path = [RELEASES, "blobs", &content.sha256];
        let body = Body::wrap_stream(pieces);
        let status = self.put(&path, body, content.bytes, "application/octet-stream");
        Ok(status.await?.0 == StatusCode::CREATED)
    }

    /// Publishes a release whose contents are all there: the bytes of its manifest.
    pub async fn publish_release(
        &self,
        product: &str,
        version: &str,
        manifest: Vec<u8>,
    ) -> Result<ReleasePublished, ClientError> {
        let bytes = manifest.len() as u64;
        let path = [RELEASES, product, version];
        let put = self.put(&path, manifest.into(), bytes, "application/json");
        put.await?.1.document()
    }

    /// Publishes a document that vouches for releases. Says whether it is another than was there.
    pub async fn put_release_metadata(&self, name: &str, document: Vec<u8>) -> Result<bool, ClientError> {
        let bytes = document.len() as u64;
        let path = [RELEASES, "metadata", name];
        let put = self.put(&path, document.into(), bytes, "application/json");
        Ok(put.await?.0 == StatusCode::CREATED)
    }

    async fn put(
        &self,
        path: &[&str],
        body: Body,
        bytes: u64,
        kind: &str,
    ) -> Result<(StatusCode, crate::client::Answer), ClientError> {
        let request = self
            .prepare(Request {
                method: Method::PUT,
                path,
                query: Parameters::default(),
            })
            .header(CONTENT_TYPE, kind)
            .header(CONTENT_LENGTH, bytes)
            .body(body);
        let within = self.options().request_timeout + Duration::from_secs(bytes / SLOWEST_BYTES_PER_S);
        let answer = self.send_within(request, within).await?;
        Ok((answer.status, answer))
    }
}

impl Paged for ReleasePage {
    type Item = ReleaseSummary;

    fn items(&mut self) -> &mut Vec<ReleaseSummary> {
        &mut self.items
    }

    fn next_cursor(&mut self) -> &mut Option<String> {
        &mut self.next_cursor
    }
}
