//! The end offsets of the partitions.

use std::sync::atomic::{AtomicU64, Ordering};

/// The end offset of each partition of a topic, counted from the acknowledgements of the broker. No
/// other producer writes to the topic.
#[derive(Debug)]
pub(crate) struct Offsets(Vec<AtomicU64>);

impl Offsets {
    pub(crate) fn new(partitions: usize) -> Self {
        Self((0..partitions).map(|_| AtomicU64::new(0)).collect())
    }

    /// The end offsets, by partition.
    pub(crate) fn ends(&self) -> Vec<u64> {
        let ends = self.0.iter();
        ends.map(|end| end.load(Ordering::Relaxed)).collect()
    }

    /// Enters a record that the broker has acknowledged.
    pub(crate) fn arrived(&self, partition: i32, offset: i64) {
        let place = usize::try_from(partition).ok();
        let end = place.and_then(|place| self.0.get(place));
        if let (Some(end), Ok(offset)) = (end, u64::try_from(offset)) {
            end.fetch_max(offset + 1, Ordering::Relaxed);
        }
    }
}
