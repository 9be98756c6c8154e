//! The schedule of freeze windows, in which no action may begin.

use jiff::Timestamp;

/// A schedule of times in which the operator allows no eviction.
pub trait FreezeSchedule: Send + Sync {
    /// Returns the freeze window that contains `instant`, in the operator's spelling.
    fn window_at(&self, instant: Timestamp) -> Option<&str>;
}

/// A schedule without any freeze window.
#[derive(Debug, Clone, Copy, Default)]
pub struct NeverFrozen;

impl FreezeSchedule for NeverFrozen {
    fn window_at(&self, _: Timestamp) -> Option<&str> {
        None
    }
}
