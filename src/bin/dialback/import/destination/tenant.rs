//! Finds the environment that calls are imported into.

use super::roster::new_uuid;
use crate::import::error::ImportError;
use dialback::EnvironmentId;

/// The name of the environment that is created if there is none.
const DEFAULT_NAME: &str = "default";

/// The environment to import into.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::import) enum Found {
    Existing(EnvironmentId),
    /// The environment has to be created with this name. A daemon chooses the id itself.
    New(EnvironmentId, String),
}

/// Returns the environment with the wanted id or name, or the only one if none is named. With `create_missing`,
/// a missing environment is a new one. `all` has the id and the name of each environment.
pub(in crate::import) fn find(
    all: Vec<(EnvironmentId, String)>,
    wanted: Option<&str>,
    create_missing: bool,
) -> Result<Found, ImportError> {
    let Some(wanted) = wanted else {
        return match all.as_slice() {
            [(only, _)] => Ok(Found::Existing(*only)),
            [] if create_missing => create(DEFAULT_NAME),
            [] => Err(ImportError::NoEnvironment),
            _ => Err(ImportError::WhichEnvironment(all.into_iter().map(|(_, name)| name).collect())),
        };
    };
    let wanted_id = wanted.parse::<EnvironmentId>().ok();
    if let Some((id, _)) = all.iter().find(|(id, _)| Some(*id) == wanted_id) {
        return Ok(Found::Existing(*id));
    }
    let mut named = all.iter().filter(|(_, name)| name == wanted);
    match (named.next(), named.next()) {
        (Some((only, _)), None) => Ok(Found::Existing(*only)),
        // A mistyped name must not make a second environment, so only the first one is created.
        (None, _) if create_missing && wanted_id.is_none() && all.is_empty() => create(wanted),
        _ => Err(ImportError::UnknownEnvironment(wanted.to_owned())),
    }
}

fn create(name: &str) -> Result<Found, ImportError> {
    Ok(Found::New(EnvironmentId::from(new_uuid()?), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(names: &[&str]) -> Vec<(EnvironmentId, String)> {
        (1..).map(EnvironmentId::from_u128).zip(names.iter().map(|name| (*name).to_owned())).collect()
    }

    #[test]
    fn environment_is_found_by_name_id_or_as_the_only_one() {
        let second = EnvironmentId::from_u128(2);
        for wanted in ["two", &second.to_string()] {
            let found = find(all(&["one", "two"]), Some(wanted), true).expect("found");
            assert_eq!(found, Found::Existing(second));
        }
        let only = find(all(&["one"]), None, false).expect("found");
        assert_eq!(only, Found::Existing(EnvironmentId::from_u128(1)));
    }

    #[test]
    fn only_the_first_environment_is_created() {
        for (wanted, name) in [(None, "default"), (Some("acme"), "acme")] {
            assert!(matches!(find(Vec::new(), wanted, true), Ok(Found::New(_, created)) if created == name));
            assert!(find(Vec::new(), wanted, false).is_err());
        }
        assert!(matches!(find(all(&["acme"]), Some("acm"), true), Err(ImportError::UnknownEnvironment(_))));
        assert!(matches!(find(all(&["one", "two"]), None, true), Err(ImportError::WhichEnvironment(_))));
        assert!(matches!(find(all(&["one", "one"]), Some("one"), true), Err(ImportError::UnknownEnvironment(_))));
    }
}
