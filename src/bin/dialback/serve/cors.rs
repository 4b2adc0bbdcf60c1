//! Cross-origin requests (CORS): the pages that may use the API in a browser.

use super::origins::Origins;
use axum::Router;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use dialback::http::EXPOSED;
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may keep the answer to its question. Browsers have smaller limits of their own.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The methods of the API.
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// The header fields that a page may send.
const SENT: [HeaderName; 6] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    IF_MATCH,
    IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-dialback-strict"),
];

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CorsOptions {
    /// Let pages of this origin use the API in a browser, such as `https://console.example`. May be given more than once.
    /// Without it, browsers allow no page of another origin
    #[arg(long, value_name = "ORIGIN", env = "DIALBACK_CORS_ORIGIN", value_delimiter = ',', value_parser = origin)]
    cors_origin: Vec<HeaderValue>,
}

impl CorsOptions {
    /// Returns the router with answers that browsers show to pages of these origins. Without origins, returns it unchanged.
    pub(super) fn around(&self, router: Router) -> Router {
        if self.cors_origin.is_empty() {
            return router;
        }
        // Tokens are in a header field that a page sets, so cookies and other credentials of browsers are never allowed.
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.cors_origin.clone()))
            .allow_methods(METHODS)
            .allow_headers(SENT)
            .expose_headers(EXPOSED)
            .max_age(MAX_AGE);
        router.layer(layer)
    }

    /// Returns the origins, for answers that the router does not make.
    pub(super) fn origins(&self) -> Origins {
        Origins::new(self.cors_origin.clone())
    }
}

/// Reads an origin, and returns it as browsers write it: in lower case, without the usual port.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || "write an origin such as https://console.example: http or https, a host, and a port if it has one";
    let url = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    let (scheme, usual_port) = match url.split_once("://") {
        Some((scheme @ "https", _)) => (scheme, 443),
        Some((scheme @ "http", _)) => (scheme, 80),
        _ => return Err(wrong().into()),
    };
    let parsed: Uri = url.parse().map_err(|_| wrong())?;
    let authority = parsed.authority().ok_or_else(wrong)?;
    let (host, port) = (authority.host(), authority.port_u16());
    let port = port.filter(|port| *port != usual_port).map_or_else(String::new, |port| format!(":{port}"));
    let is_origin = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")) == Some(authority.as_str())
        && !authority.as_str().contains('@')
        && (authority.as_str() == host || authority.port_u16().is_some())
        && !host.is_empty()
        && !host.contains('*');
    if !is_origin {
        return Err(wrong().into());
    }
    HeaderValue::try_from(format!("{scheme}://{host}{port}")).map_err(|_| wrong().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_written_as_browsers_write_it() {
        for (text, expected) in [
            ("https://console.example", "https://console.example"),
            ("HTTPS://Console.Example/", "https://console.example"),
            ("https://console.example:443", "https://console.example"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(origin(text).expect("an origin"), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_origin() {
        for text in [
            "",
            "*",
            "null",
            "console.example",
            "https://",
            "https://*.example",
            "https://console.example/app",
            "https://console.example?x",
            "https://user@console.example",
            "https://console.example:port",
            "ftp://console.example",
            "https://a.example https://b.example",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
