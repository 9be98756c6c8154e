//! The proof that a group keeps an assignment.

use kafka_assignors::coordinator_order::may_come_first_in_java_client;
use kafka_assignors::{Algorithm, Assignment, Member, Subscription};

use crate::group::{AssignProblem, ClientFamily, GroupModel};

/// Checks that the group's assignor keeps all owners of `target`.
///
/// Replays the assignor with the target as the current owners, as the leader of the group will
/// after the hand-over: once with the members of the group, and once with the rebalancer's scout
/// beside them, a member without topics. Each of `clients` is replayed, because the implementations
/// differ: both families if the client is unknown. A client that does not have the assignor is left
/// out.
///
/// `scout` is the scout's member id if it is known. A Java leader gives partitions to a member
/// without topics that comes first in its hash table, so the coordinator must have given the scout
/// an id that does not ([`may_come_first_in_java_client`]). Without an id, one is assumed.
///
/// # Errors
/// [`AssignProblem::UnsuitableAssignor`], [`AssignProblem::ConsumerProtocol`], or
/// [`AssignProblem::NotKept`] with the first partition that would move.
pub fn keeps(
    group: &GroupModel,
    clients: &[ClientFamily],
    target: &Assignment,
    scout: Option<&str>,
) -> Result<(), AssignProblem> {
    let assignor = group.assignor.assignor;
    AssignProblem::check(group.protocol, assignor)?;
    let mut with_scout = group.members.clone();
    with_scout.push(Member {
        id: scout.map_or_else(|| assumed_id(&group.members), str::to_owned),
        instance: None,
        subscription: Subscription::default(),
        rack: None,
    });
    for client in clients {
        if !assignor.exists_in(group.protocol, *client) {
            continue;
        }
        let algorithm = Algorithm::of(assignor, *client, group.protocol);
        for members in [&group.members, &with_scout] {
            let replayed = algorithm.assign(&group.topics, members, target);
            let moved = target
                .iter()
                .zip(replayed.owners())
                .find(|((_, before), after)| before != after);
            if let Some(((partition, from), to)) = moved {
                return Err(AssignProblem::not_kept(
                    group,
                    members,
                    *client,
                    partition,
                    (from, to),
                ));
            }
        }
    }
    Ok(())
}

/// A member id that does not come first in the hash table of a Java leader.
fn assumed_id(members: &[Member]) -> String {
    let ids: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
    let first = "rebalancer-0".to_owned();
    (0..1_000)
        .map(|number| format!("rebalancer-{number}"))
        .find(|id| !may_come_first_in_java_client(id, &ids))
        .unwrap_or(first)
}
