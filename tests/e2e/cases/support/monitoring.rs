//! The files of `deploy/monitoring`.

use std::path::PathBuf;

use serde_json::Value;

use super::installers::in_repository;

/// The metrics that only `rebalancer serve` has.
const SERVED: [&str; 5] = [
    "rebalancer_leader",
    "rebalancer_config_last_reload_",
    "rebalancer_next_run_timestamp_seconds",
    "rebalancer_missed_runs_total",
    "rebalancer_run_duration_seconds",
];

/// The path of a file.
pub(crate) fn path(file: &str) -> PathBuf {
    in_repository("deploy/monitoring").join(file)
}

/// The titles and queries of the dashboard.
fn queries() -> Vec<(String, String)> {
    let dashboard = std::fs::read_to_string(path("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap().iter();
        targets.map(move |target| {
            (
                title.to_owned(),
                target["expr"].as_str().unwrap().to_owned(),
            )
        })
    });
    targets.collect()
}

fn is_about_serve(query: &str) -> bool {
    SERVED.iter().any(|metric| query.contains(metric))
}

/// The titles and queries of the dashboard about runs, which every run has.
pub(crate) fn queries_about_runs() -> Vec<(String, String)> {
    let mut queries = queries();
    queries.retain(|(_, query)| !is_about_serve(query));
    queries
}

/// The queries of the dashboard about the resident process.
pub(crate) fn queries_about_serve() -> Vec<String> {
    let queries = queries().into_iter().map(|(_, query)| query);
    let queries: Vec<String> = queries.filter(|query| is_about_serve(query)).collect();
    assert!(queries.len() >= 4, "{queries:?}");
    queries
}
