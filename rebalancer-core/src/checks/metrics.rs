//! The checks for metrics that lie: complete and fresh, and wrong all the same. Each has its own
//! reason, since each has another cause to look for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::workload::{Check, Finding, Verdict};
use super::{pod, pods_are};
use crate::model::{Cores, Load, Pod, Seconds};
use crate::policy::Policy;
use crate::snapshot::{Snapshot, UnknownPods};

/// How far the clocks of the metrics server and of the cluster may be apart, in seconds.
///
/// VictoriaMetrics evaluates up to its `-search.latencyOffset` in the past, 30 s by default, and may
/// date its answer so; it gives whole seconds, as the cluster does; and the two are asked at the
/// same time but need not answer so. Beyond that the ages of pods and of samples do not belong
/// together.
const CLOCKS_MAY_DIFFER_SECONDS: f64 = 60.0;

/// The multiple of its own CPU request that no container spends. Consumers do burst to several
/// times a modest request; twenty times is a counter in another unit, or counted over and over.
const PLAUSIBLE_SHARE: f64 = 20.0;

/// What any container may spend whatever it requests, in cores: a request may be a token, such as
/// 10m, of which twenty times is little.
const PLAUSIBLE_CORES: f64 = 16.0;

/// What a container without a CPU request may spend, in cores: a whole machine of the larger kind
/// one rents. Nothing better is known of it.
const PLAUSIBLE_CORES_WITHOUT_REQUEST: f64 = 256.0;

/// The clocks of the metrics server and of the cluster agree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClocksAgree {
    /// How far the metrics server's clock is ahead of the cluster's, in seconds; below 0 when it
    /// is behind, `None` when not known.
    pub difference_seconds: Option<f64>,
    /// How far they may be apart, in seconds.
    pub maximum_seconds: f64,
}

impl ClocksAgree {
    fn kept(&self) -> Option<bool> {
        self.difference_seconds
            .map(|difference| difference.abs() <= self.maximum_seconds)
    }
}

impl fmt::Display for ClocksAgree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(difference) = self.difference_seconds else {
            return f.write_str("the clock of the metrics server is not known");
        };
        let length = in_words(difference.abs());
        let side = if difference < 0.0 {
            "behind"
        } else {
            "ahead of"
        };
        write!(
            f,
            "the metrics server's clock is {length} {side} the cluster's (at most {} allowed)",
            in_words(self.maximum_seconds)
        )?;
        if self.kept() == Some(false) {
            f.write_str(": is the time of both synchronized (NTP)?")?;
        }
        Ok(())
    }
}

fn in_words(seconds: f64) -> String {
    Seconds::new(seconds).map_or_else(|_| format!("{seconds:.0} s"), Seconds::in_words)
}

pub(crate) fn clocks_agree(snapshot: &Snapshot) -> Check {
    let finding = ClocksAgree {
        difference_seconds: snapshot.data().clock_difference_seconds,
        maximum_seconds: CLOCKS_MAY_DIFFER_SECONDS,
    };
    Check::new(
        finding.kept().map_or(Verdict::Skipped, Verdict::pass_if),
        Finding::ClocksAgree(finding),
    )
}

/// The metrics are about the workload's pods, and not only about others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeasuredPodsExist {
    /// Ready pods that are old enough to be measured.
    pub ready: usize,
    /// Those that the metrics answered for.
    pub measured: usize,
    /// Pods that the metrics measure and that are none of those selected.
    #[serde(rename = "strangers")]
    pub unknown_pods: usize,
    /// One of them.
    pub example: Option<String>,
}

impl fmt::Display for MeasuredPodsExist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ready,
            measured,
            unknown_pods,
            example,
        } = self;
        write!(f, "the metrics know {measured} of {ready} ready pods")?;
        let Some(example) = example else {
            return f.write_str(" and no others");
        };
        let others = pods_are(*unknown_pods);
        if *ready > 0 && *measured == 0 {
            write!(
                f,
                ", but {others} measured that the workload does not have, such as {example}: are \
                 the metrics those of this cluster and of this namespace?"
            )
        } else {
            // Other workloads of the namespace may have a container of that name, and pods that
            // are gone linger in the metrics.
            write!(
                f,
                "; {others} measured that the workload does not have, such as {example}"
            )
        }
    }
}

pub(crate) fn measured_pods_exist(snapshot: &Snapshot, policy: &Policy) -> Check {
    let UnknownPods {
        pods: unknown_pods,
        example,
    } = snapshot.data().unknown_pods.clone();
    // After a restart of the whole group all pods are too new to be measured, while those before
    // them still are.
    let ready: Vec<&Pod> = snapshot
        .pods()
        .iter()
        .filter(|pod| pod.serves() && pod::too_young(pod, policy).is_none())
        .collect();
    let measured = ready
        .iter()
        .filter(|pod| pod.load.is_some() || pod.fault.is_some())
        .count();
    let verdict = if ready.is_empty() {
        Verdict::Skipped
    } else {
        Verdict::pass_if(unknown_pods == 0 || measured > 0)
    };
    Check::new(
        verdict,
        Finding::MeasuredPodsExist(MeasuredPodsExist {
            ready: ready.len(),
            measured,
            unknown_pods,
            example,
        }),
    )
}

/// Somebody spends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadsNotAllZero {
    /// Ready pods with a load to trust.
    pub measured: usize,
    /// Those whose load is exactly zero.
    pub zero: usize,
}

impl LoadsNotAllZero {
    /// `None` where there are too few to tell.
    fn kept(&self) -> Option<bool> {
        // One pod may well be alone without work.
        (self.measured >= 2).then_some(self.zero < self.measured)
    }
}

impl fmt::Display for LoadsNotAllZero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measured, zero } = self;
        if self.kept() == Some(false) {
            // Even an idle consumer polls, which costs a little.
            write!(
                f,
                "all {measured} measured pods have a load of exactly 0, which is a counter that \
                 stands still rather than an idle group"
            )
        } else {
            write!(
                f,
                "{zero} of {measured} measured pods have a load of exactly 0"
            )
        }
    }
}

pub(crate) fn loads_not_all_zero(snapshot: &Snapshot, policy: &Policy) -> Check {
    let mut finding = LoadsNotAllZero {
        measured: 0,
        zero: 0,
    };
    for pod in trusted(snapshot, policy) {
        finding.measured += 1;
        finding.zero += usize::from(pod.load == Some(Load::ZERO));
    }
    Check::new(
        finding.kept().map_or(Verdict::Skipped, Verdict::pass_if),
        Finding::LoadsNotAllZero(finding),
    )
}

/// The ready pods with a load to trust.
fn trusted<'a>(snapshot: &'a Snapshot, policy: &'a Policy) -> impl Iterator<Item = &'a Pod> {
    let freshness_known = snapshot.data().freshness_known;
    snapshot
        .pods()
        .iter()
        .filter(move |pod| pod.serves() && pod::measured(pod, policy, freshness_known).is_none())
}

/// No pod spends what no pod can spend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadPlausible {
    /// Pods above what is plausible.
    pub pods: usize,
    /// The ready pod that is furthest above what is plausible for it, or else closest to it.
    pub example: Option<String>,
    /// Its load, in cores.
    pub load: Option<Load>,
    /// The CPU request of its measured container, in cores; `None` when it has none.
    pub request: Option<Cores>,
    /// The most that is plausible for it, in cores.
    pub maximum: Option<f64>,
}

impl fmt::Display for LoadPlausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(example), Some(load), Some(maximum)) = (&self.example, self.load, self.maximum)
        else {
            return f.write_str("there is no load in cores to look at");
        };
        match self.pods {
            0 => f.write_str("all loads are plausible")?,
            1 => f.write_str("1 load is not plausible")?,
            pods => write!(f, "{pods} loads are not plausible")?,
        }
        write!(f, ": {example} spends {load:.3} cores ")?;
        match self.request {
            Some(request) => write!(f, "with a request of {request:.3}")?,
            None => f.write_str("without a request")?,
        }
        write!(f, ", at most {maximum} would be plausible")?;
        if self.pods > 0 {
            f.write_str(": is a counter in another unit, or added up over series of others?")?;
        }
        Ok(())
    }
}

/// The most that a pod can be believed to spend, in cores.
fn plausible(pod: &Pod) -> f64 {
    pod.request
        .map_or(PLAUSIBLE_CORES_WITHOUT_REQUEST, |request| {
            (PLAUSIBLE_SHARE * request.get()).max(PLAUSIBLE_CORES)
        })
}

/// Young and stale loads are looked at as well: whatever is beyond belief says that the counters
/// are not what they are taken for.
pub(crate) fn load_plausible(snapshot: &Snapshot) -> Check {
    let mut implausible = 0;
    let mut furthest: Option<(f64, &Pod, Load)> = None;
    // What is plausible in another unit than cores is not known.
    let in_cores = !snapshot.data().custom_load;
    for pod in snapshot
        .pods()
        .iter()
        .filter(|pod| in_cores && pod.serves())
    {
        let Some(load) = pod.load else { continue };
        let share = load.get() / plausible(pod);
        implausible += usize::from(share > 1.0);
        let further = furthest.is_none_or(|(most, other, _)| {
            share > most || (share == most && pod.name < other.name)
        });
        if further {
            furthest = Some((share, pod, load));
        }
    }
    let verdict = match furthest {
        None => Verdict::Skipped,
        Some(_) => Verdict::pass_if(implausible == 0),
    };
    Check::new(
        verdict,
        Finding::LoadPlausible(LoadPlausible {
            pods: implausible,
            example: furthest.map(|(_, pod, _)| pod.name.clone()),
            load: furthest.map(|(_, _, load)| load),
            request: furthest.and_then(|(_, pod, _)| pod.request),
            maximum: furthest.map(|(_, pod, _)| plausible(pod)),
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn snapshot(value: Value) -> Snapshot {
        serde_json::from_value(value).unwrap()
    }

    #[rstest]
    #[case::unknown(None, Verdict::Skipped, "the clock of the metrics server is not known")]
    #[case::the_same(
        Some(0.0),
        Verdict::Pass,
        "the metrics server's clock is 0 s ahead of the cluster's (at most 60 s allowed)"
    )]
    #[case::latency_offset(
        Some(-31.5),
        Verdict::Pass,
        "the metrics server's clock is 32 s behind the cluster's (at most 60 s allowed)"
    )]
    #[case::at_the_most(
        Some(60.0),
        Verdict::Pass,
        "the metrics server's clock is 60 s ahead of the cluster's (at most 60 s allowed)"
    )]
    #[case::ahead(
        Some(61.0),
        Verdict::Fail,
        "the metrics server's clock is 61 s ahead of the cluster's (at most 60 s allowed): is the \
         time of both synchronized (NTP)?"
    )]
    #[case::behind(
        Some(-10_800.0),
        Verdict::Fail,
        "the metrics server's clock is 3.0 h behind the cluster's (at most 60 s allowed): is the \
         time of both synchronized (NTP)?"
    )]
    #[case::beyond_all_bounds(
        Some(1e13),
        Verdict::Fail,
        "the metrics server's clock is 10000000000000 s ahead of the cluster's (at most 60 s \
         allowed): is the time of both synchronized (NTP)?"
    )]
    fn clocks_may_differ_a_little(
        #[case] difference: Option<f64>,
        #[case] verdict: Verdict,
        #[case] message: &str,
    ) {
        let check = clocks_agree(&snapshot(json!({
            "clock_difference_seconds": difference, "pods": []
        })));
        assert_eq!((check.verdict, check.message.as_str()), (verdict, message));
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], "clocks_agree");
        assert_eq!(json["difference_seconds"].as_f64(), difference);
    }

    #[rstest]
    #[case::no_strangers(
        json!([{"name": "a"}]), 0, Verdict::Pass,
        "the metrics know 0 of 1 ready pods and no others"
    )]
    #[case::a_neighbour(
        json!([{"name": "a", "load": 1.0}, {"name": "b"}]), 3, Verdict::Pass,
        "the metrics know 1 of 2 ready pods; 3 pods are measured that the workload does not have, \
         such as x"
    )]
    #[case::a_fault_is_an_answer(
        json!([{"name": "a", "fault": "not_finite"}]), 1, Verdict::Pass,
        "the metrics know 1 of 1 ready pods; 1 pod is measured that the workload does not have, \
         such as x"
    )]
    #[case::strangers_only(
        json!([{"name": "a"}, {"name": "b"}]), 2, Verdict::Fail,
        "the metrics know 0 of 2 ready pods, but 2 pods are measured that the workload does not \
         have, such as x: are the metrics those of this cluster and of this namespace?"
    )]
    #[case::not_serving(
        json!([{"name": "a"}, {"name": "b", "load": 1.0, "ready": false},
               {"name": "c", "load": 1.0, "owned": false}]),
        1, Verdict::Fail,
        "the metrics know 0 of 1 ready pods, but 1 pod is measured that the workload does not \
         have, such as x: are the metrics those of this cluster and of this namespace?"
    )]
    #[case::all_started_anew(
        json!([{"name": "a", "age_seconds": 20}]), 1, Verdict::Skipped,
        "the metrics know 0 of 0 ready pods; 1 pod is measured that the workload does not have, \
         such as x"
    )]
    #[case::nobody(
        json!([]), 0, Verdict::Skipped,
        "the metrics know 0 of 0 ready pods and no others"
    )]
    fn metrics_of_others_alone_are_not_believed(
        #[case] pods: Value,
        #[case] unknown_pods: usize,
        #[case] verdict: Verdict,
        #[case] message: &str,
    ) {
        let example = (unknown_pods > 0).then_some("x");
        let snapshot = snapshot(json!({
            "strangers": {"pods": unknown_pods, "example": example}, "pods": pods
        }));
        let check = measured_pods_exist(&snapshot, &Policy::default());
        assert_eq!((check.verdict, check.message.as_str()), (verdict, message));
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], "measured_pods_exist");
        assert_eq!(json["strangers"], unknown_pods);
    }

    #[rstest]
    #[case::some(json!([0.0, 0.0, 0.001]), Verdict::Pass, (3, 2))]
    #[case::all(json!([0.0, 0.0]), Verdict::Fail, (2, 2))]
    #[case::negative_zero(json!([-0.0, 0.0]), Verdict::Fail, (2, 2))]
    #[case::one_alone(json!([0.0]), Verdict::Skipped, (1, 1))]
    #[case::the_others_unmeasured(json!([0.0, null]), Verdict::Skipped, (1, 1))]
    #[case::nobody(json!([]), Verdict::Skipped, (0, 0))]
    fn loads_of_zero_everywhere_are_not_believed(
        #[case] loads: Value,
        #[case] verdict: Verdict,
        #[case] counts: (usize, usize),
        #[values(false, true)] custom_load: bool,
    ) {
        let mut pods: Vec<Value> = loads
            .as_array()
            .unwrap()
            .iter()
            .zip('a'..)
            .map(|(load, name)| json!({"name": name.to_string(), "load": load}))
            .collect();
        // Neither of these says anything about the metrics of today.
        pods.push(json!({"name": "stale", "load": 1.0, "sample_age_seconds": 151}));
        pods.push(json!({"name": "unready", "load": 1.0, "ready": false}));
        let snapshot = snapshot(json!({"custom_load": custom_load, "pods": pods}));
        let check = loads_not_all_zero(&snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict, "{}", check.message);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], "loads_not_all_zero");
        let (measured, zero) = counts;
        assert_eq!(
            (&json["measured"], &json["zero"]),
            (&measured.into(), &zero.into())
        );
    }

    #[rstest]
    #[case::of_the_requirement(json!({"load": 60.0, "request": 1.0}), Verdict::Fail, Some(20.0))]
    #[case::at_the_share(json!({"load": 20.0, "request": 1.0}), Verdict::Pass, Some(20.0))]
    #[case::above_the_share(json!({"load": 20.1, "request": 1.0}), Verdict::Fail, Some(20.0))]
    #[case::a_token_request(json!({"load": 16.0, "request": 0.01}), Verdict::Pass, Some(16.0))]
    #[case::above_the_floor(json!({"load": 16.1, "request": 0.01}), Verdict::Fail, Some(16.0))]
    #[case::a_large_request(json!({"load": 600.0, "request": 32.0}), Verdict::Pass, Some(640.0))]
    #[case::no_request(json!({"load": 256.0}), Verdict::Pass, Some(256.0))]
    #[case::more_than_a_machine(json!({"load": 256.5}), Verdict::Fail, Some(256.0))]
    #[case::not_measured(json!({"request": 1.0}), Verdict::Skipped, None)]
    #[case::not_serving(
        json!({"load": 60.0, "request": 1.0, "owned": false}), Verdict::Skipped, None
    )]
    fn what_no_pod_can_spend_is_not_believed(
        #[case] fields: Value,
        #[case] verdict: Verdict,
        #[case] maximum: Option<f64>,
    ) {
        let mut pod = json!({"name": "a"});
        for (key, value) in fields.as_object().unwrap() {
            pod[key] = value.clone();
        }
        let check = load_plausible(&snapshot(json!({"pods": [pod.clone()]})));
        assert_eq!(check.verdict, verdict, "{}", check.message);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], "load_plausible");
        assert_eq!(json["maximum"].as_f64(), maximum);
        // In another unit nothing is implausible.
        let check = load_plausible(&snapshot(json!({"custom_load": true, "pods": [pod]})));
        assert_eq!(check.verdict, Verdict::Skipped);
    }

    #[rstest]
    #[case::several(
        json!([{"name": "a", "load": 30.0, "request": 1.0}, {"name": "b", "load": 60.0, "request": 1.0},
               {"name": "c", "load": 1.0, "request": 1.0}]),
        "2 loads are not plausible: b spends 60.000 cores with a request of 1.000, at most 20 \
         would be plausible: is a counter in another unit, or added up over series of others?"
    )]
    #[case::one(
        json!([{"name": "a", "load": 300.0}, {"name": "b", "load": 1.0}]),
        "1 load is not plausible: a spends 300.000 cores without a request, at most 256 would be \
         plausible: is a counter in another unit, or added up over series of others?"
    )]
    #[case::none_and_the_first_of_equals(
        json!([{"name": "b", "load": 1.0, "request": 1.0}, {"name": "a", "load": 1.0, "request": 1.0}]),
        "all loads are plausible: a spends 1.000 cores with a request of 1.000, at most 20 would \
         be plausible"
    )]
    #[case::nothing(json!([]), "there is no load in cores to look at")]
    fn the_load_furthest_off_is_named(#[case] pods: Value, #[case] message: &str) {
        assert_eq!(
            load_plausible(&snapshot(json!({"pods": pods}))).message,
            message
        );
    }
}
