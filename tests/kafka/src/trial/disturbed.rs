//! A hand-over that is disturbed while records arrive.

use harness::{Kafka, Result};
use rebalancer_core::handover::{HandoverLimits, HandoverStage};
use rebalancer_driver::{Stop, SystemClock, hand_over};
use tokio::sync::{Semaphore, oneshot};

use super::{Account, DOWN, Group, MARGIN, Trial};
use crate::failed;

/// A disturbance of a hand-over when it enters a stage.
#[derive(Debug, Clone, Copy)]
pub enum Disturbance {
    /// The process that hands the assignment out is killed.
    Kill,
    /// A consumer leaves, and starts again a moment later.
    Leave,
}

impl Trial {
    /// Tries a hand-over that is disturbed when it enters a stage, until the group is at rest again
    /// and every record was processed.
    ///
    /// # Errors
    /// As [`Trial::run`], or if the hand-over ends before the stage.
    pub async fn run_disturbed(
        &self,
        kafka: &Kafka,
        active: &Semaphore,
        stage: HandoverStage,
        disturbance: Disturbance,
    ) -> Result<Account> {
        let mut group = Group::start(self, kafka).await?;
        let result = group.run_disturbed(active, stage, disturbance).await;
        group.close().await?;
        result
    }
}

impl Group<'_> {
    async fn run_disturbed(
        &mut self,
        active: &Semaphore,
        stage: HandoverStage,
        disturbance: Disturbance,
    ) -> Result<Account> {
        self.settled(self.trial.calm).await?;
        let permit = active.acquire().await;
        let permit = permit.map_err(|error| failed("a permit", error))?;
        let traffic = self.traffic()?;
        tokio::time::sleep(self.trial.rate_window + MARGIN).await;
        self.disturb(stage, disturbance).await?;
        self.settled(self.trial.calm).await?;
        tokio::time::sleep(MARGIN).await;
        traffic.stop()?;
        self.drained().await?;
        drop(permit);
        Ok(Account::of(&self.members.ledger()))
    }

    /// Hands out the planned assignment, with the disturbance.
    async fn disturb(&mut self, stage: HandoverStage, disturbance: Disturbance) -> Result<()> {
        let clock = SystemClock::new();
        let plan = self.planned(&clock).await?.plan;
        let limits = HandoverLimits::of(plan.protocol);
        let name = self.trial.member(0);
        let Self {
            coordinator,
            members,
            ..
        } = self;
        let (sender, entered) = oneshot::channel();
        let mut sender = Some(sender);
        let at_stage = |current| {
            if current == stage
                && let Some(sender) = sender.take()
            {
                // The receiver lives as long as the hand-over.
                let _ = sender.send(());
            }
        };
        let stop = Stop::never();
        let handing = hand_over(plan, limits, coordinator, &clock, &stop, at_stage);
        match disturbance {
            // The connections are closed with the hand-over, as at the end of a process.
            Disturbance::Kill => tokio::select! {
                biased;
                Ok(()) = entered => Ok(()),
                report = handing => Err(failed("a hand-over", format!("{report:?}"))),
            },
            Disturbance::Leave => {
                let restarting = async {
                    entered
                        .await
                        .map_err(|_| failed("a hand-over", "it ended before the stage"))?;
                    members.close(&name).await?;
                    tokio::time::sleep(DOWN).await;
                    members.start(&name)
                };
                tokio::join!(handing, restarting).1
            }
        }
    }
}
