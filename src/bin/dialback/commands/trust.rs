//! The certificates that a command trusts when it connects to a daemon with TLS.

use crate::failure::Failure;
use crate::pem_file::{self, unusable};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The environment variable with the file of certificates for `https://`.
const CA: &str = "DIALBACK_CA";

/// Returns the settings of connections that trust the certificates of the file only. Without a file, they trust those of
/// the file that the environment variable names, or those of this system.
///
/// # Errors
/// The file has no certificate that can be used, or the system has none.
pub(crate) fn settings(ca: Option<&Path>) -> Result<TlsConfig, Failure> {
    let variable = std::env::var_os(CA).filter(|file| !file.is_empty()).map(PathBuf::from);
    let trusted = match ca.or(variable.as_deref()) {
        Some(file) => of_file(file)?,
        None => of_system()?,
    };
    let trusted = trusted.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
    let settings = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(trusted.collect())));
    Ok(settings.unversioned_rustls_crypto_provider(Arc::new(ring::default_provider())).build())
}

fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates = pem_file::certificates(path)?;
    // The client leaves out a certificate that it cannot use.
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|_| unusable(path, "the file contains a damaged certificate"))?;
    }
    Ok(certificates)
}

fn of_system() -> Result<Vec<CertificateDer<'static>>, Failure> {
    // Some files of a system may be unreadable. The certificates of the others count.
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return Err(Failure::new(
            "this system has no trusted certificates: name a PEM file with that of the daemon's authority with --ca (a \
             self-signed certificate is its own)",
        ));
    }
    Ok(found)
}

/// Returns why the daemon's certificate or its TLS is rejected. `None` if the error is about something else.
///
/// The client sends a request only after it has verified the certificate.
pub(crate) fn rejection(error: &ureq::Error) -> Option<String> {
    let error = match error {
        ureq::Error::Rustls(error) => error,
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref::<Error>()?,
        _ => return None,
    };
    Some(match error {
        Error::InvalidCertificate(wrong) => why(wrong),
        Error::InvalidMessage(_) => "what listens there does not speak TLS: check the port".to_owned(),
        other => format!("the TLS connection failed: {other}"),
    })
}

fn why(wrong: &CertificateError) -> String {
    match wrong {
        // The second one: an authority with the name of a trusted one, such as a former one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no trusted authority issued its certificate: name a PEM file with the authority's own certificate with --ca"
                .to_owned()
        }
        // The verifier has no variant for it, and its error is of a package that it does not export.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is an authority's: the daemon needs one with `basicConstraints=CA:FALSE`".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "its certificate is for no host: the daemon needs one with `subjectAltName`".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("its certificate is not for the host of --url, but for {}", presented.join(", "))
        }
        CertificateError::NotValidForName => "its certificate is not for the host of --url".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: renew it, or set this machine's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: set this machine's clock".to_owned()
        }
        other => format!("its certificate is rejected: {other}"),
    }
}
