//! CPU quantities of the Kubernetes API: `100m`, `1`, `0.5`, `1e3`, `2Ki`.

use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// An amount of CPU in cores. It is finite, and may be negative, because the grammar allows that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CpuQuantity(pub(crate) f64);

impl CpuQuantity {
    /// Parses `<sign><digits>[.<digits>]<suffix>`, where the suffix is decimal (`n` to `E`), binary
    /// (`Ki` to `Ei`) or a decimal exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text
            .bytes()
            .enumerate()
            .find(|&(at, byte)| {
                !(byte.is_ascii_digit() || byte == b'.' || (at == 0 && matches!(byte, b'+' | b'-')))
            })
            .map_or(text.len(), |(at, _)| at);
        let (number, suffix) = text.split_at(end);
        // `f64::from_str` checks the rest of the grammar: at most one point, at least one digit.
        let value = match suffix {
            "" => number.parse().ok()?,
            "n" => scaled(number, -9)?,
            "u" => scaled(number, -6)?,
            "m" => scaled(number, -3)?,
            "k" => scaled(number, 3)?,
            "M" => scaled(number, 6)?,
            "G" => scaled(number, 9)?,
            "T" => scaled(number, 12)?,
            "P" => scaled(number, 15)?,
            "E" => scaled(number, 18)?,
            "Ki" => binary(number, 10)?,
            "Mi" => binary(number, 20)?,
            "Gi" => binary(number, 30)?,
            "Ti" => binary(number, 40)?,
            "Pi" => binary(number, 50)?,
            "Ei" => binary(number, 60)?,
            exponent => scaled(number, exponent.strip_prefix(['e', 'E'])?.parse().ok()?)?,
        };
        Some(value)
            .filter(|value: &f64| value.is_finite())
            .map(Self)
    }
}

/// `number` × 10^`exponent`, rounded once: `100m` is the double nearest to 0.1. A division could
/// round differently.
fn scaled(number: &str, exponent: i32) -> Option<f64> {
    format!("{number}e{exponent}").parse().ok()
}

/// `number` × 2^`exponent`, which is exact.
fn binary(number: &str, exponent: i32) -> Option<f64> {
    Some(number.parse::<f64>().ok()? * 2_f64.powi(exponent))
}

/// A quantity as the API sends it, which is not parsed yet.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Quantity {
    #[prost(bytes = "bytes", tag = "1")]
    text: Bytes,
}

impl Quantity {
    /// Returns the quantity in cores.
    ///
    /// # Errors
    /// The text that is not a quantity.
    pub(crate) fn cores(&self) -> Result<f64, String> {
        let text = String::from_utf8_lossy(&self.text);
        match CpuQuantity::parse(&text) {
            Some(quantity) => Ok(quantity.0),
            None => Err(text.into_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;

        impl Visitor<'_> for TextOrNumber {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as `100m`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity {
                    text: text.to_owned().into(),
                })
            }

            // The API server always sends text. Other servers may send a number, which the API
            // server accepts as well.
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(TextOrNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", 0.0)]
    #[case("1", 1.0)]
    #[case("100m", 0.1)]
    #[case("1500m", 1.5)]
    #[case("0.5", 0.5)]
    #[case(".5", 0.5)]
    #[case("5.", 5.0)]
    #[case("+1", 1.0)]
    #[case("-1", -1.0)]
    #[case("250000000n", 0.25)]
    #[case("700000u", 0.7)]
    #[case("1e3", 1000.0)]
    #[case("1E3", 1000.0)]
    #[case("12e-1", 1.2)]
    #[case("1k", 1000.0)]
    #[case("2M", 2e6)]
    #[case("1E", 1e18)]
    #[case("2Ki", 2048.0)]
    #[case("1Mi", 1_048_576.0)]
    #[case("0.5Gi", 536_870_912.0)]
    fn parses_a_quantity(#[case] text: &str, #[case] cores: f64) {
        assert_eq!(CpuQuantity::parse(text), Some(CpuQuantity(cores)));
    }

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("m")]
    #[case("+")]
    #[case("1.2.3")]
    #[case("1 m")]
    #[case("1K")]
    #[case("1ki")]
    #[case("1e")]
    #[case("1e1.5")]
    #[case("1e400")]
    #[case("NaN")]
    #[case("inf")]
    #[case("1-2")]
    fn refuses_a_text_that_is_not_a_quantity(#[case] text: &str) {
        assert_eq!(CpuQuantity::parse(text), None);
    }

    #[rstest]
    #[case(r#""200m""#, Ok(0.2))]
    #[case("2", Ok(2.0))]
    #[case("0.5", Ok(0.5))]
    #[case(r#""lots""#, Err("lots".to_owned()))]
    fn reads_text_and_numbers_in_json(#[case] json: &str, #[case] cores: Result<f64, String>) {
        let quantity: Quantity = serde_json::from_str(json).unwrap();
        assert_eq!(quantity.cores(), cores);
    }
}
