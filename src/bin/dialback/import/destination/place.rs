//! Chooses the destination of an import.

use super::daemon::Daemon;
use super::directory::Directory;
use super::{Destination, Tenant};
use crate::commands::remote::Remote;
use crate::data::DataOptions;
use crate::import::error::ImportError;
use crate::import::options::Options;
use dialback::Timestamp;

/// Returns the daemon that `--url` names, or the data directory, or the daemon that holds the data directory. Creates
/// nothing.
pub(in crate::import) fn open<'a>(
    options: &Options,
    data: &'a DataOptions,
    now: Timestamp,
) -> Result<(Box<dyn Destination + 'a>, Tenant), ImportError> {
    let wanted = options.environment.as_deref();
    let at_daemon = |remote: Remote| {
        let (daemon, tenant) = Daemon::open(remote, wanted, options.create_missing, now)?;
        let destination: Box<dyn Destination + 'a> = Box::new(daemon);
        Ok((destination, tenant))
    };
    if let Some(remote) = options.daemon.of_tenant()? {
        return at_daemon(remote);
    }
    let open = || match Directory::open(data, wanted, options.create_missing, now) {
        Ok(opened) => Ok(Some(opened)),
        Err(ImportError::InUse(_)) => Ok(None),
        Err(error) => Err(error),
    };
    match Remote::or_opened(&data.data, open)? {
        Ok((directory, tenant)) => Ok((Box::new(directory), tenant)),
        Err(remote) => at_daemon(remote.importing()),
    }
}
