//! Serves TLS if the operator configured a certificate.

use super::certificate::Certificate;
use super::http2;
use crate::failure::Failure;
use crate::pem_file;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{self, ServerConfig};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TlsOptions {
    /// Serve over TLS 1.2 and 1.3 with this certificate: a PEM file with the certificate and its chain
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "DIALBACK_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key: a PEM file that only the daemon's user should be able to read
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "DIALBACK_TLS_KEY")]
    tls_key: Option<PathBuf>,
}

impl TlsOptions {
    /// Reads both files. Returns `None` if TLS is not configured.
    pub(crate) fn certificate(&self) -> Result<Option<Certificate>, Failure> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let (chain, private) = (pem_file::certificates(cert)?, pem_file::private_key(key)?);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
        let mut config = config.map_err(|error: rustls::Error| pem_file::unusable(key, error))?;
        config.alpn_protocols = vec![http2::ALPN.to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Certificate::new(config)))
    }
}
