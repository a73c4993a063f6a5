//! One client for the registries that images are read from and baselines are kept in (OCI distribution specification
//! 1.1). This module reads and writes a repository: manifests (by tag, digest and subject), blobs and tags;
//! [`transport`] sends the requests. All answers are limited and checked.

mod auth;
mod credentials;
mod error;
mod links;
mod name;
pub mod transport;

use http::{HeaderMap, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Response, Url};
use serde::Deserialize;

pub use error::{ArtifactError, RequestFailure, text_of};
pub use name::{NameError, RemoteName};

use crate::image::Digest;
use transport::{MAX_ANSWER, Transport, retried};

/// The largest manifest or index; the specification asks registries for 4 MiB.
const MAX_MANIFEST: usize = 4 << 20;
/// The largest page of a list.
const MAX_PAGE: usize = 16 << 20;
/// How many tags are requested at a time; registries may send fewer.
const PAGE: usize = 1000;
/// Maximum number of pages of referrers.
const MAX_PAGES: usize = 100;

/// Media types of manifests and indexes, by the Open Container Initiative and by Docker.
pub const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// A manifest or an index.
#[derive(Debug, Clone)]
pub struct RawManifest {
    /// Its digest, computed.
    pub digest: Digest,
    /// Its media type, by the registry's answer.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// A repository to read, or also to write.
pub struct Artifacts {
    transport: Transport,
}

/// A blob in transfer.
pub struct Body {
    response: Response,
    /// How many leading bytes to skip, because the server sends more than was requested.
    skip: u64,
}

/// A page of a list of tags.
#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Artifacts {
    /// Opens a repository: finds out what its registry speaks, and authenticates.
    ///
    /// # Errors
    /// [`ArtifactError`] if the registry cannot be reached or refuses.
    pub async fn open(
        reference: &RemoteName,
        plain_http: bool,
        writes: bool,
    ) -> Result<Artifacts, ArtifactError> {
        let transport = Transport::open(reference, plain_http, writes).await?;
        Ok(Artifacts { transport })
    }

    /// The reason why an image is missing, if it is that the host is not a registry.
    pub fn no_registry(&self) -> Option<ArtifactError> {
        self.transport.no_registry()
    }

    /// A manifest or an index, by its tag or its digest; `None` if there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn manifest(&self, name: &str) -> Result<Option<RawManifest>, ArtifactError> {
        let operation = "send a manifest";
        // A tag has no colon.
        let asked = name.contains(':').then(|| Digest::parse(name)).transpose();
        let asked = asked
            .map_err(|error| self.transport.error(operation, RequestFailure::Answer, &error.to_string()))?;
        let url = self.transport.url("manifests", name);
        let accept = MANIFEST_TYPES.join(", ");
        let request = |http: &reqwest::Client| http.get(&url).header(header::ACCEPT, &accept);
        let answer = self.transport.send(operation, MAX_MANIFEST, request).await;
        let Some(answer) = present(answer)? else { return Ok(None) };
        let media_type = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type =
            media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let digest = self.checked(operation, asked.as_ref(), &answer.body)?;
        Ok(Some(RawManifest { digest, media_type, content: answer.body }))
    }

    /// Uploads a manifest or an index under a tag or its digest. Returns whether the registry adds it to its subject's
    /// referrers by itself.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn put_manifest(
        &self,
        name: &str,
        media_type: &str,
        content: Vec<u8>,
    ) -> Result<bool, ArtifactError> {
        let (url, content) = (self.transport.url("manifests", name), bytes::Bytes::from(content));
        let request = |http: &reqwest::Client| {
            http.put(&url).header(header::CONTENT_TYPE, media_type).body(content.clone())
        };
        let answer = self.transport.send("take a manifest", MAX_ANSWER, request).await?;
        Ok(answer.headers.contains_key("oci-subject"))
    }

    /// Deletes a manifest or an index, with all its tags. A missing one counts as deleted.
    ///
    /// # Errors
    /// [`ArtifactError`], also if the registry does not allow deletion.
    pub async fn delete_manifest(&self, digest: &Digest) -> Result<(), ArtifactError> {
        let url = self.transport.url("manifests", digest.as_str());
        let deleted = self.transport.send("delete a manifest", MAX_ANSWER, |http| http.delete(&url)).await;
        present(deleted).map(drop)
    }

    /// The tags of the repository that are `wanted`; empty if the repository does not exist.
    ///
    /// # Errors
    /// [`ArtifactError`], also if there are more than `most` in all.
    pub async fn tags(
        &self,
        most: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, ArtifactError> {
        let operation = "list the tags";
        let malformed = |error: &str| self.transport.error(operation, RequestFailure::Answer, error);
        let list = self.transport.url("tags", "list");
        let mut url = Some(format!("{list}?n={PAGE}"));
        let (mut tags, mut seen) = (Vec::new(), 0);
        while let Some(page) = url.take() {
            let mut answer = self.transport.send(operation, MAX_PAGE, |http| http.get(&page)).await;
            if seen == 0 {
                let Some(first) = present(answer)? else { break };
                answer = Ok(first);
            }
            let answer = answer?;
            let listed: Tags = serde_json::from_slice(&answer.body)
                .map_err(|error| malformed(&format!("its list is malformed: {error}")))?;
            let listed = listed.tags.unwrap_or_default();
            seen += listed.len();
            if seen > most {
                let hint = "use a repository for baselines only".into();
                return Err(ArtifactError { hint, ..malformed(&format!("it has over {most} tags")) });
            }
            // An empty page could link to itself for ever.
            if !listed.is_empty() {
                url = self.page_after(operation, &answer.headers, &page, &list, "/tags/list")?;
            }
            tags.extend(listed.into_iter().filter(|tag| wanted(tag)));
        }
        Ok(tags)
    }

    /// The referrers of a manifest, as one index per page; `None` if the registry does not support the referrers API.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn referrers(
        &self,
        digest: &Digest,
        artifact_type: &str,
    ) -> Result<Option<Vec<Vec<u8>>>, ArtifactError> {
        let (operation, list) =
            ("list what refers to a manifest", self.transport.url("referrers", digest.as_str()));
        let mut url =
            Some(format!("{list}?artifactType={}", utf8_percent_encode(artifact_type, NON_ALPHANUMERIC)));
        let mut pages = Vec::new();
        while let Some(page) = url.take().filter(|_| pages.len() < MAX_PAGES) {
            let answer = match self.transport.send(operation, MAX_MANIFEST, |http| http.get(&page)).await {
                // Registries without the referrers API reject the request in various ways.
                Err(error)
                    if pages.is_empty() && matches!(error.status(), Some(400..=428 | 430..=499 | 501)) =>
                {
                    return Ok(None);
                }
                answer => answer?,
            };
            if !answer.body.trim_ascii_start().starts_with(b"{") {
                return Ok(None);
            }
            url = self.page_after(operation, &answer.headers, &page, &list, digest.as_str())?;
            pages.push(answer.body);
        }
        Ok(Some(pages))
    }

    /// The URL of the next page of a list, if any. The host in it may be wrong behind a proxy, so only the query is
    /// used, for the original list; its path ends with `name`.
    fn page_after(
        &self,
        operation: &'static str,
        headers: &HeaderMap,
        page: &str,
        list: &str,
        name: &str,
    ) -> Result<Option<String>, ArtifactError> {
        let Some(next) = next_page(headers) else { return Ok(None) };
        let query = next_query(next, page, name);
        let unclear = || {
            self.transport.error(
                operation,
                RequestFailure::Answer,
                "its list has no usable link to the next page",
            )
        };
        query.map(|query| Some(format!("{list}?{query}"))).ok_or_else(unclear)
    }

    /// A blob of at most `most` bytes, its digest verified; `None` if there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn blob(&self, digest: &Digest, most: u64) -> Result<Option<Vec<u8>>, ArtifactError> {
        let operation = "send a blob";
        let (url, most) =
            (self.transport.url("blobs", digest.as_str()), usize::try_from(most).unwrap_or(usize::MAX));
        let Some(answer) = present(self.transport.send(operation, most, |http| http.get(&url)).await)? else {
            return Ok(None);
        };
        self.checked(operation, Some(digest), &answer.body)?;
        Ok(Some(answer.body))
    }

    /// The digest of what was sent, verified against the requested one.
    fn checked(
        &self,
        operation: &'static str,
        asked: Option<&Digest>,
        content: &[u8],
    ) -> Result<Digest, ArtifactError> {
        let found = Digest::by(asked.map(Digest::algorithm).unwrap_or_default(), content);
        match asked.filter(|asked| found != **asked) {
            None => Ok(found),
            Some(asked) => {
                let error = format!("what it sent does not have the digest {asked}: it has {found}");
                Err(self.transport.error(operation, RequestFailure::Answer, &error))
            }
        }
    }

    /// A blob from an offset on, to be read unverified as it arrives; `None` if there is none.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn open_blob(&self, digest: &Digest, offset: u64) -> Result<Option<Body>, ArtifactError> {
        let operation = "send a layer";
        let url = self.transport.url("blobs", digest.as_str());
        let request = |http: &reqwest::Client| match offset {
            0 => http.get(&url),
            offset => http.get(&url).header(header::RANGE, format!("bytes={offset}-")),
        };
        let response = retried(async || {
            let response = self.transport.exchange(operation, &request).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            Err(self.transport.refused(operation, response).await)
        });
        let Some(response) = present(response.await)? else { return Ok(None) };
        // A server without range support sends everything again.
        let skip = if response.status() == StatusCode::PARTIAL_CONTENT { 0 } else { offset };
        Ok(Some(Body { response, skip }))
    }

    /// Uploads a blob, unless it is already there.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn put_blob(&self, content: Vec<u8>) -> Result<Digest, ArtifactError> {
        let (digest, content) = (Digest::of(&content), bytes::Bytes::from(content));
        let url = self.transport.url("blobs", digest.as_str());
        // If this check is not allowed, the blob can still be sent.
        if self.transport.send("say whether it has a blob", MAX_ANSWER, |http| http.head(&url)).await.is_err()
        {
            retried(async || self.upload(&digest, &content).await).await?;
        }
        Ok(digest)
    }

    /// Uploads a blob in one piece, to the location that the registry gives.
    async fn upload(&self, digest: &Digest, content: &bytes::Bytes) -> Result<(), ArtifactError> {
        let operation = "take a blob";
        let url = self.transport.url("blobs", "uploads/");
        let begin = |http: &reqwest::Client| http.post(&url).header(header::CONTENT_LENGTH, 0);
        let response = self.transport.exchange(operation, &begin).await?;
        let base = response.url().clone();
        let answer = self.transport.read(operation, MAX_ANSWER, response).await?;
        let place = answer.headers.get(header::LOCATION).and_then(|place| place.to_str().ok());
        let place = place.and_then(|place| base.join(place).ok());
        let mut place = place.ok_or_else(|| {
            self.transport.error(
                operation,
                RequestFailure::Answer,
                "it does not say where to upload the blob",
            )
        })?;
        self.transport.follow(operation, &base, &place)?;
        place.query_pairs_mut().append_pair("digest", digest.as_str());
        let send = |http: &reqwest::Client| {
            let request = http.put(place.clone()).header(header::CONTENT_TYPE, "application/octet-stream");
            request.body(content.clone())
        };
        let response = self.transport.exchange(operation, &send).await?;
        self.transport.read(operation, MAX_ANSWER, response).await.map(drop)
    }
}

impl Body {
    /// The next piece; `None` after the last.
    pub async fn chunk(&mut self) -> reqwest::Result<Option<bytes::Bytes>> {
        while let Some(mut chunk) = self.response.chunk().await? {
            let skipped = chunk.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= skipped as u64;
            let left = chunk.split_off(skipped);
            if !left.is_empty() {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }
}

/// `None` if the registry answers that it does not exist.
fn present<T>(answer: Result<T, ArtifactError>) -> Result<Option<T>, ArtifactError> {
    match answer {
        Err(error) if error.status() == Some(404) => Ok(None),
        other => other.map(Some),
    }
}

/// The link to the next page of a list, in the registry's words.
fn next_page(headers: &HeaderMap) -> Option<&str> {
    let links = headers.get_all(header::LINK).iter().filter_map(|link| link.to_str().ok());
    let mut links = links.flat_map(|links| links.split(','));
    let next = links.find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    Some(next.split_once('<').map_or(next, |(_, rest)| rest).split('>').next().unwrap_or_default())
}

/// The query for another page of a list; the path of the list ends with its name.
fn next_query(next: &str, page: &str, name: &str) -> Option<String> {
    let page = Url::parse(page).ok()?;
    let next = page.join(next).ok()?;
    let query = next.query().filter(|query| next.path().ends_with(name) && page.query() != Some(query));
    query.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_wherever_its_link_leads() {
        let page = "https://registry.example/v2/app/tags/list?n=2";
        let next = |link: &str| next_query(link, page, "/tags/list");
        for link in [
            "/v2/app/tags/list?last=b&n=2",
            "http://registry.internal:5000/v2/app/tags/list?last=b&n=2",
            "list?last=b&n=2",
        ] {
            assert_eq!(next(link).as_deref(), Some("last=b&n=2"), "{link}");
        }
        for link in ["/v2/app/tags/list", "/v2/app/tags/list?n=2", "/other?last=b", "http://[", ""] {
            assert_eq!(next(link), None, "{link}");
        }
    }
}
