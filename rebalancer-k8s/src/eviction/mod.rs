//! Evictions and deletes of pods.

mod answer;
mod request;

pub(crate) use answer::answer;
pub(crate) use request::Eviction;

#[cfg(test)]
mod testing {
    use super::Eviction;
    use crate::settings::EvictionMethod;
    use rebalancer_core::model::{PodRef, PodUid};

    pub(super) fn pod() -> PodRef {
        PodRef {
            name: "ingestion-0".into(),
            uid: PodUid("u1".into()),
        }
    }

    pub(super) fn eviction(
        method: EvictionMethod,
        grace_period: Option<u32>,
        dry_run: bool,
    ) -> Eviction<'static> {
        Eviction {
            namespace: "posthog",
            method,
            grace_period,
            dry_run,
        }
    }
}
