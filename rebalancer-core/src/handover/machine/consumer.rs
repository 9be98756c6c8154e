//! A rejoin in a group of the consumer protocol (KIP-848): members are removed, and return one by
//! one.
//!
//! No member of ours can hold anything open in such a group. The coordinator frees the partitions
//! of the removed members at once. A removed member learns of it at its next heartbeat, gives up
//! its partitions at its next poll, and joins again, mostly under the id that it had.

use std::time::Duration;

use kafka_assignors::MemberIndex;

use super::{DescribedGroup, Handover, HandoverLimits, Stage};
use crate::group::Protocol;

impl Handover {
    /// Whether the group is one of the consumer protocol.
    pub(super) fn is_of_consumers(&self) -> bool {
        self.plan.group_protocol == Protocol::Consumer
    }

    /// The group is as planned: the members are removed next.
    pub(super) fn remove_consumers(&mut self, now: Duration) {
        self.removed = self.removals();
        self.removed_at = now;
        self.enter(Stage::Removing);
    }

    /// Members were removed, or may have been. From now on the group changes.
    pub(super) fn consumers_removed(&mut self, now: Duration) {
        self.rebalances = 1;
        self.await_return(now, HandoverLimits::CONSUMER_RETURN);
    }

    /// The reason that prevents a removal in a described group of the consumer protocol; `None` if
    /// there is none.
    pub(super) fn consumers_differ(&self, group: &DescribedGroup) -> Option<String> {
        if !self.is_of_consumers() {
            return None;
        }
        let mut members = group.members.iter();
        if let Some(classic) = members.find(|member| member.classic_in_consumer_group) {
            let id = classic.labels.member_id.as_deref().unwrap_or_default();
            return Some(format!("member {id} uses the classic protocol"));
        }
        let is_too_old = !group.removable_members;
        is_too_old.then(|| "its coordinator is older than Kafka 4.0".to_owned())
    }

    /// The id of a removed member that the group lists under the id that it had. The coordinator
    /// has confirmed the removal, so the member has joined again.
    pub(super) fn consumer_is_listed(
        &self,
        index: MemberIndex,
        group: &DescribedGroup,
    ) -> Option<String> {
        let id = self
            .ids
            .get(index.get())
            .filter(|_| self.is_of_consumers())?;
        let mut members = group.members.iter();
        let listed = members.any(|member| member.labels.member_id.as_ref() == Some(id));
        listed.then(|| id.clone())
    }

    /// Notes how long two members may have processed a partition.
    pub(super) fn note_return(&mut self, now: Duration) {
        if self.is_of_consumers() && self.removed_are_back() && !self.removal_lost {
            self.double_processing = Some(now.saturating_sub(self.removed_at));
        }
    }
}
