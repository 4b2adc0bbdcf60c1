//! Plans that are no longer current.

use super::Plan;
use std::sync::Arc;

/// Plans that somebody may still be reading, kept by whoever changes the plan: a reader that lets go of one is never the last to hold
/// it, so none pays for freeing thousands of chunks in the middle of a call. One plan stays here until the next change.
#[derive(Default, Debug)]
pub(crate) struct Retired(Vec<Arc<Plan>>);

impl Retired {
    /// Takes a plan that has just been replaced, and frees those that nobody reads any more.
    pub(crate) fn keep(&mut self, plan: Arc<Plan>) {
        self.0.retain(|held| Arc::strong_count(held) > 1);
        self.0.push(plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_freed_by_a_later_change_and_never_by_its_reader() {
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
