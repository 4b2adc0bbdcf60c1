//! Certificates for servers and clients on this machine, signed by an authority of the test.
#![allow(dead_code, unreachable_pub)]

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// A directory with `ca.pem`, and `NAME.pem` and `NAME.key` for each name.
pub struct Certificates {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Dialback test authority");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("written");
        Self { directory, issuer: Issuer::new(params, key) }
    }

    /// Writes a certificate for this name and for 127.0.0.1, with its key.
    pub fn issue(&self, name: &str) {
        self.issue_changed(name, |_| {});
    }

    /// Writes such a certificate after a change.
    pub fn issue_changed(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("written");
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("written");
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Returns the path of the directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}
