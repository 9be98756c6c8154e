//! SoftwareMill's `klag-exporter`, the successor of `kafka-lag-exporter`.

use super::{GroupMetrics, Preset, kafka_lag_exporter};

impl GroupMetrics {
    /// SoftwareMill's `klag-exporter`, with partition granularity. Owners and rates.
    ///
    /// The metrics and labels are those of [`KAFKA_LAG_EXPORTER`](Self::KAFKA_LAG_EXPORTER). For a
    /// partition without an owner, the labels of the member are empty.
    pub const KLAG_EXPORTER: Self = Self(&PRESET);
}

const PRESET: Preset = Preset {
    name: "klag-exporter",
    ..kafka_lag_exporter::PRESET
};
