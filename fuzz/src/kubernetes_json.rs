//! A response of the Kubernetes API in JSON: reading it as a list of autoscalers, of budgets or of
//! KEDA's objects, and as a workload, never panics, and every result has valid numbers.

use std::collections::BTreeMap;

use rebalancer_core::model::{CpuMetric, PodUid, WorkloadRef};
use rebalancer_k8s::fuzzing::{autoscalers, budgets, paused, workload};

/// Returns whether the input is a list of any of these kinds or a workload.
pub fn check(data: &[u8]) -> bool {
    let accepted = [
        read_autoscalers(data),
        read_budgets(data),
        read_paused(data),
        read_workload(data),
    ];
    accepted.contains(&true)
}

fn read_autoscalers(data: &[u8]) -> bool {
    let Ok(candidates) = autoscalers(data) else {
        return false;
    };
    for candidate in &candidates {
        assert_eq!(candidate.scale_targets.len(), 1);
        for metric in &candidate.autoscaler.cpu {
            match metric {
                CpuMetric::AverageValue { cores }
                | CpuMetric::ContainerAverageValue { cores, .. } => {
                    assert!(cores.get().is_finite() && cores.get() > 0.0);
                }
                CpuMetric::Utilization { .. } | CpuMetric::ContainerUtilization { .. } => {}
            }
        }
        let described = &candidate.autoscaler.other_metrics;
        assert!(described.iter().all(|metric| !metric.is_empty()));
    }
    true
}

fn read_budgets(data: &[u8]) -> bool {
    let pods = [("a", "front"), ("b", "back")].map(|(uid, tier)| {
        let labels = [("app", "web"), ("tier", tier)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        (PodUid(uid.into()), BTreeMap::from(labels))
    });
    let Ok(budgets) = budgets(data, &pods) else {
        return false;
    };
    for budget in &budgets {
        assert!(!budget.pods.is_empty(), "a budget that covers no pod");
        assert!(budget.allowed <= i32::MAX as usize);
        assert!(
            budget
                .pods
                .iter()
                .all(|uid| pods.iter().any(|pod| pod.0 == *uid))
        );
    }
    true
}

fn read_paused(data: &[u8]) -> bool {
    let ours = WorkloadRef {
        namespace: "shop".into(),
        kind: "Deployment".into(),
        name: "orders".into(),
    };
    let Ok(paused) = paused(data, &ours) else {
        return false;
    };
    if let Some(paused) = paused {
        assert!(paused.object.starts_with("ScaledObject "));
        assert!(paused.annotation.starts_with("autoscaling.keda.sh/paused"));
    }
    true
}

fn read_workload(data: &[u8]) -> bool {
    let Ok(readings) = workload(data) else {
        return false;
    };
    for failure in readings.iter().flatten() {
        assert!(
            !failure.message.contains('\n'),
            "more than one line: {failure:?}"
        );
    }
    true
}
