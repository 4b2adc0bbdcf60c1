//! How a node proves its identity to the servers.

use super::error::engine;
use crate::fleet::StreamError;
use async_nats::{ConnectOptions, ServerAddr};
use nkeys::{KeyPair, KeyPairType};
use percent_encoding::percent_decode_str;
use std::fmt;

/// A login. All servers of a fleet get the same one. Its `Debug` output contains no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Login {
    /// No login, or the client's certificate only.
    #[default]
    None,
    /// A user and its password.
    Password {
        /// The name of the user.
        user: String,
        /// The password of the user.
        password: String,
    },
    /// A token.
    Token(String),
    /// The content of a credentials file: a user's JWT and the seed of its NKEY.
    Credentials(String),
    /// The seed of a user's NKEY.
    Nkey(String),
}

impl Login {
    /// Parses a login file: two lines are a user and a password, one line is a token.
    ///
    /// # Errors
    /// Returns [`StreamError::Engine`] if the text has another form.
    pub fn from_lines(text: &str) -> Result<Self, StreamError> {
        let lines: Vec<&str> = text.lines().collect();
        match lines[..] {
            [token] if !token.is_empty() => Ok(Self::Token(token.to_owned())),
            [user, password] if !user.is_empty() && !password.is_empty() => {
                Ok(Self::Password { user: user.to_owned(), password: password.to_owned() })
            }
            _ => Err(engine(
                "not a login: write the user in the first line and the password in the second, or a token in the only line",
            )),
        }
    }

    /// Parses a credentials file.
    ///
    /// # Errors
    /// Returns [`StreamError::Engine`] if the text contains no JWT or no valid seed.
    pub fn from_credentials(text: &str) -> Result<Self, StreamError> {
        match ConnectOptions::new().credentials(text) {
            Ok(_) => Ok(Self::Credentials(text.to_owned())),
            Err(_) => Err(engine("not a credentials file: it needs a user JWT and the seed of its NKEY")),
        }
    }

    /// Parses a file with the seed of a user's NKEY. Lines that begin with `#` or `-` are comments.
    ///
    /// # Errors
    /// Returns [`StreamError::Engine`] if there is no seed, or if the seed is not one of a user.
    pub fn from_seed(text: &str) -> Result<Self, StreamError> {
        let is_seed = |line: &&str| !line.is_empty() && !line.starts_with(['#', '-']);
        let seed = text.lines().map(str::trim).find(is_seed).unwrap_or_default();
        match KeyPair::from_seed(seed) {
            Ok(pair) if pair.key_pair_type() == KeyPairType::User => Ok(Self::Nkey(seed.to_owned())),
            _ => Err(engine("not the seed of a user's NKEY: it begins with SU")),
        }
    }

    /// Returns the login in a server's URL. A user without a password is a token.
    pub(super) fn from_url(url: &ServerAddr) -> Result<Self, StreamError> {
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| engine("the login in a server's URL is not UTF-8"))
        };
        Ok(match (url.username(), url.password()) {
            (None, None) => Self::None,
            (Some(token), None) => Self::Token(decoded(token)?),
            (user, Some(password)) => {
                Self::Password { user: decoded(user.unwrap_or_default())?, password: decoded(password)? }
            }
        })
    }

    pub(super) fn add_to(&self, options: ConnectOptions) -> Result<ConnectOptions, StreamError> {
        Ok(match self.clone() {
            Self::None => options,
            Self::Password { user, password } => options.user_and_password(user, password),
            Self::Token(token) => options.token(token),
            Self::Credentials(text) => options.credentials(&text).map_err(|_| engine("invalid credentials"))?,
            Self::Nkey(seed) => options.nkey(seed),
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
            Self::Credentials(_) => "Credentials",
            Self::Nkey(_) => "Nkey",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(user: &str, password: &str) -> Login {
        Login::Password { user: user.into(), password: password.into() }
    }

    #[test]
    fn a_login_file_has_one_line_or_two() {
        assert_eq!(Login::from_lines("s3cret\n").ok(), Some(Login::Token("s3cret".into())));
        assert_eq!(Login::from_lines("me\r\na b:c@\n").ok(), Some(password("me", "a b:c@")));
        for wrong in ["", "\n", "me\n\n", "\nsecret", "me\nsecret\nmore\n"] {
            let refused = Login::from_lines(wrong).expect_err(wrong).to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn the_login_in_a_url_is_percent_decoded() {
        let of = |url: &str| Login::from_url(&url.parse().expect("a URL")).ok();
        assert_eq!(of("nats://host:4222"), Some(Login::None));
        assert_eq!(of("tls://me:p%40ss%2F%3A@host"), Some(password("me", "p@ss/:")));
        assert_eq!(of("nats://t%C3%B6ken@host"), Some(Login::Token("töken".into())));
        assert_eq!(of("nats://:only@host"), Some(password("", "only")));
        assert_eq!(of("nats://me:%ff@host"), None);
    }

    #[test]
    fn a_seed_must_be_one_of_a_user() {
        let seed = KeyPair::new_user().seed().expect("it has one");
        let decorated = format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n");
        for text in [seed.clone(), format!("# ours\n {seed} \n"), decorated] {
            assert_eq!(Login::from_seed(&text).ok(), Some(Login::Nkey(seed.clone())));
        }
        let account = KeyPair::new_account().seed().expect("it has one");
        for wrong in ["", "# nothing", &seed[..20], &account] {
            let refused = Login::from_seed(wrong).expect_err("refused").to_string();
            assert!(wrong.is_empty() || !refused.contains(wrong), "{refused}");
        }
    }

    #[test]
    fn credentials_need_a_jwt_and_a_seed() {
        let seed = KeyPair::new_user().seed().expect("it has one");
        let part = |name: &str, held: &str| format!("-----BEGIN {name}-----\n{held}\n------END {name}------\n\n");
        let (jwt, key) = (part("NATS USER JWT", "eyJ0.e30.c2ln"), part("USER NKEY SEED", &seed));
        assert!(Login::from_credentials(&format!("{jwt}{key}")).is_ok());
        for wrong in [String::new(), jwt.clone(), key.clone(), format!("{jwt}{}", part("USER NKEY SEED", "SUSECRET"))] {
            let refused = Login::from_credentials(&wrong).expect_err("refused").to_string();
            assert!(!refused.contains("SU"), "{refused}");
        }
    }

    #[test]
    fn debug_output_contains_no_secret() {
        let shown = [password("me", "secret"), Login::Token("secret".into()), Login::Nkey("secret".into())];
        assert_eq!(format!("{shown:?}"), "[Password, Token, Nkey]");
    }
}
