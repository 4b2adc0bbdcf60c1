//! A server that anyone may use, or one with a login and TLS, and the clients that it accepts.

use crate::bare::Bare;
use crate::meter::Meter;
use crate::support::certificates::Certificates;
use crate::support::nats::NatsServer;
use async_nats::ConnectOptions;
use dialback::fleet::nats::{self, Login, NatsOptions};

const USER: &str = "gateway";
const PASSWORD: &str = "the-gateways-secret";

pub(crate) struct Access {
    pub(crate) name: &'static str,
    server: NatsServer,
    /// The authority of the server's certificate, if it has one.
    certificates: Option<Certificates>,
}

impl Access {
    pub(crate) fn open() -> Self {
        let server = NatsServer::start_with("jetstream { store_dir: \"STORE\" }");
        Self { name: "open", server, certificates: None }
    }

    pub(crate) fn with_login_and_tls() -> Self {
        let certificates = Certificates::new();
        certificates.issue("server");
        let server = NatsServer::start_with(&format!(
            "jetstream {{ store_dir: \"STORE\" }}\n\
             tls {{ cert_file: \"{0}/server.pem\", key_file: \"{0}/server.key\" }}\n\
             authorization {{ users: [{{ user: {USER}, password: {PASSWORD} }}] }}",
            certificates.directory().display()
        ));
        Self { name: "login, TLS", server, certificates: Some(certificates) }
    }

    /// Returns a meter of this process and the server's.
    pub(crate) fn meter(&self) -> Meter {
        Meter::new(self.server.id())
    }

    pub(crate) fn bare(&self) -> Bare {
        let options = match &self.certificates {
            None => ConnectOptions::new(),
            Some(certificates) => ConnectOptions::new()
                .user_and_password(USER.into(), PASSWORD.into())
                .add_root_certificates(certificates.authority())
                .require_tls(true),
        };
        Bare::with(&self.server.url(), options)
    }

    pub(crate) fn options(&self) -> NatsOptions {
        let mut options = NatsOptions::new(self.server.url());
        if let Some(certificates) = &self.certificates {
            options.login = Login::Password { user: USER.into(), password: PASSWORD.into() };
            options.certificates = nats::Certificates { authorities: Some(certificates.authority()), client: None };
        }
        options
    }
}
