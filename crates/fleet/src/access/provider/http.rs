//! What is asked of a provider over HTTP: no redirects, in bounded time, with bounded answers.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{RequestBuilder, Url, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::ProviderError;

/// How long one question may take, with its answer.
const WITHIN: Duration = Duration::from_secs(10);
/// Longest answer, in bytes.
pub(super) const ANSWER_MAX_BYTES: usize = 1 << 20;

/// Asks a provider.
#[derive(Clone, Debug)]
pub(super) struct Http(reqwest::Client);

impl Http {
    /// Trusts whom the system trusts, or only who is in `authorities`; nobody, where everything is plain.
    pub(super) fn new(plain: bool, authorities: Option<&str>) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WITHIN)
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")));
        if plain {
            builder = builder.no_proxy().tls_backend_preconfigured(trusting("")?);
        } else if let Some(pem) = authorities {
            let config = trusting(pem)?;
            builder = builder.tls_backend_preconfigured(config);
        }
        builder
            .build()
            .map(Self)
            .map_err(|error| muster_runtime::errors::chain(&error))
    }

    /// A document that must be there.
    pub(super) async fn get(&self, url: Url, bearer: Option<&str>) -> Result<Value, ProviderError> {
        let mut request = self.0.get(url).header(header::ACCEPT, "application/json");
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        match answer(request).await? {
            (200, Some(document)) => Ok(document),
            (200, None) => Err(ProviderError::Answer(
                "the provider answers with no JSON".to_owned(),
            )),
            (status, _) => Err(ProviderError::Away(format!("the provider answers with {status}"))),
        }
    }

    /// Sends a form: status and document.
    pub(super) async fn post(
        &self,
        url: Url,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<(u16, Option<Value>), ProviderError> {
        let mut request = self
            .0
            .post(url)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encoded(form));
        if let Some((name, password)) = basic {
            // RFC 6749, 2.3.1: each is encoded as in a form before.
            request = request.basic_auth(encoded_alone(name), Some(encoded_alone(password)));
        }
        answer(request).await
    }
}

async fn answer(request: RequestBuilder) -> Result<(u16, Option<Value>), ProviderError> {
    let away = |error: &reqwest::Error| ProviderError::Away(muster_runtime::errors::chain(error));
    let mut response = request.send().await.map_err(|error| away(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| away(&error))? {
        if body.len() + chunk.len() > ANSWER_MAX_BYTES {
            let why = format!("the provider answers with more than {ANSWER_MAX_BYTES} bytes");
            return Err(ProviderError::Answer(why));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, serde_json::from_slice(&body).ok()))
}

/// As a form is sent.
fn encoded(form: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form/").unwrap_or_else(|_| unreachable!("an address of ours"));
    url.query_pairs_mut().extend_pairs(form);
    url.query().unwrap_or_default().to_owned()
}

fn encoded_alone(text: &str) -> String {
    encoded(&[("", text)]).trim_start_matches('=').to_owned()
}

/// Whoever one of these issued a certificate to, and nobody else.
fn trusting(pem: &str) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() && !pem.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        // Providers of companies are not always of this year.
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(encoded(&[("a", "b c"), ("d", "&=")]), "a=b+c&d=%26%3D");
        assert_eq!(encoded_alone("=x:y"), "%3Dx%3Ay");
    }
}
