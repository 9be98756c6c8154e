//! The name of a workload's Lease.

/// The longest name. A name can then also be a label value.
const MAX_NAME: usize = 63;

/// Returns the name of a workload's Lease: `rebalancer-deployment-ingestion`.
///
/// Two workloads of the same name, whose kinds differ only in the API group, share a Lease. Their
/// runs wait for each other, which is harmless.
pub(super) fn name_of(kind: &str, workload: &str) -> String {
    let full = format!("rebalancer-{}-{workload}", kind.to_ascii_lowercase());
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let plain = full.bytes().all(|byte| allowed(byte) || byte == b'.');
    if plain && full.len() <= MAX_NAME {
        return full;
    }
    let suffix = format!("-{:08x}", fnv(full.as_bytes()));
    let mut short: String = full
        .chars()
        .map(|letter| match u8::try_from(letter) {
            Ok(byte) if allowed(byte) => letter,
            Ok(_) | Err(_) => '-',
        })
        .take(MAX_NAME - suffix.len())
        .collect();
    short.push_str(&suffix);
    short
}

/// FNV-1a. Two versions of this program must use the same name, and the hash of the standard
/// library may change between versions.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Deployment", "ingestion", "rebalancer-deployment-ingestion")]
    #[case("StatefulSet", "db.main", "rebalancer-statefulset-db.main")]
    fn names_a_lease_after_its_workload(
        #[case] kind: &str,
        #[case] workload: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(name_of(kind, workload), expected);
    }

    #[rstest]
    #[case("a".repeat(200), "a".repeat(201))]
    #[case(format!("{}.b", "a".repeat(60)), format!("{}.c", "a".repeat(60)))]
    #[case("A_b".into(), "a:b".into())]
    fn shortened_names_of_different_workloads_differ(#[case] one: String, #[case] other: String) {
        let names = [one, other].map(|workload| name_of("Deployment", &workload));
        assert_ne!(names[0], names[1]);
        for name in names {
            assert!(name.len() <= MAX_NAME, "{name}");
            let allowed =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.bytes().all(allowed), "{name}");
            assert!(!name.ends_with('-'), "{name}");
        }
        // The hash must not change.
        assert_eq!(fnv(b"a"), 0xe40c_292c);
    }
}
