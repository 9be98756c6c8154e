//! What runs in the pods of a namespace, where a test brings something that really works.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::meters::Meters;

/// Something that works in each pod of a namespace, from the moment at which the pod becomes ready
/// until it ends.
///
/// Both calls may block: they are made where that hinders nobody.
pub trait Work: Send + Sync {
    /// A pod has started.
    fn start(&self, pod: RunningPod);

    /// A pod is about to end, which waits for the return. It may never have started.
    fn stop(&self, pod: &RunningPod);

    /// What the pods export, in Prometheus' text format. Both metrics servers scrape it, and its
    /// labels stay as they are.
    fn metrics(&self) -> String;
}

/// A pod that something works in.
#[derive(Clone)]
pub struct RunningPod {
    name: String,
    uid: String,
    meters: Arc<Meters>,
}

impl RunningPod {
    pub(crate) fn new(name: String, uid: String, meters: Arc<Meters>) -> Self {
        Self { name, uid, meters }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Adds to the CPU seconds of its first container, beside the load that it has been given.
    pub fn spend(&self, cpu_seconds: f64) {
        self.meters.spend(&self.uid, cpu_seconds);
    }
}

impl fmt::Debug for RunningPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.uid)
    }
}

/// What runs, by namespace.
#[derive(Default)]
pub(crate) struct Works(Mutex<HashMap<String, Arc<dyn Work>>>);

impl Works {
    /// From now on this runs in the pods of a namespace that start.
    pub(crate) fn set(&self, namespace: &str, work: Arc<dyn Work>) {
        let works = self.0.lock();
        works
            .unwrap_or_else(PoisonError::into_inner)
            .insert(namespace.to_owned(), work);
    }

    /// What runs in the pods of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Option<Arc<dyn Work>> {
        let works = self.0.lock();
        works
            .unwrap_or_else(PoisonError::into_inner)
            .get(namespace)
            .cloned()
    }

    /// What all of them export.
    pub(crate) fn metrics(&self) -> String {
        let works = self.0.lock();
        let works = works.unwrap_or_else(PoisonError::into_inner);
        works.values().map(|work| work.metrics()).collect()
    }
}
