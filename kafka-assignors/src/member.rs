//! Members of a group, as an assignor sees them.

use std::sync::Arc;

use crate::{TopicIndex, Topics};

/// The topics that a member subscribes to, ascending. A clone shares the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Subscription(Arc<[TopicIndex]>);

impl Subscription {
    /// A subscription to these topics. Order and repetition have no effect.
    #[must_use]
    pub fn new(topics: impl IntoIterator<Item = TopicIndex>) -> Self {
        let mut topics: Vec<TopicIndex> = topics.into_iter().collect();
        topics.sort_unstable();
        topics.dedup();
        Self(topics.into())
    }

    /// A subscription to all topics.
    #[must_use]
    pub fn all(topics: &Topics) -> Self {
        Self(topics.indices().collect())
    }

    /// The topics, ascending.
    #[must_use]
    pub fn topics(&self) -> &[TopicIndex] {
        &self.0
    }

    /// Whether a topic is part of the subscription.
    #[must_use]
    pub fn contains(&self, topic: TopicIndex) -> bool {
        self.0.binary_search(&topic).is_ok()
    }
}

/// A member of a group. Assignments refer to it by its [`MemberIndex`](crate::MemberIndex).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The member id, which the coordinator or the client generated.
    pub id: String,
    /// The `group.instance.id` of a static member.
    pub instance: Option<String>,
    /// The topics that the member subscribes to.
    pub subscription: Subscription,
    /// The rack of the member (`client.rack`) as its subscription has it: `None` if the member
    /// sends none, which is the default of Java clients. librdkafka sends an empty one by default.
    pub rack: Option<String>,
}

/// Whether all members subscribe to the same topics.
#[must_use]
pub fn subscribed_alike(members: &[Member]) -> bool {
    members
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a.subscription == b.subscription))
}
