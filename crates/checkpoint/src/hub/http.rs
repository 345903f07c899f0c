//! HTTP as the Hub needs it: redirects by hand, so that the token goes to the Hub's own address only.

use std::sync::Arc;
use std::time::Duration;

use ureq::http::{Response, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::environment::HubSettings;
use crate::{CheckpointError, Hint};

/// Header of a redirect to a file's content: the content's own hash.
pub(super) const LINKED_ETAG: &str = "x-linked-etag";
const MAX_REDIRECTS: usize = 8;
/// Attempts of a small request; downloads count their own.
const ATTEMPTS: u32 = 3;

pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    retry_pause: Duration,
}

/// How far redirects are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// On the same server, up to the answer that describes the file: the Hub's own headers are wanted.
    Description,
    /// Anywhere: the bytes are wanted.
    Everywhere,
}

impl Client {
    pub(super) fn new(settings: &HubSettings) -> Result<Self, CheckpointError> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(settings.answer_timeout))
            .timeout_recv_response(Some(settings.answer_timeout))
            .timeout_per_read(Some(settings.stall_timeout))
            .user_agent(concat!("serin/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &settings.certificates {
            config = config.tls_config(TlsConfig::builder().root_certs(read_certificates(file)?).build());
        }
        Ok(Self {
            agent: config.build().new_agent(),
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
            retry_pause: settings.retry_pause,
        })
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Waits before retry number `attempt`, counted from 1: twice as long each time, at most 64 pauses.
    pub(super) fn pause(&self, attempt: u32) {
        std::thread::sleep(self.retry_pause * (1 << attempt.saturating_sub(1).min(6)));
    }

    /// The head of the Hub's answer that describes a file, which may be a redirect to its content.
    pub(super) fn head(&self, url: &str) -> Result<Response<Body>, ureq::Error> {
        self.patiently(|| self.follow(url, Follow::Description, |agent, url| agent.head(url)))
    }

    /// A small answer, such as a listing.
    pub(super) fn get(&self, url: &str) -> Result<Response<Body>, ureq::Error> {
        self.patiently(|| self.follow(url, Follow::Everywhere, |agent, url| agent.get(url)))
    }

    /// The bytes of a file from `start` on; tried once.
    pub(super) fn get_from(&self, url: &str, start: u64) -> Result<Response<Body>, ureq::Error> {
        self.follow(url, Follow::Everywhere, |agent, url| match start {
            0 => agent.get(url),
            _ => agent.get(url).header(header::RANGE, format!("bytes={start}-")),
        })
    }

    fn patiently(
        &self,
        request: impl Fn() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut attempt = 1;
        loop {
            let answer = request();
            let passing = match &answer {
                Ok(response) => is_passing(response.status().as_u16()),
                Err(error) => matches!(error, ureq::Error::Timeout(_) | ureq::Error::Io(_)) && !is_refused(error),
            };
            if !passing || attempt >= ATTEMPTS {
                return answer;
            }
            self.pause(attempt);
            attempt += 1;
        }
    }

    fn follow(
        &self,
        url: &str,
        follow: Follow,
        build: impl Fn(&Agent, &str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody>,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = build(&self.agent, &url).header(header::ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| same_server(&url, &self.endpoint)) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call()?;
            let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok(response);
            };
            let target = join(&url, location);
            let describes = response.headers().contains_key(LINKED_ETAG) || !same_server(&url, &target);
            if follow == Follow::Description && describes {
                return Ok(response);
            }
            if url.starts_with("https://") && !target.starts_with("https://") {
                return Err(ureq::Error::RequireHttpsOnly(target));
            }
            url = target;
        }
        Err(ureq::Error::TooManyRedirects)
    }
}

/// A status that may be another one in a moment.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Nobody listens there: waiting would not help.
fn is_refused(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Same scheme, host and port.
pub(super) fn same_server(one: &str, other: &str) -> bool {
    match (server(one), server(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

fn server(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_owned();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// The address that `location` means on the page `base` (RFC 3986, without dot segments).
pub(super) fn join(base: &str, location: &str) -> String {
    if location.starts_with("http://") || location.starts_with("https://") {
        return location.to_owned();
    }
    let scheme_end = base.find("://").map_or(0, |position| position + 3);
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{}{rest}", &base[..scheme_end]);
    }
    let host_end = base[scheme_end..].find('/').map_or(base.len(), |position| scheme_end + position);
    if location.starts_with('/') {
        return format!("{}{location}", &base[..host_end]);
    }
    let path = base.split(['?', '#']).next().unwrap_or(base);
    let folder_end = path.rfind('/').filter(|&position| position >= host_end).map_or(path.len(), |slash| slash + 1);
    format!("{}{location}", &path[..folder_end])
}

fn read_certificates(file: &std::path::Path) -> Result<RootCerts, CheckpointError> {
    let pem = std::fs::read(file).map_err(|error| CheckpointError::io(file, "read the root certificates", error))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(CheckpointError::format(file, "holds no certificates in PEM form", Hint::NONE));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined_as_browsers_do() {
        let base = "https://hub.example:8443/org/model/resolve/main/a.json?download=1";
        let cases = [
            ("https://cdn.example/x", "https://cdn.example/x"),
            ("//cdn.example/x", "https://cdn.example/x"),
            ("/api/cache/x?y=1", "https://hub.example:8443/api/cache/x?y=1"),
            ("b.json", "https://hub.example:8443/org/model/resolve/main/b.json"),
        ];
        for (location, expected) in cases {
            assert_eq!(join(base, location), expected);
        }
        assert_eq!(join("https://hub.example", "/x"), "https://hub.example/x");
    }

    #[test]
    fn a_server_is_its_scheme_host_and_port() {
        assert!(same_server("https://Hub.example/a", "https://hub.example:443/b"));
        for other in
            ["http://hub.example/", "https://hub.example:444/", "https://hub.example.evil/", "https://x@evil/", ""]
        {
            assert!(!same_server("https://hub.example", other), "{other}");
        }
        assert!(!same_server("https://hub.example", "https://hub.example@evil/"));
    }
}
