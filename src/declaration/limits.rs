//! The limits of names and look-backs, for a document and for the control API.

/// The maximum number of characters of a name or label.
pub(crate) const MAX_NAME: usize = 255;

/// The maximum look-back in days: ten years. The history keeps calls for the longest look-back, so it needs a limit.
pub(crate) const MAX_LOOKBACK_DAYS: u32 = 3650;

/// The minimum look-back in seconds.
pub(crate) const MIN_LOOKBACK_SECONDS: u32 = 60;

/// The maximum size of the steps of a comparison as JSON: some ten thousand usual ones.
pub(super) const MAX_STEP_BYTES: usize = 1 << 20;
