//! Plans that are no longer current.

use super::Plan;
use std::sync::Arc;

/// Replaced plans that readers may still hold. The thread that changes the plan keeps them, so that a reader which
/// drops its plan is never the last owner. No reader therefore pays for freeing thousands of chunks during a call. The
/// last replaced plan stays here until the next change.
#[derive(Default, Debug)]
pub(crate) struct Retired(Vec<Arc<Plan>>);

impl Retired {
    /// Adds the plan that was just replaced, and frees the plans that no reader holds.
    pub(crate) fn keep(&mut self, plan: Arc<Plan>) {
        self.0.retain(|held| Arc::strong_count(held) > 1);
        self.0.push(plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_plan_is_freed_by_a_later_change_and_not_by_its_reader() {
        let mut retired = Retired::default();
        let reader = Arc::new(Plan::new());
        let plan = Arc::downgrade(&reader);
        retired.keep(Arc::clone(&reader));
        retired.keep(Arc::new(Plan::new()));
        assert!(plan.upgrade().is_some(), "it is still read");
        drop(reader);
        assert!(plan.upgrade().is_some(), "its reader does not free it");
        retired.keep(Arc::new(Plan::new()));
        assert!(plan.upgrade().is_none(), "the next change does");
    }
}
