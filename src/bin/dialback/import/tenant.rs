//! Finds the environment that calls are imported into.

use super::error::ImportError;
use super::roster::new_uuid;
use dialback::{Change, DialPlan, EnvironmentId, Lookback, Service, Timestamp};

/// The name of the environment that is created if there is none.
const DEFAULT_NAME: &str = "default";

/// Returns the environment with the wanted id or name, or the only one if none is named. With `create_missing`,
/// creates it if it is missing.
pub(super) fn find(
    service: &Service,
    wanted: Option<&str>,
    create_missing: bool,
    now: Timestamp,
) -> Result<EnvironmentId, ImportError> {
    let plan = service.plan();
    let Some(wanted) = wanted else {
        let all: Vec<_> = plan.environments().collect();
        return match all.as_slice() {
            [only] => Ok(only.id()),
            [] if create_missing => create(service, DEFAULT_NAME, now),
            [] => Err(ImportError::NoEnvironment),
            _ => Err(ImportError::WhichEnvironment(all.iter().map(|one| one.name().to_owned()).collect())),
        };
    };
    let id = wanted.parse::<EnvironmentId>().ok();
    if let Some(environment) = id.and_then(|id| plan.environment(id)) {
        return Ok(environment.id());
    }
    let mut named = plan.environments().filter(|environment| environment.name() == wanted);
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only.id()),
        (None, _) if create_missing && id.is_none() => create(service, wanted, now),
        _ => Err(ImportError::UnknownEnvironment(wanted.to_owned())),
    }
}

fn create(service: &Service, name: &str, now: Timestamp) -> Result<EnvironmentId, ImportError> {
    let id = EnvironmentId::from(new_uuid()?);
    let (name, dial_plan, lookback) = (name.to_owned(), DialPlan::NONE, Lookback::default());
    service.configure(id, now, move |_| Ok(vec![Change::EnvironmentSet { name, dial_plan, lookback }]))?;
    Ok(id)
}
