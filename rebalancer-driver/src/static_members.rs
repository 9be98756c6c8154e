//! Removes static members of evicted pods from the consumer group, as the core allows it. A failure
//! is reported and changes nothing else.

use std::time::Duration;

use futures::future::join_all;
use rebalancer_core::Snapshot;
use rebalancer_core::execution::{LeaseRenewal, StaticMemberReport, StaticMembers};
use rebalancer_core::model::PodUid;
use rebalancer_core::plan::Plan;
use rebalancer_core::policy::ExecutionPolicy;
use rebalancer_core::ports::{GroupCoordinator, PortError};

use crate::context::{CUT_SHORT, Run};
use crate::event::{RunEvent, Wait, WaitReason};
use crate::lease;

/// The time between two reads of an evicted pod.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest wait after the execution until evicted pods are gone. The grace period of a pod is
/// 30 s by default.
const LIMIT: Duration = Duration::from_secs(60);

/// The limit of a read. Reads take place between two steps of an execution, which has to renew its
/// lease.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// The reason in the log of the broker.
const REASON: &str = "the pod of this static member was evicted by the rebalancer and is gone";

/// The removal of the static members of a plan's pods.
pub(crate) struct StaticMemberRemoval<'a> {
    run: Run<'a>,
    coordinator: &'a dyn GroupCoordinator,
    members: StaticMembers,
    dry_run: bool,
    /// The time of the next check.
    next: Duration,
}

impl<'a> StaticMemberRemoval<'a> {
    /// `None` if there is nothing to remove.
    pub(crate) fn new(
        run: Run<'a>,
        policy: ExecutionPolicy,
        snapshot: &Snapshot,
        plan: &Plan,
    ) -> Option<Self> {
        let coordinator = run.ports.coordinator?;
        let members = StaticMembers::of(snapshot, plan);
        let is_needed = policy.remove_static_members && !members.is_empty();
        is_needed.then_some(Self {
            run,
            coordinator,
            members,
            dry_run: policy.dry_run,
            next: Duration::ZERO,
        })
    }

    /// Records that the pod was evicted, or may have been.
    pub(crate) fn evicted(&mut self, uid: &PodUid) {
        self.members.evicted(uid);
    }

    /// Whether pods should be read now.
    pub(crate) fn is_due(&self) -> bool {
        !self.dry_run && self.members.open() > 0 && self.run.elapsed() >= self.next
    }

    /// Reads the evicted pods, and removes the members of those that are gone.
    pub(crate) async fn check(&mut self) {
        let actuator = self.run.ports.actuator;
        let pods = self.members.ending_pods();
        let reads = pods.iter().map(|pod| self.read(actuator.read_pod(pod)));
        let reads = join_all(reads).await;
        for (pod, read) in pods.iter().zip(&reads) {
            self.members.pod_read(pod, read);
        }
        if self.members.has_removal_due() {
            self.remove().await;
        }
        self.report();
        self.next = self.run.elapsed().saturating_add(PAUSE);
    }

    /// Waits until the evicted pods are gone and their members are removed, for some time after the
    /// execution. Goes on with the renewals of the lease if the run holds one. Returns the
    /// outcomes.
    pub(crate) async fn finish(mut self, lease: Option<LeaseRenewal>) -> Vec<StaticMemberReport> {
        let why = if self.dry_run {
            String::new()
        } else {
            self.until_removed(lease).await
        };
        self.members.finish(self.dry_run, &why);
        self.report();
        self.members.reports()
    }

    /// Checks until no member is left. Returns why it does not check any more.
    async fn until_removed(&mut self, mut lease: Option<LeaseRenewal>) -> String {
        let run = self.run;
        let began = run.elapsed();
        loop {
            if let Some(cause) = run.stop.requested() {
                return cause.to_string();
            }
            if let Some(renewal) = &mut lease
                && renewal.is_due(run.elapsed(), false)
            {
                let (asked, state) = lease::renew(run).await;
                if let Err(why) = renewal.handle(run.elapsed(), asked, state) {
                    return why;
                }
            }
            if self.is_due() {
                self.check().await;
            }
            let (open, waited) = (self.members.open(), run.elapsed().saturating_sub(began));
            if open == 0 {
                return String::new();
            }
            if waited >= LIMIT {
                return format!(
                    "the run waited for {} s after its last action",
                    LIMIT.as_secs()
                );
            }
            let wait = Wait::new(WaitReason::StaticMembers { members: open });
            run.emit(&RunEvent::Waiting(&wait.within(waited, LIMIT)));
            tokio::select! {
                biased;
                _ = run.stop.wait() => {}
                () = run.ports.clock.sleep(PAUSE) => {}
            }
            run.emit(&RunEvent::WaitEnded);
        }
    }

    async fn remove(&mut self) {
        let observation = self.read(self.run.ports.actuator.observe()).await;
        let pods = match observation {
            Ok(observation) => observation.pods,
            Err(why) => return self.members.pods_unknown(&why),
        };
        let group = match self.coordinator.describe().await {
            Ok(group) => group,
            Err(error) => return self.members.group_unknown(&error),
        };
        let leaving = self.members.removable(&pods, &group);
        if !leaving.is_empty() {
            let response = self.coordinator.leave(&leaving, REASON).await;
            self.members.removed(&leaving, &response);
        }
    }

    /// Awaits a read, within a limit.
    async fn read<T>(
        &self,
        request: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, String> {
        tokio::select! {
            biased;
            answer = self.run.before_stop(request) => match answer {
                Some(answer) => answer.map_err(|error| error.to_string()),
                None => Err(CUT_SHORT.into()),
            },
            () = self.run.ports.clock.sleep(READ_LIMIT) => {
                Err(format!("no response from the API server within {} s", READ_LIMIT.as_secs()))
            }
        }
    }

    fn report(&mut self) {
        for report in self.members.newly_settled() {
            self.run.emit(&RunEvent::StaticMemberSettled(&report));
        }
    }
}
