//! The certificates of connections to the servers.

use super::error::engine;
use crate::fleet::StreamError;
use async_nats::ConnectOptions;
use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::{self, PemObject};
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of certificates, in PEM. They are read again for each connection, so certificates can be replaced while
/// the node runs.
#[derive(Clone, Default, Debug)]
pub struct Certificates {
    /// The authorities that sign the servers' certificates, in place of the system's.
    pub authorities: Option<PathBuf>,
    /// The certificate that the node shows to the servers, and its private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.authorities.is_none() && self.client.is_none()
    }

    /// Reads each file, and checks that its content can be used.
    pub(super) fn check(&self) -> Result<(), StreamError> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.authorities {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, error))?;
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(engine)?
            .with_root_certificates(roots);
        if let Some((file, key)) = &self.client {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
            builder.with_client_auth_cert(certificates(file)?, private).map_err(|error| unusable(key, error))?;
        }
        Ok(())
    }

    pub(super) fn add_to(&self, mut options: ConnectOptions) -> ConnectOptions {
        if let Some(file) = &self.authorities {
            options = options.add_root_certificates(file.clone());
        }
        if let Some((certificate, key)) = &self.client {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        options
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, StreamError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unreadable(file, &error))?;
    if read.is_empty() { Err(unusable(file, "the file contains no certificate")) } else { Ok(read) }
}

/// Describes the error without showing the file's content.
fn unreadable(file: &Path, error: &pem::Error) -> StreamError {
    match error {
        pem::Error::Io(error) => unusable(file, error),
        pem::Error::NoItemsFound => unusable(file, "the file contains no PEM item of the required kind"),
        _ => unusable(file, "the file is not PEM or is damaged"),
    }
}

fn unusable(file: &Path, what: impl Display) -> StreamError {
    engine(format_args!("{}: {what}", file.display()))
}
