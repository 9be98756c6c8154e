//! CPU amounts as the Kubernetes API writes them: `100m`, `1`, `0.5`, `1e3`, `2Ki`.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};

/// An amount of CPU in cores: finite, and of either sign, as the grammar allows.
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
        // `f64::from_str` checks the rest of the grammar: one point at most, one digit at least.
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

/// `number` × 10^`exponent`, rounded once: `100m` is the double nearest to 0.1, where dividing
/// could be one off.
fn scaled(number: &str, exponent: i32) -> Option<f64> {
    format!("{number}e{exponent}").parse().ok()
}

/// `number` × 2^`exponent`, which is exact.
fn binary(number: &str, exponent: i32) -> Option<f64> {
    Some(number.parse::<f64>().ok()? * 2_f64.powi(exponent))
}

impl<'de> de::Deserialize<'de> for CpuQuantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = CpuQuantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity of CPU such as `100m`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CpuQuantity, E> {
                CpuQuantity::parse(text)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            // The API always answers text, but accepts plain numbers; so do its imitations.
            fn visit_u64<E: de::Error>(self, cores: u64) -> Result<CpuQuantity, E> {
                self.visit_str(&cores.to_string())
            }

            fn visit_f64<E: de::Error>(self, cores: f64) -> Result<CpuQuantity, E> {
                Ok(CpuQuantity(cores))
            }
        }

        deserializer.deserialize_any(Text)
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
    fn a_quantity_is_read(#[case] text: &str, #[case] cores: f64) {
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
    fn what_is_no_quantity_is_refused(#[case] text: &str) {
        assert_eq!(CpuQuantity::parse(text), None);
    }

    #[test]
    fn json_may_hold_text_or_a_number() {
        let quantities: Vec<CpuQuantity> = serde_json::from_str(r#"["200m", 2, 0.5]"#).unwrap();
        assert_eq!(quantities, [0.2, 2.0, 0.5].map(CpuQuantity));
        let error = serde_json::from_str::<CpuQuantity>(r#""lots""#).unwrap_err();
        assert!(error.to_string().contains("a quantity of CPU"), "{error}");
    }
}
