//! The JSON of a Prometheus API response.
//!
//! The types of `prometheus-http-query` allocate a map of labels for each sample and drop the
//! warnings. These types borrow from the body and keep only the required fields.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::labels::LabelName;

/// A string of the body, borrowed unless it contains escapes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// The envelope of a response. `D` is the part of `data` that is read: the samples of a vector, or
/// only the type of the result.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "D: Deserialize<'de>"))]
pub(crate) struct Head<'a, D = ResultType<'a>> {
    #[serde(borrow)]
    pub(crate) status: Text<'a>,
    /// The result of the query; absent if the query failed.
    #[serde(default = "none")]
    pub(crate) data: Option<D>,
    /// The kind of failure; VictoriaMetrics reports the HTTP status.
    #[serde(rename = "errorType", default, borrow)]
    pub(crate) error_type: Option<Text<'a>>,
    /// The message about the failure.
    #[serde(default, borrow)]
    pub(crate) error: Option<Text<'a>>,
    /// Problems of the server; the response may be incomplete.
    #[serde(default, borrow)]
    pub(crate) warnings: Option<Vec<Text<'a>>>,
    /// Remarks about the query; the response is complete.
    #[serde(default, borrow)]
    pub(crate) infos: Option<Vec<Text<'a>>>,
    /// Whether a part of the storage of a VictoriaMetrics cluster did not respond.
    #[serde(rename = "isPartial", default)]
    pub(crate) is_partial: Option<bool>,
}

/// The default of `data`. `#[serde(default)]` would require `D: Default`.
fn none<D>() -> Option<D> {
    None
}

/// The part of `data` with the type of the result.
#[derive(Debug, Deserialize)]
pub(crate) struct ResultType<'a> {
    #[serde(rename = "resultType", borrow)]
    pub(crate) result_type: Text<'a>,
}

/// The `data` of an instant vector or of a matrix.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub(crate) struct QueryResult<'a, S> {
    #[serde(rename = "resultType", borrow)]
    pub(crate) result_type: Text<'a>,
    pub(crate) result: Vec<S>,
}

/// One sample of an instant vector.
#[derive(Debug, Deserialize)]
pub(crate) struct Sample<'a> {
    #[serde(rename = "metric", borrow)]
    pub(crate) labels: Labels<'a>,
    /// The value; absent in a sample of a native histogram.
    #[serde(default)]
    pub(crate) value: Option<SampleValue>,
}

/// One series of a matrix: its labels, and the times of its samples.
#[derive(Debug, Deserialize)]
pub(crate) struct RawSeries<'a> {
    #[serde(rename = "metric", borrow)]
    pub(crate) labels: Labels<'a>,
    /// The samples; absent in a series of native histograms.
    #[serde(default)]
    pub(crate) values: SampleTimes,
}

/// One series of a matrix: its labels, and its samples.
#[derive(Debug, Deserialize)]
pub(crate) struct RangeSeries<'a> {
    #[serde(rename = "metric", borrow)]
    pub(crate) labels: Labels<'a>,
    /// The samples; absent in a series of native histograms.
    #[serde(default)]
    pub(crate) values: Vec<SampleValue>,
}

/// The times of the samples of a series, in seconds since 1970. The samples themselves are not
/// kept.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct SampleTimes {
    pub(crate) first: f64,
    pub(crate) last: f64,
    /// Number of samples. The times are 0 if there are none.
    pub(crate) count: u32,
}

impl<'de> Deserialize<'de> for SampleTimes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimesVisitor;

        impl<'de> Visitor<'de> for TimesVisitor {
            type Value = SampleTimes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of samples")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut samples: A) -> Result<Self::Value, A::Error> {
                let mut times = SampleTimes::default();
                while let Some(sample) = samples.next_element::<SampleValue>()? {
                    // VictoriaMetrics shows the end of a series as NaN.
                    if sample.number.is_nan() {
                        continue;
                    }
                    if times.count == 0 {
                        times.first = sample.at;
                    }
                    times.last = sample.at;
                    times.count = times.count.saturating_add(1);
                }
                Ok(times)
            }
        }

        deserializer.deserialize_seq(TimesVisitor)
    }
}

/// The labels of a sample. `pod` is a separate field, so that samples without other labels need
/// no list; a response has thousands of them.
#[derive(Debug, Default)]
pub(crate) struct Labels<'a> {
    pub(crate) pod: Option<Cow<'a, str>>,
    others: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Labels<'_> {
    /// Returns the names and the values of all labels. The order is not defined.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pod = self.pod.as_ref().map(|pod| ("pod", pod.as_ref()));
        let others = self.others.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
        pod.into_iter().chain(others)
    }

    /// Returns the value of a label. An empty value is the same as no label, as in PromQL.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = if name == "pod" {
            self.pod.as_deref()
        } else {
            self.others
                .iter()
                .find(|(label, _)| label == name)
                .map(|(_, value)| value.as_ref())
        };
        value.filter(|value| !value.is_empty())
    }

    /// Returns the name of the pod: in the label of the settings, or else in `pod`, which a custom
    /// query may have kept.
    pub(crate) fn pod(&self, label: &LabelName) -> Option<&str> {
        self.get(label.as_str()).or_else(|| self.get("pod"))
    }
}

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.others.is_empty() && self.pod.is_none() {
            return f.write_str("none");
        }
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;

        impl<'de> Visitor<'de> for LabelsVisitor {
            type Value = Labels<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = Labels::default();
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    if name == "pod" {
                        labels.pod = Some(value);
                    } else {
                        labels.others.push((name, value));
                    }
                }
                Ok(labels)
            }
        }

        deserializer.deserialize_map(LabelsVisitor)
    }
}

/// The time and the number of a sample. JSON has the number as a string, because it cannot
/// represent NaN and infinities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SampleValue {
    /// Seconds since 1970. In an instant vector this is the evaluation time of the query, not the
    /// time of the sample.
    pub(crate) at: f64,
    pub(crate) number: f64,
}

impl<'de> Deserialize<'de> for SampleValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, Text(number)): (f64, Text<'de>) = Deserialize::deserialize(deserializer)?;
        number
            .parse()
            .map(|number| Self { at, number })
            .map_err(|_| D::Error::custom(format_args!("`{number}` is not a number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#"[1.5,"1.25"]"#, Some(1.25))]
    #[case(r#"[1,"1e-3"]"#, Some(0.001))]
    #[case(r#"[1,"+Inf"]"#, Some(f64::INFINITY))]
    #[case(r#"[1,"-Inf"]"#, Some(f64::NEG_INFINITY))]
    #[case(r#"[1,"NaN"]"#, Some(f64::NAN))]
    #[case(r#"[1,"x"]"#, None)]
    #[case(r#"[1,2]"#, None)]
    #[case(r#"[1]"#, None)]
    #[case(r#"["1","2"]"#, None)]
    fn value_is_a_number_in_a_string(#[case] json: &str, #[case] expected: Option<f64>) {
        let value = serde_json::from_str::<SampleValue>(json).ok();
        match (value, expected) {
            (Some(SampleValue { number: got, .. }), Some(expected)) => {
                assert!(got == expected || (got.is_nan() && expected.is_nan()));
            }
            (got, expected) => assert_eq!(got.map(|value| value.number), expected),
        }
    }

    #[test]
    fn value_has_a_time() {
        let value: SampleValue = serde_json::from_str(r#"[1795471462.279,"2"]"#).unwrap();
        assert_eq!((value.at, value.number), (1_795_471_462.279, 2.0));
    }

    #[rstest]
    #[case(r#"[[1,"5"],[2.5,"6"],[4,"7"]]"#, (1.0, 4.0, 3))]
    #[case(r#"[[1,"5"],[2.5,"6"],[4,"NaN"]]"#, (1.0, 2.5, 2))]
    #[case(r#"[[7,"0"]]"#, (7.0, 7.0, 1))]
    #[case("[]", (0.0, 0.0, 0))]
    fn times_of_samples_are_read(#[case] json: &str, #[case] expected: (f64, f64, u32)) {
        let times: SampleTimes = serde_json::from_str(json).unwrap();
        assert_eq!((times.first, times.last, times.count), expected);
    }

    #[test]
    fn fields_may_have_any_order() {
        let json = r#"{"data":{"result":[{"metric":{},"value":[1,"2"]}],"resultType":"vector"},
            "warnings":["w\"1"],"infos":["i"],"isPartial":true,"stats":{"x":1},"status":"success"}"#;
        let head: Head<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(head.status.0, "success");
        assert_eq!(head.data.unwrap().result_type.0, "vector");
        assert_eq!(head.warnings.unwrap()[0].0, "w\"1");
        assert_eq!(head.infos.unwrap()[0].0, "i");
        assert_eq!(head.is_partial, Some(true));
    }

    #[rstest]
    #[case(r#"{"pod":"kubelet","exported_pod":"p-1"}"#, Some("p-1"))]
    #[case(r#"{"pod":"p-1","exported_pod":""}"#, Some("p-1"))]
    #[case(r#"{"pod":"p-1"}"#, Some("p-1"))]
    #[case(r#"{"pod_name":"p-1"}"#, None)]
    fn pod_is_in_the_label_of_the_settings_or_in_pod(
        #[case] json: &str,
        #[case] pod: Option<&str>,
    ) {
        let labels: Labels<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(labels.pod(&"exported_pod".parse().unwrap()), pod);
    }

    #[test]
    fn labels_are_borrowed_from_the_body() {
        let json = r#"{"metric":{"a":"","job":"x","pod":"p-1"},"value":[1,"2"]}"#;
        let sample: Sample<'_> = serde_json::from_str(json).unwrap();
        assert!(matches!(sample.labels.pod, Some(Cow::Borrowed("p-1"))));
        assert_eq!(sample.labels.get("pod"), Some("p-1"));
        assert_eq!(sample.labels.get("job"), Some("x"));
        assert_eq!(sample.labels.get("a"), None);
        assert_eq!(sample.labels.get("b"), None);
        assert_eq!(sample.labels.to_string(), r#"{pod="p-1", a="", job="x"}"#);
        assert_eq!(Labels::default().to_string(), "none");
    }
}
