//! The rules of worlds in which assignments are handed out, or members rejoin.

use rebalancer_core::group::Protocol;
use rebalancer_core::handover::{HandoverDocument, HandoverResult};
use rebalancer_core::plan::AssignmentPlan;
use rebalancer_core::ports::GroupState;
use rebalancer_core::report::WorkloadReport;

use crate::broken::{Broken, keep};
use crate::draw::Scenario;
use crate::run::{End, GroupStory, Story, own_members};

pub(crate) fn check(scenario: &Scenario, story: &Story) -> Result<(), Broken> {
    let Some(group) = &story.group else {
        return Ok(());
    };
    keep(
        story.requests.is_empty(),
        "a run that hands out assignments, or lets members rejoin, evicts nothing",
        || format!("{:?}", story.requests),
    )?;
    if let Some(violation) = group.violations.first() {
        return Err((
            "a hand-over never gives a partition to two members, and removes none outside a barrier",
            violation.clone(),
        ));
    }
    let mut untouched = true;
    for run in &story.runs {
        let Some(end) = &run.end else {
            untouched = false;
            continue;
        };
        untouched &= end.report.hand_over().is_none();
        of_run(scenario, story, end)?;
    }
    keep(
        group.rebalances == 0 || !untouched,
        "only a hand-over touches the group",
        || format!("{} rebalances", group.rebalances),
    )?;
    in_the_end(group)
}

/// The report of a run matches the group.
fn of_run(scenario: &Scenario, story: &Story, end: &End) -> Result<(), Broken> {
    let WorkloadReport::Decided(decided) = &end.report else {
        return Ok(());
    };
    let plan = decided.decision.assignment();
    let rejoins = decided.decision.rejoin();
    let acts = (plan.is_some() || rejoins.is_some()) && !scenario.execution.dry_run;
    keep(
        acts == decided.hand_over.is_some(),
        "an assignment is handed out, or members rejoin, and nothing else",
        || decided.decision.message.clone(),
    )?;
    let Some(hand_over) = &decided.hand_over else {
        return Ok(());
    };
    let is_of_consumers = scenario.config.protocol == Protocol::Consumer;
    keep(
        !is_of_consumers || scenario.policy.rejoin_consumer_protocol,
        "members of a group of KIP-848 are removed only with permission",
        || decided.decision.message.clone(),
    )?;
    keep(
        is_of_consumers || hand_over.double_processing_seconds.is_none(),
        "no two members process a partition in a classic group",
        || format!("{hand_over:?}"),
    )?;
    // Another run, or one that was killed, may have members in the group.
    if story.runs.len() > 1 {
        return Ok(());
    }
    keep(
        !hand_over.settled || end.own_members.is_empty(),
        "no member of a run is left in a group that is reported to be at rest",
        || format!("{:?}: {hand_over:?}", end.own_members),
    )?;
    if is_disturbed(scenario) {
        return Ok(());
    }
    keep(
        is_plausible(hand_over),
        "a hand-over has an outcome",
        || format!("{hand_over:?}"),
    )?;
    let has = |partition: u32, pod: &str| {
        let owner = end.assigned.get(&partition);
        owner.is_some_and(|owner| owner == pod)
    };
    let moves = plan.into_iter().flat_map(AssignmentPlan::moves);
    let missing = moves.into_iter().find(|moved| {
        hand_over.outcome == HandoverResult::Assigned && !has(moved.partition, &moved.to)
    });
    keep(
        missing.is_none(),
        "the group has the assignment that is reported to be handed out",
        || format!("{missing:?}: {hand_over:?}"),
    )
}

/// Whether pods or their consumers change during the runs.
fn is_disturbed(scenario: &Scenario) -> bool {
    let faults = scenario.config.faults.as_ref();
    faults.is_some_and(|faults| faults.disturbed_every.is_some())
}

fn is_plausible(hand_over: &HandoverDocument) -> bool {
    match hand_over.outcome {
        HandoverResult::Assigned => hand_over.moved == Some(hand_over.planned),
        HandoverResult::NotKept => hand_over.moved != Some(hand_over.planned),
        HandoverResult::Rejoined => {
            hand_over.rejoins.is_some() && hand_over.returned == hand_over.rejoins
        }
        HandoverResult::Abandoned => !hand_over.message.is_empty(),
    }
}

/// After some time without disturbances, the group is at rest, and every partition is consumed.
fn in_the_end(group: &GroupStory) -> Result<(), Broken> {
    let described = &group.described;
    let own = own_members(described);
    keep(
        own.is_empty(),
        "no member of a run stays in the group",
        || format!("{own:?}"),
    )?;
    let empty = described.members.is_empty();
    keep(
        empty || described.state == GroupState::Stable,
        "the group is at rest in the end",
        || format!("{:?}", described.state),
    )?;
    keep(
        empty || group.unowned.is_empty(),
        "every partition is owned at the end",
        || format!("{:?} of {described:?}", group.unowned),
    )
}
