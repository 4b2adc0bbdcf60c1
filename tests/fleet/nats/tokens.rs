//! An operator, an account and a user whose JWTs a server accepts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

pub(crate) struct Issuers {
    operator: KeyPair,
    account: KeyPair,
    user: KeyPair,
}

impl Issuers {
    pub(crate) fn new() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account(), user: KeyPair::new_user() }
    }

    /// Returns the part of a server's configuration that makes it accept this operator's users.
    pub(crate) fn configuration(&self) -> String {
        let operator = token(&self.operator, &self.operator, &json!({ "type": "operator", "version": 2 }));
        let limits = json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1 });
        let account = json!({ "type": "account", "version": 2, "limits": limits });
        let account = token(&self.account, &self.operator, &account);
        // JetStream needs a system account.
        let system = KeyPair::new_account();
        let key = system.public_key();
        let system = token(&system, &self.operator, &json!({ "type": "account", "version": 2, "limits": {} }));
        format!(
            "operator: {operator}\nsystem_account: {key}\nresolver: MEMORY\n\
             resolver_preload: {{ {}: {account}, {key}: {system} }}\n",
            self.account.public_key()
        )
    }

    /// Returns the content of the user's credentials file.
    pub(crate) fn credentials(&self) -> String {
        let user = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        let (user, seed) = (token(&self.user, &self.account, &user), self.user.seed().expect("it has one"));
        format!(
            "-----BEGIN NATS USER JWT-----\n{user}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

fn token(subject: &KeyPair, issuer: &KeyPair, nats: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let claims = json!({ "jti": "x", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject.public_key(), "nats": nats });
    let signed = format!("{header}.{}", part(&claims));
    let signature = issuer.sign(signed.as_bytes()).expect("signed");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
