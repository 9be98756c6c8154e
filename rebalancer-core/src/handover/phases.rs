//! The assignments that a hand-over gives out, in order.
//!
//! A partition is given to a member only if that member subscribes to its topic in the same
//! response, no other member of the response claims it, and its former owner is in the response. So
//! a member that is absent, and may still process its partitions, keeps them from everybody.

use kafka_assignors::{Assignment, MemberIndex, PartitionIndex};

use super::claims::Claims;
use super::plan::HandoverPlan;

/// Every member keeps what it claims, and partitions that no member claims return to their former
/// owners, if those are present.
pub(super) fn restore(plan: &HandoverPlan, claims: &Claims, former: &Assignment) -> Assignment {
    each(former, |partition, owner| {
        let owner = claims.owner(partition).or_else(|| {
            owner.filter(|owner| !claims.is_contested(partition) && claims.is_present(*owner))
        });
        owner.filter(|owner| claims.may_own(plan, *owner, partition))
    })
}

/// The first phase of a cooperative hand-over: every member keeps the partitions that it claims and
/// that the target gives to it. All others are revoked.
///
/// A member that would give up nothing gives up its lightest partition, which it gets back in the
/// second phase. Otherwise it would learn of the second phase only by its next heartbeat, and the
/// partitions that move would wait for it.
pub(super) fn first_phase(plan: &HandoverPlan, claims: &Claims) -> Assignment {
    let mut kept = each(&plan.target, |partition, target| {
        target.filter(|target| {
            claims.owner(partition) == Some(*target) && claims.may_own(plan, *target, partition)
        })
    });
    let before = claims.owners().by_member(plan.members.len());
    let after = kept.counts(plan.members.len());
    for (owned, kept_count) in before.iter().zip(after) {
        if owned.len() == kept_count
            && let Some(lightest) = lightest(plan, owned)
        {
            kept.set(lightest, None);
        }
    }
    kept
}

/// The last phase: the target, as far as it may be handed out. `former` is what was handed out
/// before the first phase. A partition that another member still claims is revoked.
pub(super) fn last_phase(plan: &HandoverPlan, claims: &Claims, former: &Assignment) -> Assignment {
    each(&plan.target, |partition, target| {
        let target = target.filter(|target| claims.may_own(plan, *target, partition))?;
        match claims.owner(partition) {
            Some(owner) => (owner == target).then_some(target),
            None => {
                let former = former.owner(partition);
                let former_is_present = former.is_some_and(|former| claims.is_present(former));
                (former_is_present && !claims.is_contested(partition)).then_some(target)
            }
        }
    })
}

fn each(
    of: &Assignment,
    owner: impl Fn(PartitionIndex, Option<MemberIndex>) -> Option<MemberIndex>,
) -> Assignment {
    of.iter()
        .map(|(partition, of)| owner(partition, of))
        .collect()
}

/// The partition with the lowest load.
fn lightest(plan: &HandoverPlan, partitions: &[PartitionIndex]) -> Option<PartitionIndex> {
    let load = |partition: &PartitionIndex| plan.loads.get(partition.get()).copied();
    partitions
        .iter()
        .copied()
        .min_by(|a, b| load(a).unwrap_or(0.0).total_cmp(&load(b).unwrap_or(0.0)))
}
