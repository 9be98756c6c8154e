//! The JSON Schema of the configuration file, derived from the definitions of the settings.

use serde_json::{Map, Value, json};

use super::definition::Setting;
use super::definitions::all;
use super::file::WORKLOADS;
use super::value::JsonType;

/// The JSON Schema (draft 2020-12) of the configuration file.
#[must_use]
pub fn schema() -> Value {
    let mut properties = properties(all());
    let of_a_workload = self::properties(all().filter(|setting| !setting.is_of_the_whole_run()));
    properties.insert(
        WORKLOADS.into(),
        json!({
            "description": "The workloads of the run; the settings of an entry override the common ones",
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

fn properties(settings: impl Iterator<Item = &'static dyn Setting>) -> Map<String, Value> {
    settings
        .map(|setting| (setting.key(), property(setting)))
        .collect()
}

fn property(setting: &dyn Setting) -> Value {
    let mut property = match setting.json_type() {
        JsonType::Text => json!({"type": "string"}),
        JsonType::Boolean => json!({"type": "boolean"}),
        JsonType::Count => json!({"type": "integer", "minimum": 1}),
        JsonType::Percent => json!({"type": "number", "minimum": 0, "maximum": 100}),
        JsonType::Multiple => json!({"type": "number", "minimum": 1}),
        JsonType::Amount => json!({"type": "number", "exclusiveMinimum": 0}),
        JsonType::CountOrText => json!({"type": ["integer", "string"]}),
        JsonType::TextOrTable => json!({
            "type": ["string", "object"],
            "additionalProperties": {"type": "string"},
        }),
    };
    if let Some(object) = property.as_object_mut() {
        let default = setting.default_text().map_or_else(
            || "required".to_owned(),
            |default| format!("default: {default}"),
        );
        let description = format!("{} ({default}); also {}", setting.help(), setting.env());
        object.insert("description".into(), description.into());
    }
    property
}
