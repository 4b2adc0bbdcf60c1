//! Names of the points at which a growth can be stopped, so that tests can stop it there.

/// A point in a growth.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Step {
    /// The successor's size is computed.
    Sized,
    /// The successor has one more chunk.
    Building,
    /// The successor is built, and no other thread knows it.
    Built,
    /// The successor is linked.
    Linked,
    /// A block is assigned and not begun.
    Taken,
    /// An empty slot is about to be sealed.
    Sealing,
    /// A register is in the next table and has not ended in this one.
    Copied,
    /// A block is moved completely, and not marked as done.
    Moved,
    /// A block is moved completely, and marked as done.
    Marked,
    /// All blocks are marked as done.
    Finishing,
    /// The next version is marked as intact, and is not the current one yet.
    MarkedIntact,
    /// The version was exchanged, and the old table is not retired yet.
    Finished,
    /// A retired table was taken from the stack, to be given back.
    GivingBack,
}

#[cfg(test)]
impl Step {
    /// All steps, in the order of a growth.
    pub(crate) const ALL: [Step; 13] = [
        Step::Sized,
        Step::Building,
        Step::Built,
        Step::Linked,
        Step::Taken,
        Step::Sealing,
        Step::Copied,
        Step::Moved,
        Step::Marked,
        Step::Finishing,
        Step::MarkedIntact,
        Step::Finished,
        Step::GivingBack,
    ];
}

#[cfg(all(test, not(loom)))]
mod hook {
    use super::Step;
    use std::cell::RefCell;

    type Hook = Box<dyn FnMut(Step)>;

    thread_local!(static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) });

    /// Makes this thread call `hook` at every step of a growth that it takes.
    pub(crate) fn on_step(hook: impl FnMut(Step) + 'static) {
        HOOK.with(|slot| *slot.borrow_mut() = Some(Box::new(hook)));
    }

    #[inline]
    pub(crate) fn step(step: Step) {
        HOOK.with(|slot| {
            if let Ok(mut hook) = slot.try_borrow_mut()
                && let Some(hook) = hook.as_mut()
            {
                hook(step);
            }
        });
    }
}

#[cfg(all(test, not(loom)))]
pub(crate) use hook::on_step;
#[cfg(all(test, not(loom)))]
pub(crate) use hook::step;

#[cfg(not(all(test, not(loom))))]
#[inline(always)]
pub(crate) fn step(_: Step) {}
