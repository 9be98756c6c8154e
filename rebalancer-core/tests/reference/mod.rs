//! The rule of rotate-outliers, written as literally as possible, without regard to speed.

/// The result of the rule: pods by name.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) hottest: Vec<String>,
    pub(crate) coldest: Vec<String>,
    /// In percent; `None` if no pod is hot.
    pub(crate) improvement: Option<f64>,
    pub(crate) rotate: bool,
}

/// `pods` are the eligible pods with their loads, in any order.
pub(crate) fn rotate_outliers(
    pods: &[(String, f64)],
    target: f64,
    tolerance: f64,
    k: usize,
    minimum_improvement: f64,
) -> Outcome {
    let threshold = tolerance * target;

    // The K most loaded, one after the other; ties by name.
    let mut rest = pods.to_vec();
    let mut hottest = Vec::new();
    for _ in 0..k {
        let Some(next) = take(&mut rest, |candidate, best| candidate > best) else {
            break;
        };
        hottest.push(next);
    }
    // Those strictly above the threshold.
    hottest.retain(|(_, load)| *load > threshold);
    if hottest.is_empty() {
        return Outcome {
            hottest: Vec::new(),
            coldest: Vec::new(),
            improvement: None,
            rotate: false,
        };
    }

    // The K least loaded that are not among the hottest; ties by name.
    let mut rest: Vec<_> = pods
        .iter()
        .filter(|pod| !hottest.contains(pod))
        .cloned()
        .collect();
    let mut coldest = Vec::new();
    for _ in 0..k {
        let Some(next) = take(&mut rest, |candidate, best| candidate < best) else {
            break;
        };
        coldest.push(next);
    }

    let mean = |pods: &[(String, f64)]| {
        let mut sum = 0.0;
        for (_, load) in pods {
            sum += load;
        }
        sum / pods.len() as f64
    };
    let top = mean(&hottest);
    let both = mean(&[hottest.clone(), coldest.clone()].concat());
    let improvement = (top - both) / top * 100.0;
    let names = |pods: Vec<(String, f64)>| pods.into_iter().map(|(name, _)| name).collect();
    Outcome {
        hottest: names(hottest),
        coldest: names(coldest),
        improvement: Some(improvement),
        rotate: improvement > minimum_improvement,
    }
}

/// Removes and returns the pod whose load comes first by `before`; ties by name.
fn take(pods: &mut Vec<(String, f64)>, before: impl Fn(f64, f64) -> bool) -> Option<(String, f64)> {
    let mut best = 0;
    for candidate in 1..pods.len() {
        let (name, load) = &pods[candidate];
        let (best_name, best_load) = &pods[best];
        if before(*load, *best_load) || (load == best_load && name < best_name) {
            best = candidate;
        }
    }
    (!pods.is_empty()).then(|| pods.remove(best))
}
