//! Check: no pod uses more CPU than a pod can use.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rule::{CheckInput, Failure, Rule, Verdict};
use crate::hold_reason::HoldReason;
use crate::model::{Cores, Load, LoadUnit, Pod};

/// The multiple of its own CPU request that no container uses. Consumers do burst to several times
/// a modest request; twenty times is a counter in another unit, or a sum of several series.
const PLAUSIBLE_MULTIPLE: f64 = 20.0;

/// The load that is plausible for any container, in cores. A request may be a token such as 10m, of
/// which twenty times is little.
const PLAUSIBLE_CORES: f64 = 16.0;

/// The load that is plausible for a container without a CPU request, in cores: a large machine.
const PLAUSIBLE_CORES_WITHOUT_REQUEST: f64 = 256.0;

/// No pod uses more CPU than a pod can use. Skipped for loads in another unit than cores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadPlausible {
    /// Number of ready pods with an implausible load.
    pub pods: usize,
    /// The ready pod whose load is the highest multiple of its plausible maximum.
    pub example: Option<String>,
    /// The load of that pod, in cores.
    pub load: Option<Load>,
    /// The CPU request of its measured container, in cores; `None` if it has none.
    pub request: Option<Cores>,
    /// The highest plausible load of that pod, in cores.
    pub maximum: Option<f64>,
}

impl HoldReason {
    /// A load is higher than a pod can have.
    pub const IMPLAUSIBLE_LOAD: Self = Self::new(
        "implausible_load",
        "a load is above 20 × its CPU request and above 16 cores (256 without a request); loads of \
         a custom query are not checked",
        "check whether a counter is in another unit, or is a sum of several series",
    )
    .missing_data();
}

impl Rule for LoadPlausible {
    const REASONS: &'static [HoldReason] = &[HoldReason::IMPLAUSIBLE_LOAD];

    /// Also checks young and stale loads: an implausible one shows that the counters are not what
    /// they are taken for.
    fn evaluate(input: &CheckInput<'_>) -> Option<(Verdict, Self)> {
        let mut implausible = 0;
        let mut highest: Option<(f64, &Pod, Load)> = None;
        let pods = match input.snapshot.load_unit() {
            LoadUnit::Cores => input.snapshot.pods(),
            LoadUnit::Custom => &[],
        };
        for pod in pods.iter().filter(|pod| pod.serves()) {
            let Some(load) = pod.load() else { continue };
            let multiple = load.get() / plausible_maximum(pod);
            implausible += usize::from(multiple > 1.0);
            let is_highest = highest.is_none_or(|(most, other, _)| {
                multiple > most || (multiple == most && pod.name < other.name)
            });
            if is_highest {
                highest = Some((multiple, pod, load));
            }
        }
        let verdict = match highest {
            None => Verdict::Skipped,
            Some(_) => Verdict::pass_if(implausible == 0),
        };
        Some((
            verdict,
            Self {
                pods: implausible,
                example: highest.map(|(_, pod, _)| pod.name.clone()),
                load: highest.map(|(_, _, load)| load),
                request: highest.and_then(|(_, pod, _)| pod.request),
                maximum: highest.map(|(_, pod, _)| plausible_maximum(pod)),
            },
        ))
    }

    fn failure(&self) -> Failure {
        Failure {
            reason: HoldReason::IMPLAUSIBLE_LOAD,
            missing_data: true,
            untrusted_loads: true,
        }
    }
}

/// The highest plausible load of a pod, in cores.
fn plausible_maximum(pod: &Pod) -> f64 {
    pod.request
        .map_or(PLAUSIBLE_CORES_WITHOUT_REQUEST, |request| {
            (PLAUSIBLE_MULTIPLE * request.get()).max(PLAUSIBLE_CORES)
        })
}

impl fmt::Display for LoadPlausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(example), Some(load), Some(maximum)) = (&self.example, self.load, self.maximum)
        else {
            return f.write_str("there is no load in cores to check");
        };
        match self.pods {
            0 => f.write_str("all loads are plausible")?,
            1 => f.write_str("1 load is implausible")?,
            pods => write!(f, "{pods} loads are implausible")?,
        }
        write!(f, ": {example} uses {load:.3} cores ")?;
        match self.request {
            Some(request) => write!(f, "with a request of {request:.3}")?,
            None => f.write_str("without a request")?,
        }
        write!(f, " (at most {maximum} is plausible)")?;
        if self.pods > 0 {
            f.write_str(
                ": check whether a counter is in another unit, or is a sum of several series",
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::testing::check_snapshot;
    use super::*;
    use crate::checks::CheckDetails;
    use crate::policy::Policy;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::sixty_times(json!({"load": 60.0, "request": 1.0}), Verdict::Fail, Some(20.0))]
    #[case::at_the_multiple(json!({"load": 20.0, "request": 1.0}), Verdict::Pass, Some(20.0))]
    #[case::above_the_multiple(json!({"load": 20.1, "request": 1.0}), Verdict::Fail, Some(20.0))]
    #[case::token_request(json!({"load": 16.0, "request": 0.01}), Verdict::Pass, Some(16.0))]
    #[case::above_the_floor(json!({"load": 16.1, "request": 0.01}), Verdict::Fail, Some(16.0))]
    #[case::large_request(json!({"load": 600.0, "request": 32.0}), Verdict::Pass, Some(640.0))]
    #[case::no_request(json!({"load": 256.0}), Verdict::Pass, Some(256.0))]
    #[case::more_than_a_machine(json!({"load": 256.5}), Verdict::Fail, Some(256.0))]
    #[case::not_measured(json!({"request": 1.0}), Verdict::Skipped, None)]
    #[case::not_owned(
        json!({"load": 60.0, "request": 1.0, "owned": false}), Verdict::Skipped, None
    )]
    fn fails_above_the_plausible_maximum(
        #[case] fields: Value,
        #[case] verdict: Verdict,
        #[case] maximum: Option<f64>,
    ) {
        let mut pod = json!({"name": "a"});
        for (key, value) in fields.as_object().unwrap() {
            pod[key] = value.clone();
        }
        let snapshot = json!({"pods": [pod.clone()]});
        let check = check_snapshot(CheckDetails::LoadPlausible, &snapshot, &Policy::default());
        assert_eq!(check.verdict, verdict, "{}", check.message);
        let json = serde_json::to_value(&check).unwrap();
        assert_eq!(json["name"], "load_plausible");
        assert_eq!(json["maximum"].as_f64(), maximum);
        // No load of another unit is implausible.
        let snapshot = json!({"custom_load": true, "pods": [pod]});
        let check = check_snapshot(CheckDetails::LoadPlausible, &snapshot, &Policy::default());
        assert_eq!(check.verdict, Verdict::Skipped);
    }

    #[rstest]
    #[case::several(
        json!([{"name": "a", "load": 30.0, "request": 1.0}, {"name": "b", "load": 60.0, "request": 1.0},
               {"name": "c", "load": 1.0, "request": 1.0}]),
        "2 loads are implausible: b uses 60.000 cores with a request of 1.000 (at most 20 is \
         plausible): check whether a counter is in another unit, or is a sum of several series"
    )]
    #[case::one(
        json!([{"name": "a", "load": 300.0}, {"name": "b", "load": 1.0}]),
        "1 load is implausible: a uses 300.000 cores without a request (at most 256 is plausible): \
         check whether a counter is in another unit, or is a sum of several series"
    )]
    #[case::tie_names_the_first_by_name(
        json!([{"name": "b", "load": 1.0, "request": 1.0}, {"name": "a", "load": 1.0, "request": 1.0}]),
        "all loads are plausible: a uses 1.000 cores with a request of 1.000 (at most 20 is \
         plausible)"
    )]
    #[case::no_pods(json!([]), "there is no load in cores to check")]
    fn message_names_the_most_implausible_load(#[case] pods: Value, #[case] message: &str) {
        let snapshot = json!({"pods": pods});
        let check = check_snapshot(CheckDetails::LoadPlausible, &snapshot, &Policy::default());
        assert_eq!(check.message, message);
    }
}
