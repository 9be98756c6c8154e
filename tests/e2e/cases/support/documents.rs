//! Builders for the documents that cases give to the program.

use serde_json::{Value, json};

/// The loads of the worked example, in cores: six pods around a target of 0.7.
pub(crate) const EXAMPLE: [f64; 6] = [1.2, 1.1, 0.8, 0.6, 0.4, 0.3];

/// A snapshot with a target of 0.7 cores and pods `a`, `b`, … with these loads.
pub(crate) fn snapshot(loads: &[f64]) -> String {
    let pods: Vec<Value> = loads
        .iter()
        .zip('a'..)
        .map(|(load, name)| json!({"name": name, "load": load}))
        .collect();
    json!({"target": 0.7, "pods": pods}).to_string()
}

/// A response of the Prometheus API: an instant vector with one sample per pod at a Unix time.
pub(crate) fn instant_vector<'a>(
    pods: impl IntoIterator<Item = &'a str>,
    time: f64,
    value: &str,
) -> String {
    let samples: Vec<Value> = pods
        .into_iter()
        .map(|pod| json!({"metric": {"pod": pod}, "value": [time, value]}))
        .collect();
    let data = json!({"resultType": "vector", "result": samples});
    json!({"status": "success", "data": data}).to_string()
}
