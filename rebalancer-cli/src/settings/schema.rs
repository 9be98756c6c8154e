//! The JSON Schema of the configuration file, from the registry.

use serde_json::{Map, Value, json};

use super::layers::WORKLOADS;
use super::registry::{SETTINGS, Setting};

/// The JSON Schema (draft 2020-12) of the configuration file.
#[must_use]
pub fn schema() -> Value {
    let mut properties: Map<String, Value> = SETTINGS
        .iter()
        .map(|setting| (setting.key(), property(setting)))
        .collect();
    let of_a_workload: Map<String, Value> = SETTINGS
        .iter()
        .filter(|setting| !setting.is_global())
        .map(|setting| (setting.key(), property(setting)))
        .collect();
    properties.insert(
        WORKLOADS.into(),
        json!({
            "description": "The workloads of the run; each entry's settings stand over the common ones",
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": of_a_workload,
                "additionalProperties": false,
            },
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of the rebalancer",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(setting: &Setting) -> Value {
    let mut property = match setting.value {
        "BOOL" => json!({"type": "boolean"}),
        "N" => json!({"type": "integer", "minimum": 1}),
        "PERCENT" => json!({"type": "number", "minimum": 0, "maximum": 100}),
        "X" => json!({"type": "number", "minimum": 1}),
        "CORES" => json!({"type": "number", "exclusiveMinimum": 0}),
        "N|PERCENT" => json!({"type": ["integer", "string"]}),
        "NAME=VALUE,…" => json!({
            "type": ["string", "object"],
            "additionalProperties": {"type": "string"},
        }),
        _ => json!({"type": "string"}),
    };
    if let Some(object) = property.as_object_mut() {
        let default = match setting.default {
            "" => "required".to_owned(),
            default => format!("default: {default}"),
        };
        object.insert(
            "description".into(),
            format!("{} ({default}); also {}", setting.help, setting.env).into(),
        );
    }
    property
}
