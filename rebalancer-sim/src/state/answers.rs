//! The answers of the world to the calls of the ports, one function for each call. The ports use no
//! other part of the state.

use rebalancer_core::group::Protocol;
use rebalancer_core::model::{
    Autoscaler, CpuMetric, Load, Measurement, PodRef, Rate, Rollout, SampleFault, WorkloadState,
};
use rebalancer_core::ports::{
    AutoscalerCandidate, DescribedGroup, DescribedMember, DescribedTopic, DisruptionBudget,
    EvictionAnswer, GroupKind, GroupObservation, GroupState, LagSample, LoadObservation,
    LoadSample, MemberLabels, OwnerSample, PodState, RateSample, WorkloadObservation,
};

use super::State;
use crate::group::ServingMember;
use crate::pod::{PodKey, SimPod};
use crate::topic::TOPIC;
use crate::views::EvictionRecord;

/// The id of the simulated Kafka cluster.
const CLUSTER: &str = "simulated";

impl State {
    pub(crate) fn answer_loads(&self) -> LoadObservation {
        LoadObservation {
            samples: self.samples(),
            freshness_known: true,
            evaluated_at: Some(self.timestamp()),
            ..LoadObservation::default()
        }
    }

    /// One sample for each pod name. As with `sum by (pod)`, the load of a predecessor with the
    /// same name within the window is included.
    fn samples(&self) -> Vec<LoadSample> {
        let measured = |pod: &SimPod| pod.as_measured(self.now, &self.config);
        let mut samples: Vec<LoadSample> = Vec::new();
        for sample in self.pods.values().filter_map(measured) {
            match samples.iter_mut().find(|known| known.pod == sample.pod) {
                Some(known) if self.config.has_stable_names() => {
                    // Pods are in the order of their creation, so this one is newer.
                    let before = known.measurement.load();
                    *known = sample;
                    if let (Some(before), Measurement::Load(now, samples)) =
                        (before, known.measurement)
                    {
                        let sum = Load::new(before.get() + now.get());
                        let sum = sum.map_err(|_| SampleFault::NotFinite);
                        known.measurement = Measurement::new(sum, samples);
                    }
                }
                Some(_) | None => samples.push(sample),
            }
        }
        samples
    }

    pub(crate) fn answer_group(&self) -> GroupObservation {
        let window = self.config.metrics_window;
        let before = self.now.saturating_sub(window);
        let now: Vec<Option<ServingMember>> = self.group.owners().collect();
        if self.config.described {
            let owners = self.owner_samples(&now);
            return self.described_group(owners);
        }
        GroupObservation {
            owners: self.owner_samples(&now),
            owners_before: Some(self.owner_samples(self.group.owners_at(before))),
            rates: Some(self.rate_samples()),
            rate_unit: Some("records/s".into()),
            ..GroupObservation::default()
        }
    }

    fn rate_samples(&self) -> Vec<RateSample> {
        (0..)
            .zip(self.traffic.averages(self.now, self.config.metrics_window))
            .map(|(partition, rate)| RateSample {
                topic: TOPIC.to_owned(),
                partition,
                rate: Rate::new(rate).map_err(|_| SampleFault::NotFinite),
            })
            .collect()
    }

    /// The group as Kafka reports it. The consumers keep up, so there is no lag.
    fn described_group(&self, owners: Vec<OwnerSample>) -> GroupObservation {
        let lags = (0..self.config.partitions).map(|partition| LagSample {
            topic: TOPIC.to_owned(),
            partition,
            records: Some(0),
        });
        GroupObservation {
            owners,
            rates: Some(self.rate_samples()),
            rate_window: Some(self.config.metrics_window.into()),
            rate_unit: Some("records/s".into()),
            lags: Some(lags.collect()),
            described: Some(self.describe_group()),
            ..GroupObservation::default()
        }
    }

    /// The group as its coordinator describes it.
    pub(crate) fn describe_group(&self) -> DescribedGroup {
        if let Some(mut modelled) = self.modelled_group() {
            modelled.cluster_id = Some(CLUSTER.to_owned());
            for member in &mut modelled.members {
                let subscribed = member.subscription.as_ref();
                let is_own = subscribed.is_some_and(Vec::is_empty);
                member.client = (!is_own).then_some(self.config.client);
            }
            return modelled;
        }
        let members = self.group.described().map(|(member, owned)| {
            // The brokers know the client id, not the pod.
            let client_id = self.client_id(member.pod);
            DescribedMember {
                labels: MemberLabels {
                    client_id: Some(client_id),
                    member_id: Some(member.id),
                    instance: member.instance,
                    ..MemberLabels::default()
                },
                rack: None,
                subscription: Some(vec![TOPIC.to_owned()]),
                owned: owned
                    .into_iter()
                    .map(|number| (TOPIC.to_owned(), number))
                    .collect(),
                client: Some(self.config.client),
                has_assignment_user_data: false,
                classic_in_consumer_group: false,
            }
        });
        let members: Vec<DescribedMember> = members.collect();
        let kind = match self.config.protocol {
            Protocol::Classic => GroupKind::Classic,
            Protocol::Consumer => GroupKind::Consumer,
        };
        let state = if members.is_empty() {
            GroupState::Empty
        } else if self.group.is_unsettled() {
            GroupState::from("PreparingRebalance".to_owned())
        } else {
            GroupState::Stable
        };
        let partitions = usize::try_from(self.config.partitions).unwrap_or_default();
        DescribedGroup {
            kind,
            state,
            protocol_type: "consumer".into(),
            assignor: Some(self.config.assignor.as_str().to_owned()),
            removable_members: self.config.protocol == Protocol::Consumer,
            members,
            topics: vec![DescribedTopic {
                name: TOPIC.to_owned(),
                partition_racks: vec![Vec::new(); partitions],
            }],
            cluster_id: Some(CLUSTER.to_owned()),
        }
    }

    /// `client.id` of a pod's consumer.
    pub(super) fn client_id(&self, pod: PodKey) -> String {
        let pod = self.pods.get(&pod);
        pod.map_or_else(
            || "consumer".to_owned(),
            |pod| format!("consumer-{}", pod.name),
        )
    }

    /// The owners as consumers export their own assignments, labelled with their pods.
    fn owner_samples(&self, owners: &[Option<ServingMember>]) -> Vec<OwnerSample> {
        let owned = (0..).zip(owners);
        owned
            .filter_map(|(partition, owner)| {
                let owner = owner.as_ref()?;
                Some(OwnerSample {
                    topic: TOPIC.to_owned(),
                    partition,
                    owner: Some(MemberLabels {
                        pod: self.pods.get(&owner.pod).map(|pod| pod.name.clone()),
                        member_id: Some(owner.id.clone()),
                        instance: owner.instance.clone(),
                        ..MemberLabels::default()
                    }),
                })
            })
            .collect()
    }

    pub(crate) fn answer_autoscalers(&self) -> Vec<AutoscalerCandidate> {
        let workload = &self.config.workload;
        let autoscaler = Autoscaler {
            name: workload.name.clone(),
            cpu: vec![CpuMetric::Utilization {
                percent: self.config.target_percent,
            }],
            other_metrics: Vec::new(),
            current_replicas: Some(self.config.pods),
            desired_replicas: Some(self.config.pods),
        };
        vec![AutoscalerCandidate::scaling(workload, autoscaler)]
    }

    pub(crate) fn answer_observe(&self) -> WorkloadObservation {
        WorkloadObservation {
            taken_at: self.timestamp(),
            rollout: Some(self.rollout()),
            rollout_failures: Vec::new(),
            autoscalers: self.answer_autoscalers(),
            paused_autoscaler: None,
            pods: self
                .listed()
                .map(|(_, pod)| pod.as_listed(self.now, &self.config))
                .collect(),
            last_rotation: self.last_rotation.clone(),
            pause: None,
            proposal: self.proposal.clone(),
        }
    }

    pub(crate) fn answer_read_pod(&self, pod: &PodRef) -> PodState {
        self.find(pod)
            .map_or(PodState::Gone, |(_, found)| found.state())
    }

    pub(crate) fn answer_count_ready(&self) -> usize {
        self.ready_pods()
    }

    pub(crate) fn answer_read_workload(&self) -> WorkloadState {
        WorkloadState {
            ready: self.ready_pods(),
            rollout: Some(self.rollout()),
            failures: self.pod_failures(),
            pause: None,
        }
    }

    /// Evicts a pod as the API server does: it checks the UID, then the budget. The eviction of a
    /// terminating pod is accepted and has no further effect.
    pub(crate) fn answer_evict(&mut self, pod: &PodRef, dry_run: bool) -> EvictionAnswer {
        let (answer, evicted) = match self.find(pod) {
            None => (EvictionAnswer::AlreadyGone, None),
            Some((_, found)) if found.terminating => (EvictionAnswer::Evicted, None),
            Some((key, found)) => self
                .blocked(found)
                .map_or((EvictionAnswer::Evicted, Some(key)), |blocked| {
                    (blocked, None)
                }),
        };
        let evicted = evicted.filter(|_| !dry_run);
        if let Some(key) = evicted {
            self.terminate(key);
        }
        self.evictions.push(EvictionRecord {
            at: self.timestamp(),
            pod: pod.clone(),
            dry_run,
            took_effect: evicted.is_some(),
            answer: answer.clone(),
        });
        answer
    }

    /// The budget of the workload, with the given pods that exist.
    pub(crate) fn answer_budgets(&self, pods: &[PodRef]) -> Vec<DisruptionBudget> {
        let budget = self.config.budget.as_ref().map(|budget| {
            let needed = budget.needed(self.config.pods);
            let covered = pods.iter().filter(|pod| self.find(pod).is_some());
            DisruptionBudget {
                name: budget.name.clone(),
                allowed: self.ready_pods().saturating_sub(needed),
                pods: covered.map(|pod| pod.uid.clone()).collect(),
            }
        });
        budget.into_iter().collect()
    }

    /// The answer of the budget if it does not allow the eviction of this pod.
    fn blocked(&self, pod: &SimPod) -> Option<EvictionAnswer> {
        let budget = self.config.budget.as_ref()?;
        let needed = budget.needed(self.config.pods);
        let healthy = self.ready_pods();
        // The eviction of a pod that has not started is always allowed; that of a running pod that
        // is not ready if enough others are healthy.
        let allowed = if pod.started.is_none() {
            true
        } else if pod.serves() {
            healthy > needed
        } else {
            healthy >= needed && needed > 0 || healthy > needed
        };
        (!allowed).then(|| EvictionAnswer::Blocked {
            message: format!(
                "Cannot evict pod as it would violate the pod's disruption budget. The disruption \
                 budget {} needs {needed} healthy pods and has {healthy} currently",
                budget.name
            ),
            budget: Some(budget.name.clone()),
            retry_after: None,
        })
    }

    /// The rollout as in the status of a Deployment. Replacements count from their creation on and
    /// terminating pods do not, so an eviction does not look like a rollout.
    pub(crate) fn rollout(&self) -> Rollout {
        let count = |counts: &dyn Fn(&SimPod) -> bool| {
            let pods = self
                .listed()
                .filter(|(_, pod)| !pod.terminating && counts(pod))
                .count();
            u32::try_from(pods).unwrap_or(u32::MAX)
        };
        Rollout {
            generation: self.generation,
            observed_generation: self.observed_generation,
            desired: self.config.pods,
            current: count(&|_| true),
            updated: count(&|pod| pod.template == self.template),
            ..Rollout::default()
        }
    }
}
