//! Removing expired registers, and all records of deleted environments, while the storage engine rewrites its files.

use crate::history::Register;
use crate::slot::Scope;
use crate::store::calls::{time_of_call, time_of_id};
use crate::store::records::keys::unpack_scope;
use crate::store::records::record_key;
use crate::store::records::register::read_register;
use crate::store::records::tally_key;
use crate::store::records::webhook_key;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Timestamp;
use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};
use std::sync::{Arc, OnceLock};

/// The expiry floor: registers below it have expired. It only rises, and is zero until a service with a clock sets it.
#[derive(Clone, Default)]
pub(in crate::store) struct Floor(Arc<AtomicU64>);

impl Floor {
    pub(in crate::store) fn raise(&self, floor: Register) {
        // Relaxed: the floor is a single word, and it does not matter when a running compaction sees a new one.
        self.0.fetch_max(floor.bits(), Ordering::Relaxed);
    }

    /// Returns whether this register has expired.
    pub(in crate::store) fn is_above(&self, register: Register) -> bool {
        register.bits() < self.bits()
    }

    /// Returns whether calls of this time have expired.
    pub(in crate::store) fn is_after(&self, at: Timestamp) -> bool {
        self.is_above(Register::floor(at))
    }

    fn bits(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The scopes of deleted environments, whose records have no meaning any more. The set only grows. It is empty until a
/// service has read the configurations.
#[derive(Clone, Default)]
pub(in crate::store) struct RetiredScopes(Arc<OnceLock<Box<[AtomicU64]>>>);

impl RetiredScopes {
    pub(in crate::store) fn insert(&self, scopes: &[Scope]) {
        let words = self.0.get_or_init(|| (0..Scope::LIMIT / 64).map(|_| AtomicU64::new(0)).collect());
        for scope in scopes.iter().map(|scope| scope.bits()) {
            // Relaxed: it does not matter when a running compaction sees it.
            words[scope as usize / 64].fetch_or(1 << (scope % 64), Ordering::Relaxed);
        }
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    pub(in crate::store) fn contains(&self, scope: Scope) -> bool {
        let (word, bit) = (scope.bits() as usize / 64, scope.bits() % 64);
        self.0.get().is_some_and(|words| words[word].load(Ordering::Relaxed) >> bit & 1 != 0)
    }
}

/// Creates the compaction filters that the engine requests.
pub(in crate::store) struct Expiry {
    registers: Arc<RegistersFactory>,
    statistics: Arc<EnvironmentsFactory>,
    calls: Arc<CallsFactory>,
    ids: Arc<CallsFactory>,
    records: Arc<EnvironmentsFactory>,
    webhooks: Arc<EnvironmentsFactory>,
}

impl Expiry {
    pub(in crate::store) fn new(floor: &Floor, retired: &RetiredScopes) -> Self {
        let registers = RegistersFactory { floor: floor.clone(), retired: retired.clone() };
        let of_calls =
            |time: TimeOf, may_rise| CallsFactory { floor: floor.clone(), retired: retired.clone(), time, may_rise };
        let of_environments = |name, environment: EnvironmentOf| {
            Arc::new(EnvironmentsFactory { name, retired: retired.clone(), environment })
        };
        let of_record = |item: &ItemAccessor<'_>| {
            let value = item.value()?;
            Ok(record_key::environment(item.key(), || value.first_chunk().copied()))
        };
        Self {
            registers: Arc::new(registers),
            statistics: of_environments("environments", |item| Ok(tally_key::environment(item.key()).map(Scope::from))),
            // Expired ones are removed by steps that also count them.
            records: of_environments("record environments", of_record),
            webhooks: of_environments("webhook environments", |item| Ok(webhook_key::environment(item.key()))),
            calls: Arc::new(of_calls(|item| Ok(time_of_call(item.key())), false)),
            ids: Arc::new(of_calls(|item| Ok(time_of_id(&item.value()?)), true)),
        }
    }

    /// Returns the filter of a keyspace whose entries expire or belong to environments, or `None` for other keyspaces.
    pub(in crate::store) fn filter(&self, keyspace: &str) -> Option<Arc<dyn Factory>> {
        match keyspace {
            "registers" | "erasures" => Some(Arc::clone(&self.registers) as Arc<dyn Factory>),
            "statistics" => Some(Arc::clone(&self.statistics) as Arc<dyn Factory>),
            "contexts" => Some(Arc::clone(&self.calls) as Arc<dyn Factory>),
            "call_ids" => Some(Arc::clone(&self.ids) as Arc<dyn Factory>),
            "records" | "feed" => Some(Arc::clone(&self.records) as Arc<dyn Factory>),
            "webhooks" => Some(Arc::clone(&self.webhooks) as Arc<dyn Factory>),
            _ => None,
        }
    }
}

struct RegistersFactory {
    floor: Floor,
    retired: RetiredScopes,
}

impl Factory for RegistersFactory {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(LiveRegisters { floor: self.floor.bits(), retired: self.retired.clone() })
    }
}

struct LiveRegisters {
    floor: u64,
    retired: RetiredScopes,
}

impl CompactionFilter for LiveRegisters {
    /// Removes registers that have expired or belong to a deleted environment. An older value of the same key may become
    /// visible. It is as invalid: a register only rises, and a scope stays retired.
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let scope = item.key().first_chunk().and_then(|scope| unpack_scope(*scope));
        if scope.is_some_and(|scope| self.retired.contains(scope)) {
            return Ok(Verdict::Destroy);
        }
        let is_expired = read_register(&item.value()?).is_some_and(|register| register.bits() < self.floor);
        Ok(if is_expired { Verdict::Destroy } else { Verdict::Keep })
    }
}

/// Reads the time of the call that an item is about.
type TimeOf = fn(&ItemAccessor<'_>) -> Result<Option<Timestamp>, fjall::LsmError>;

struct CallsFactory {
    floor: Floor,
    retired: RetiredScopes,
    time: TimeOf,
    /// Whether an older value of a key may have a later time.
    may_rise: bool,
}

impl Factory for CallsFactory {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        // All items of one run are compared with one floor.
        let floor = Floor(Arc::new(AtomicU64::new(self.floor.bits())));
        Box::new(LiveCalls { floor, retired: self.retired.clone(), time: self.time, may_rise: self.may_rise })
    }
}

struct LiveCalls {
    floor: Floor,
    retired: RetiredScopes,
    time: TimeOf,
    may_rise: bool,
}

impl CompactionFilter for LiveCalls {
    /// Removes calls that have expired or belong to a deleted environment. An older value of the same key may become visible.
    /// For a call it has the same time, so it has expired, too. The older value of an id may be about a later call, so an id
    /// is removed only in the last level, together with its older values. A removal in another level would keep the id
    /// itself, and no purge would know of it.
    fn filter_item(&mut self, item: ItemAccessor<'_>, context: &Context) -> CompactionFilterResult {
        let scope = item.key().first_chunk().and_then(|scope| unpack_scope(*scope));
        if scope.is_some_and(|scope| self.retired.contains(scope)) {
            return Ok(Verdict::Destroy);
        }
        let is_expired = (self.time)(&item)?.is_some_and(|at| self.floor.is_after(at));
        Ok(match () {
            () if !is_expired => Verdict::Keep,
            () if !self.may_rise => Verdict::Destroy,
            () if context.is_last_level => Verdict::Remove,
            () => Verdict::Keep,
        })
    }
}

/// Returns the environment that an item belongs to.
type EnvironmentOf = fn(&ItemAccessor<'_>) -> Result<Option<Scope>, fjall::LsmError>;

/// For keyspaces whose items belong to environments, and expire otherwise or not at all.
struct EnvironmentsFactory {
    name: &'static str,
    retired: RetiredScopes,
    environment: EnvironmentOf,
}

impl Factory for EnvironmentsFactory {
    fn name(&self) -> &'static str {
        self.name
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(LiveEnvironments { retired: self.retired.clone(), environment: self.environment })
    }
}

/// Removes the items of deleted environments.
struct LiveEnvironments {
    retired: RetiredScopes,
    environment: EnvironmentOf,
}

impl CompactionFilter for LiveEnvironments {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        if self.retired.is_empty() {
            return Ok(Verdict::Keep);
        }
        let is_retired = (self.environment)(&item)?.is_some_and(|scope| self.retired.contains(scope));
        Ok(if is_retired { Verdict::Destroy } else { Verdict::Keep })
    }
}
