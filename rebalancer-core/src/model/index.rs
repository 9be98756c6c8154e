//! Typed indices.

/// Index of a pod in the list of pods of a snapshot.
///
/// A pod also has a rank among the pods that are ordered by load, and an index in the model of its
/// consumer group. The type keeps them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodIndex(usize);

impl PodIndex {
    /// Wraps a plain index.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// The plain index.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

impl From<PodIndex> for usize {
    fn from(index: PodIndex) -> Self {
        index.0
    }
}
