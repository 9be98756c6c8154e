//! The pods of a decision.

use serde::{Deserialize, Serialize};

use crate::checks::{Ineligible, Ranking};
use crate::model::{Load, PodUid, Seconds};
use crate::plan::Role;

/// What a decision says about one pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodAssessment {
    /// The name of the pod.
    pub name: String,
    /// The UID of the pod.
    pub uid: PodUid,
    /// The load, in cores or in the unit of a custom load query; absent if not measured.
    pub load: Option<Load>,
    /// Age of the newest sample behind the load, in seconds; absent if unknown.
    pub sample_age_seconds: Option<Seconds>,
    /// Age of the pod, in seconds; absent if unknown.
    pub age_seconds: Option<Seconds>,
    /// Whether the pod may be a victim.
    pub eligible: bool,
    /// Every reason why the pod may not be a victim.
    pub reasons: Vec<Ineligible>,
    /// The role that the strategy gives the pod, whether or not the plan is executed.
    pub role: Option<Role>,
}

/// Assesses the pods in the order of the ranking. `roles` has the role of each pod by index.
pub(super) fn assess(ranking: Ranking<'_>, roles: &[Option<Role>]) -> Vec<PodAssessment> {
    let pods = ranking.into_pods().into_iter();
    pods.map(|ranked| PodAssessment {
        name: ranked.pod.name.clone(),
        uid: ranked.pod.uid.clone(),
        load: ranked.pod.load(),
        sample_age_seconds: ranked.pod.measurement.samples().age,
        age_seconds: ranked.pod.age_seconds,
        eligible: ranked.reasons.is_empty(),
        reasons: ranked.reasons,
        role: roles[ranked.index.get()],
    })
    .collect()
}
