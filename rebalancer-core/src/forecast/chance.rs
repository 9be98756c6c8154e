//! Pseudo-random draws from a seed.

/// A source of draws that depend only on the seed, the number of the sample and the subject of the
/// draw.
///
/// Two plans get the same draws in the same sample wherever they have something in common (common
/// random numbers), so that the differences between their outcomes come from the plans.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    /// The draws of one sample.
    pub(crate) fn of(seed: u64, sample: usize) -> Self {
        Self { state: mix(seed) }.about(sample)
    }

    /// The draws on one subject.
    pub(crate) fn about(self, subject: usize) -> Self {
        let subject = u64::try_from(subject).unwrap_or(u64::MAX);
        Self {
            state: mix(self.state ^ mix(subject.wrapping_add(1))),
        }
    }

    /// 64 random bits.
    pub(crate) fn bits(self) -> u64 {
        self.state
    }

    /// A number below `limit`, which must not be 0. The bias is of the order of limit / 2⁶⁴.
    pub(crate) fn below(self, limit: usize) -> usize {
        let limit = u128::try_from(limit).unwrap_or(u128::MAX);
        let scaled = (u128::from(self.state) * limit) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    /// A number from 0 to below 1, with the 53 bits that a float holds.
    pub(crate) fn share(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let bits = (self.state >> 11) as f64;
        bits / (1_u64 << 53) as f64
    }

    /// Shuffles the items (Fisher–Yates).
    pub(crate) fn shuffle<T>(self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.about(last).below(last + 1));
        }
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014): a bijection in which each
/// bit of the input flips each bit of the output with a probability of one half.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_uniform_and_reproducible() {
        let mut counts = [0_usize; 6];
        for sample in 0..60_000 {
            counts[Chance::of(7, sample).about(3).below(6)] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
        assert_eq!(
            Chance::of(7, 1).about(2).bits(),
            Chance::of(7, 1).about(2).bits()
        );
        assert_ne!(
            Chance::of(7, 1).about(2).bits(),
            Chance::of(8, 1).about(2).bits()
        );
    }

    #[test]
    fn draws_are_below_the_limit() {
        for limit in [1, 2, 3, 1_000, usize::MAX] {
            let draws = (0..1_000).map(|sample| Chance::of(3, sample).below(limit));
            assert!(draws.max().unwrap() < limit, "{limit}");
        }
        for state in [0, u64::MAX] {
            assert_eq!(Chance { state }.below(1), 0);
            assert_eq!(Chance { state }.below(10), if state == 0 { 0 } else { 9 });
        }
    }

    #[test]
    fn shuffle_yields_every_order() {
        let mut seen = std::collections::BTreeMap::new();
        for sample in 0..6_000 {
            let mut items = [0, 1, 2];
            Chance::of(1, sample).shuffle(&mut items);
            *seen.entry(items).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(
            seen.values().all(|count| (850..1_150).contains(count)),
            "{seen:?}"
        );
    }
}
