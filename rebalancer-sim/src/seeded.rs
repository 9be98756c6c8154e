//! The random numbers of a world, derived from its seed.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The characters of generated Kubernetes names. There are no vowels, so that no words result.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Separate random streams for names, times and traffic. Drawing one more pod name, for example,
/// does not change the traffic, so worlds of the same seed stay comparable.
#[derive(Debug, Clone)]
pub(crate) struct Seeded {
    naming: ChaCha8Rng,
    timing: ChaCha8Rng,
    traffic: ChaCha8Rng,
    used_names: BTreeSet<String>,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        let stream = |number| {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            generator.set_stream(number);
            generator
        };
        Self {
            naming: stream(1),
            timing: stream(2),
            traffic: stream(3),
            used_names: BTreeSet::new(),
        }
    }

    /// A suffix of `length` characters as in generated Kubernetes names.
    pub(crate) fn name_suffix(&mut self, length: usize) -> String {
        (0..length)
            .filter_map(|_| {
                let index = self.naming.random_range(0..NAME_ALPHABET.len());
                NAME_ALPHABET.get(index).map(|letter| char::from(*letter))
            })
            .collect()
    }

    /// A pod name that is unique within this world.
    pub(crate) fn pod_name(&mut self, replica_set: &str) -> String {
        loop {
            let name = format!("{replica_set}-{}", self.name_suffix(5));
            if self.used_names.insert(name.clone()) {
                return name;
            }
        }
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let bits = self.naming.random::<u128>();
        // Version 4 in the 13th digit, variant 10 in the two bits above the 17th.
        let bits = bits & !(0xf << 76) | 0x4 << 76;
        let bits = bits & !(0b11 << 62) | 0b10 << 62;
        let digits = format!("{bits:032x}");
        let mut uuid = String::with_capacity(36);
        for (index, digit) in digits.chars().enumerate() {
            if matches!(index, 8 | 12 | 16 | 20) {
                uuid.push('-');
            }
            uuid.push(digit);
        }
        uuid
    }

    /// A random duration that differs from `around` by at most a quarter.
    pub(crate) fn jittered(&mut self, around: Duration) -> Duration {
        let factor = self.timing.random_range(0.75..1.25);
        Duration::try_from_secs_f64(around.as_secs_f64() * factor).unwrap_or(around)
    }

    /// A random duration shorter than `limit`.
    pub(crate) fn within(&mut self, limit: Duration) -> Duration {
        let share = self.timing.random::<f64>();
        Duration::try_from_secs_f64(limit.as_secs_f64() * share).unwrap_or(limit)
    }

    /// A draw from the standard normal distribution.
    pub(crate) fn standard_normal(&mut self) -> f64 {
        // Box-Muller transform. 1 - u is in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.traffic.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.traffic.random::<f64>();
        radius * angle.cos()
    }

    /// Shuffles items with the random stream of the traffic.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.traffic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_has_version_4_and_its_variant() {
        let mut seeded = Seeded::new(1);
        for _ in 0..100 {
            let uuid = seeded.uuid();
            let digits = uuid.as_bytes();
            assert_eq!(uuid.len(), 36);
            assert_eq!(digits[14], b'4');
            assert!(b"89ab".contains(&digits[19]), "{uuid}");
        }
    }

    #[test]
    fn standard_normal_has_mean_0_and_deviation_1() {
        let mut seeded = Seeded::new(1);
        let draws: Vec<f64> = (0..20_000).map(|_| seeded.standard_normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|draw| draw * draw).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.05, "{variance}");
    }
}
