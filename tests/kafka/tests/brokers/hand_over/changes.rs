//! Groups that change while an assignment is handed out to them.
//!
//! `KAFKA_MATRIX` selects the groups, see [`Row`]. The clients are always of Java: only their
//! process can make a consumer hang or sleep.

use super::*;
use crate::group::MEMBERS;

/// A change of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Another member joins.
    Joins,
    /// A member leaves.
    Leaves,
    /// A member does not poll any more, and exceeds its poll interval.
    Hangs,
    /// A member sleeps for 8 s after each poll.
    Slows,
}

/// The member that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The leader of the group, which is removed.
    Leader,
    /// Another member.
    Follower,
}

/// Changes, and the stages in which they occur. The leader is not known before the election.
const CASES: [(Change, Who, HandoverStage, Assignor); 17] = {
    use Assignor::{CooperativeSticky, Sticky};
    use Change::{Hangs, Joins, Leaves, Slows};
    use HandoverStage::{Assigning, Electing, Probing, Restoring, Revoking};
    use Who::{Follower, Leader};
    [
        (Leaves, Follower, Electing, Sticky),
        (Slows, Leader, Electing, Sticky),
        (Slows, Follower, Assigning, Sticky),
        (Joins, Follower, Probing, CooperativeSticky),
        (Joins, Follower, Electing, CooperativeSticky),
        (Joins, Follower, Revoking, CooperativeSticky),
        (Leaves, Follower, Probing, CooperativeSticky),
        (Leaves, Leader, Electing, CooperativeSticky),
        (Leaves, Follower, Electing, CooperativeSticky),
        (Leaves, Follower, Assigning, CooperativeSticky),
        (Hangs, Follower, Probing, CooperativeSticky),
        (Hangs, Leader, Electing, CooperativeSticky),
        (Hangs, Follower, Restoring, CooperativeSticky),
        (Slows, Follower, Probing, CooperativeSticky),
        (Slows, Leader, Electing, CooperativeSticky),
        (Slows, Follower, Electing, CooperativeSticky),
        (Slows, Follower, Revoking, CooperativeSticky),
    ]
};

/// The row of the matrix of groups.
struct Row {
    /// The version of the broker and of the clients.
    version: KafkaVersion,
    static_members: bool,
}

impl Row {
    /// The row that `KAFKA_MATRIX` names. CI runs the default, `current`.
    fn selected() -> Self {
        let name = std::env::var("KAFKA_MATRIX").unwrap_or_else(|_| "current".to_owned());
        let (version, static_members) = match name.as_str() {
            "current" => (KafkaVersion::Current, false),
            "current-static" => (KafkaVersion::Current, true),
            "3.9" => (KafkaVersion::V3_9, false),
            "3.9-static" => (KafkaVersion::V3_9, true),
            _ => panic!("KAFKA_MATRIX={name}: use current, current-static, 3.9 or 3.9-static"),
        };
        Self {
            version,
            static_members,
        }
    }
}

/// `max.poll.interval.ms` of groups with a member that hangs.
const POLL_INTERVAL: &str = "10000";

/// `session.timeout.ms` of groups with a member that sleeps for 8 s after each poll. A Java
/// consumer sends no heartbeats between its JoinGroup request and the poll that handles the
/// response. With a shorter timeout, the coordinator may remove it while it sleeps, in any
/// rebalance, and it still takes itself for the owner.
const SESSION_TIMEOUT: &str = "30000";

#[tokio::test]
async fn group_that_changes_settles() -> Result<()> {
    let row = &Row::selected();
    let changed = CASES.map(async |(change, who, stage, assignor)| {
        let name = format!("{change:?}-{who:?}-{stage:?}-{assignor:?}");
        let mut kind = Kind {
            client: Client::Java,
            assignor,
            static_members: row.static_members,
            ..Kind::classic(row.version)
        };
        match change {
            Change::Hangs => kind.properties = vec![("max.poll.interval.ms", POLL_INTERVAL)],
            Change::Slows => kind.properties = vec![("session.timeout.ms", SESSION_TIMEOUT)],
            Change::Joins | Change::Leaves => {}
        }
        let mut group = Group::start(&name, kind).await?;
        let process = group.java.unwrap();
        let watch = Watch::default();
        let mut joined = None;
        let mut changed = None;
        let mut attempts = 0;
        let (report, plan) = loop {
            attempts += 1;
            let entered = |reached| {
                if reached != stage || changed.is_some() {
                    return;
                }
                let leader = watch.leader();
                let mut candidates = group.consumers.iter();
                let member =
                    candidates.find(|member| (member.id() == leader) == (who == Who::Leader));
                let pod = member.unwrap().pod();
                match change {
                    Change::Joins => joined = Some(group.member(MEMBERS).unwrap()),
                    Change::Leaves => process.leave(pod).unwrap(),
                    Change::Hangs => process.sleep(pod, Duration::from_secs(600)).unwrap(),
                    Change::Slows => process.sleep(pod, Duration::from_secs(8)).unwrap(),
                }
                changed = Some(pod.to_owned());
            };
            let permit = AT_ONCE.acquire().await.unwrap();
            let (report, plan) = hand_over_watched(&group, &Stop::never(), &watch, entered).await;
            drop(permit);
            if changed.is_some() || attempts == ATTEMPTS || !is_of_a_slow_machine(&report) {
                break (report, plan);
            }
        };
        let changed = changed.unwrap_or_else(|| panic!("{name}: {report:?}"));
        let limit = HandoverLimits::of(plan.protocol).total + Duration::from_secs(30);
        assert!(
            report.seconds.get() < limit.as_secs_f64(),
            "{name}: {report:?}"
        );
        // A member that does not poll may hold up the last rebalance, and so does a static one that
        // ends, until its session times out.
        let is_awaited = match change {
            Change::Joins => false,
            Change::Leaves => row.static_members,
            Change::Hangs | Change::Slows => true,
        };
        assert!(report.settled || is_awaited, "{name}: {report:?}");
        assert_eq!(ours(&group).await, 0, "{name}: {report:?}");
        group.consumers.extend(joined);
        if change == Change::Leaves {
            group.consumers.retain(|member| member.pod() != changed);
        } else {
            process.sleep(&changed, Duration::ZERO)?;
        }
        at_rest(&group).await?;
        // A member that exceeds its poll interval is removed while it may still process.
        let hung = (change == Change::Hangs).then_some(changed.as_str());
        let double = group.double_owners(hung);
        assert!(double.is_empty(), "{name}: {double:?}: {report:?}");
        Ok(group)
    });
    let groups: Vec<Group> = try_join_all(changed).await?;
    drop(groups);
    Ok(())
}
