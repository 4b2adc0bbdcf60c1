//! Reads certificates and private keys from PEM files.

use crate::failure::Failure;
use std::path::Path;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Returns the certificates of the file, at least one.
///
/// # Errors
/// The file cannot be read, is damaged, or has no certificate.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read: Vec<_> = read.map_err(|error| unreadable(path, &error))?;
    if read.is_empty() {
        return Err(unusable(path, "the file contains no certificate"));
    }
    Ok(read)
}

/// Returns the private key of the file.
///
/// # Errors
/// The file cannot be read, is damaged, or has no private key.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(path, &error))
}

/// Returns the failure that names the file and says what is wrong with it.
pub(crate) fn unusable(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {what}", path.display()))
}

/// Describes the error without showing the file's contents.
fn unreadable(path: &Path, error: &Error) -> Failure {
    match error {
        Error::Io(error) => unusable(path, error),
        Error::NoItemsFound => unusable(path, "the file contains no PEM item of the required kind"),
        _ => unusable(path, "the file is not PEM or is damaged"),
    }
}
