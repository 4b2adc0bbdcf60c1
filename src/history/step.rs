//! Names for the places where a growth can be stopped, so that tests can stop it there.

/// A place in a growth.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// The successor's size is known.
    Sized,
    /// The successor has one more chunk.
    Building,
    /// The successor is ready, and nobody else knows it.
    Built,
    /// The successor is known.
    Linked,
    /// A block is taken and not begun.
    Taken,
    /// An empty slot is about to be sealed.
    Sealing,
    /// A register is in the next table and has not ended in this one.
    Copied,
    /// All of a block is moved, and not noted.
    Moved,
    /// All of a block is moved, and noted.
    Marked,
    /// All blocks are noted.
    Finishing,
    /// The next version is said to be calm, and is not the current one yet.
    Calmed,
    /// The version was exchanged, the old table not retired.
    Finished,
    /// A retired table is in hand.
    GivingBack,
}

impl Step {
    /// All of them, in the order of a growth.
    pub const ALL: [Step; 13] = [
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
        Step::Calmed,
        Step::Finished,
        Step::GivingBack,
    ];
}

#[cfg(all(any(test, feature = "__testing"), not(loom)))]
mod hook {
    use super::Step;
    use std::cell::RefCell;

    type Hook = Box<dyn FnMut(Step)>;

    thread_local!(static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) });

    /// Has this thread call `hook` at every step of a growth that it takes.
    pub fn on_step(hook: impl FnMut(Step) + 'static) {
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

#[cfg(all(any(test, feature = "__testing"), not(loom)))]
pub use hook::on_step;
#[cfg(all(any(test, feature = "__testing"), not(loom)))]
pub(crate) use hook::step;

#[cfg(not(all(any(test, feature = "__testing"), not(loom))))]
#[inline(always)]
pub(crate) fn step(_: Step) {}
