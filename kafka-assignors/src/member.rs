//! Members of a group, as an assignor sees them.

use std::sync::Arc;

/// The topics a member wants, by their places in [`Topics`](super::Topics), ascending. Cheap to
/// clone: in most groups all members share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Subscription(Arc<[usize]>);

impl Subscription {
    /// A subscription to these topics; order and repetition do not matter.
    #[must_use]
    pub fn new(topics: impl IntoIterator<Item = usize>) -> Self {
        let mut topics: Vec<usize> = topics.into_iter().collect();
        topics.sort_unstable();
        topics.dedup();
        Self(topics.into())
    }

    /// The topics, ascending.
    #[must_use]
    pub fn topics(&self) -> &[usize] {
        &self.0
    }

    /// Whether a topic is among them.
    #[must_use]
    pub fn contains(&self, topic: usize) -> bool {
        self.0.binary_search(&topic).is_ok()
    }
}

/// A member of a group. Elsewhere it is known by its place in a list of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id that the coordinator or the client gave it.
    pub id: String,
    /// `group.instance.id` of a static member.
    pub instance: Option<String>,
    /// What it wants.
    pub subscription: Subscription,
}

/// All members want the same topics.
#[must_use]
pub fn subscribed_alike(members: &[Member]) -> bool {
    members
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.subscription == b.subscription))
}
