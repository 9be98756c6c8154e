//! Kubernetes quantities of CPU and memory.

/// Parses a quantity of cores, such as `500m` or `2`. `None` if it is invalid.
#[must_use]
pub fn cores(quantity: &str) -> Option<f64> {
    let (digits, scale) = [("n", 1e9), ("u", 1e6), ("m", 1e3)]
        .into_iter()
        .find_map(|(suffix, scale)| quantity.strip_suffix(suffix).map(|digits| (digits, scale)))
        .unwrap_or((quantity, 1.0));
    digits.parse::<f64>().ok().map(|value| value / scale)
}

/// Parses a quantity of bytes, such as `64Mi`. Zero if it is invalid.
#[must_use]
pub fn bytes(quantity: &str) -> u64 {
    let (digits, scale) = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)]
        .into_iter()
        .find_map(|(suffix, scale)| quantity.strip_suffix(suffix).map(|digits| (digits, scale)))
        .unwrap_or((quantity, 1));
    digits
        .parse::<u64>()
        .map_or(0, |value| value.saturating_mul(scale))
}

#[cfg(test)]
mod tests {
    use super::{bytes, cores};

    #[test]
    fn parses_bytes() {
        assert_eq!(bytes("64Mi"), 64 << 20);
        assert_eq!(bytes("1000"), 1000);
        assert_eq!(bytes("much"), 0);
    }

    #[test]
    fn parses_cores() {
        assert_eq!(cores("500m"), Some(0.5));
        assert_eq!(cores("2"), Some(2.0));
        assert_eq!(cores("0.25"), Some(0.25));
        assert_eq!(cores("1500000u"), Some(1.5));
        assert_eq!(cores("much"), None);
    }
}
