//! Real work inside the simulated pods.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::meters::Meters;

/// Work that a test runs in each pod of a namespace, from the pod's readiness to its end.
///
/// Both calls may block; they run on a thread for blocking calls.
pub trait Work: Send + Sync {
    /// Called when a pod has started.
    fn start(&self, pod: RunningPod);

    /// Called before a pod terminates; the pod waits for the return. The pod may never have
    /// started.
    fn stop(&self, pod: &RunningPod);

    /// The metrics that the pods export, in Prometheus' text format. Both metrics servers scrape
    /// them and keep their labels.
    fn metrics(&self) -> String;
}

/// A pod with work in it.
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

    /// The name of the pod.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The UID of the pod.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Adds CPU seconds to the first container, in addition to its set load.
    pub fn spend(&self, cpu_seconds: f64) {
        self.meters.spend(&self.uid, cpu_seconds);
    }
}

impl fmt::Debug for RunningPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.uid)
    }
}

/// The work by namespace.
#[derive(Default)]
pub(crate) struct Works(Mutex<HashMap<String, Arc<dyn Work>>>);

impl Works {
    /// Sets the work for the future pods of a namespace.
    pub(crate) fn set(&self, namespace: &str, work: Arc<dyn Work>) {
        let works = self.0.lock();
        works
            .unwrap_or_else(PoisonError::into_inner)
            .insert(namespace.to_owned(), work);
    }

    /// Removes the work of a namespace.
    pub(crate) fn remove(&self, namespace: &str) {
        let works = self.0.lock();
        works
            .unwrap_or_else(PoisonError::into_inner)
            .remove(namespace);
    }

    /// The work for the pods of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Option<Arc<dyn Work>> {
        let works = self.0.lock();
        works
            .unwrap_or_else(PoisonError::into_inner)
            .get(namespace)
            .cloned()
    }

    /// The exported metrics of all work.
    pub(crate) fn metrics(&self) -> String {
        let works = self.0.lock();
        let works = works.unwrap_or_else(PoisonError::into_inner);
        works.values().map(|work| work.metrics()).collect()
    }
}
