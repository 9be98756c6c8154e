//! The ready pods of a workload, and the pods that fail to become ready.

use bytes::Bytes;
use rebalancer_core::model::PodFailure;

use super::{PodObject, read_page};
use crate::pages::{BadPage, PageEnd, Pages};

/// Counts the ready pods of a workload until there are enough.
pub(crate) struct ReadyCount<'s> {
    owners: &'s [String],
    enough: usize,
    pub(crate) ready: usize,
    /// The workload's pods that fail to become ready, among the pods read so far.
    pub(crate) failures: Vec<PodFailure>,
}

impl<'s> ReadyCount<'s> {
    /// `owners` are the UIDs of the workload and of the objects that it controls.
    pub(crate) fn new(owners: &'s [String], enough: usize) -> Self {
        Self {
            owners,
            enough,
            ready: 0,
            failures: Vec::new(),
        }
    }

    fn add(&mut self, pod: &PodObject) {
        let is_owned = || {
            pod.controller()
                .is_some_and(|owner| self.owners.iter().any(|uid| owner.uid == *uid))
        };
        if pod.serves() {
            self.ready += usize::from(is_owned());
        } else if let Some(failure) = pod.failure()
            && is_owned()
        {
            self.failures.push(failure);
        }
    }
}

impl Pages for ReadyCount<'_> {
    fn restart(&mut self) {
        self.ready = 0;
        self.failures.clear();
    }

    fn page(&mut self, body: &Bytes) -> Result<PageEnd, BadPage> {
        let mut end = read_page(body, |pod| {
            self.add(pod);
            Ok(())
        })?;
        end.enough = self.ready >= self.enough;
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bodies, pod, with};
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_ready_pods_until_there_are_enough() {
        let list = json!({
            "metadata": {"continue": "more"},
            "kind": "PodList",
            "items": [
                pod(),
                pod(),
                with("/status/phase", json!("Pending")),
                with("/metadata/deletionTimestamp", json!("2026-01-02T03:10:30Z")),
                with("/metadata/ownerReferences", json!([])),
            ]
        });
        let owners = ["rs1".to_owned()];
        for (enough, stops) in [(2, true), (3, false)] {
            for body in &bodies(&list) {
                let mut count = ReadyCount::new(&owners, enough);
                let end = count.page(body).unwrap();
                assert_eq!((count.ready, end.enough), (2, stops));
                assert_eq!(end.next.as_deref(), Some("more"));
            }
        }
    }
}
