//! From the responses to the owner and rate queries to one observation of the group.

use std::collections::BTreeSet;
use std::time::Duration;

use rebalancer_core::model::Seconds;
use rebalancer_core::ports::{GroupObservation, OffsetsWentBack};

use super::clusters::{self, Dispute};
use super::owners::{OwnerRules, Owners, owned};
use super::rates::Rates;
use super::topics;

/// The responses about a group.
#[derive(Debug)]
pub(crate) struct GroupResponses {
    /// The current owners.
    pub(crate) owners: Owners,
    /// The owners one cooldown ago.
    pub(crate) before: Option<Owners>,
    /// The rates; `None` if they were not queried.
    pub(crate) rates: Option<Rates>,
    /// The partition whose series disagree about its offset, if there is one.
    pub(crate) dispute: Option<Dispute>,
    /// The window of the rates.
    pub(crate) window: Duration,
    /// The rules by which the owners are read.
    pub(crate) rules: OwnerRules,
    /// Whether the owners may be those of other groups as well.
    pub(crate) other_groups: bool,
}

impl GroupResponses {
    /// Combines the responses into one observation.
    pub(crate) fn into_observation(self) -> GroupObservation {
        let Self {
            owners,
            before,
            rates,
            dispute,
            window,
            rules,
            other_groups,
        } = self;
        let rates_partial = rates.as_ref().and_then(|rates| rates.partial.clone());
        let mut partial: Vec<String> = owners.partial.clone().into_iter().collect();
        partial.extend(rates_partial);
        let owned = owned(owners, before, rules);
        partial.extend(owned.unclear);
        let mut owners = owned.owners;
        // A partial response about the past is accepted: it is enough to see that partitions moved.
        let mut before = owned.before;
        if owned.clusters.len() > 1 {
            partial.push(clusters::of_group(&owned.clusters, rules));
        }
        let mut rates = rates;
        if let (Some(rates), None) = (&mut rates, owned.clusters.first()) {
            let topics: BTreeSet<&str> = owners.iter().map(|owner| owner.topic.as_str()).collect();
            partial.extend(rates.keep_one_cluster(&topics));
        }
        let rates = rates.map(|rates| rates.of_cluster(owned.clusters.first()));
        partial.extend(dispute.map(|dispute| dispute.to_string()));
        let (rates, went_back) = rates.map_or((None, Vec::new()), |rates| {
            (Some(rates.samples), rates.went_back)
        });
        partial.extend(topics::restore_names(
            &mut owners,
            before.as_mut().unwrap_or(&mut Vec::new()),
            rates.as_deref().unwrap_or_default(),
        ));
        GroupObservation {
            owners,
            owners_before: before,
            rate_unit: rates.is_some().then(|| "per second".to_owned()),
            rates,
            offsets_went_back: (!went_back.is_empty()).then(|| OffsetsWentBack {
                partitions: went_back,
                window_seconds: Seconds::from(window),
            }),
            other_groups,
            partial: (!partial.is_empty()).then(|| partial.join("; ")),
            notes: owned.notes,
            ..GroupObservation::default()
        }
    }
}
