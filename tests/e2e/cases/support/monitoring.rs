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

/// The dashboard.
fn dashboard() -> Value {
    let dashboard = std::fs::read_to_string(path("dashboard.json")).unwrap();
    serde_json::from_str(&dashboard).unwrap()
}

/// A variable of the dashboard whose values are those of a label.
pub(crate) struct LabelVariable {
    /// The name, as in `$name`.
    pub(crate) name: String,
    /// The selector of the series.
    pub(crate) selector: String,
    /// The label.
    pub(crate) label: String,
}

/// The variables of the dashboard that Grafana fills by a query: `label_values(SELECTOR, LABEL)`.
pub(crate) fn label_variables() -> Vec<LabelVariable> {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let queried = variables.filter(|variable| variable["type"] == "query");
    queried
        .map(|variable| {
            let query = variable["query"]["query"].as_str().unwrap();
            assert_eq!(variable["definition"], query);
            let arguments = query.strip_prefix("label_values(").unwrap();
            let arguments = arguments.strip_suffix(')').unwrap();
            let (selector, label) = arguments.rsplit_once(", ").unwrap();
            LabelVariable {
                name: variable["name"].as_str().unwrap().to_owned(),
                selector: selector.to_owned(),
                label: label.to_owned(),
            }
        })
        .collect()
}

/// The titles and queries of the dashboard.
fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
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
