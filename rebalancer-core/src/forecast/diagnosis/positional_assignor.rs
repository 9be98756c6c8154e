//! An assignor that depends on the ranks of the member ids only.

use std::fmt;

use serde::{Deserialize, Serialize};

use kafka_assignors::subscribed_alike;

use super::Kind;
use super::view::View;
use crate::model::LoadUnit;

/// The assignor depends on the ranks of the member ids only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PositionalAssignor {
    /// The assignor, and the source of this knowledge.
    pub assignor: String,
}

impl Kind for PositionalAssignor {
    const STRUCTURAL: bool = true;

    fn fmt(&self, _unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no eviction or rejoin changes the loads, only which pod has which: the assignor is {}, \
             which depends on the rank of the member ids only; use cooperative-sticky (or uniform, \
             with group.protocol=consumer)",
            self.assignor
        )
    }
}

pub(super) fn find(view: &View<'_>) -> Option<PositionalAssignor> {
    let positional =
        view.subject.algorithm.is_positional() && subscribed_alike(&view.group.members);
    (positional && view.any_hot_by_partitions()).then(|| PositionalAssignor {
        assignor: view.group.assignor.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::one_hot;
    use kafka_assignors::{Algorithm, Subscription};
    use rstest::rstest;

    #[rstest]
    #[case(Algorithm::Range, true)]
    #[case(Algorithm::RoundRobin, true)]
    #[case(Algorithm::ConsumerRange, true)]
    #[case(Algorithm::Sticky, false)]
    #[case(Algorithm::CooperativeSticky, false)]
    #[case(Algorithm::LibrdkafkaSticky, false)]
    #[case(Algorithm::LibrdkafkaCooperativeSticky, false)]
    #[case(Algorithm::Uniform, false)]
    fn positional_assignor(#[case] algorithm: Algorithm, #[case] is_positional: bool) {
        let case = one_hot().with(|case| case.algorithm = algorithm);
        let message = "no eviction or rejoin changes the loads, only which pod has which: the assignor is \
                       range (as configured), which depends on the rank of the member ids only; \
                       use cooperative-sticky (or uniform, with group.protocol=consumer)";
        assert_eq!(
            case.message("positional_assignor").as_deref(),
            is_positional.then_some(message)
        );
        let differing = case.with(|case| {
            case.group.members[1].subscription = Subscription::new([]);
        });
        assert_eq!(differing.message("positional_assignor"), None);
    }
}
