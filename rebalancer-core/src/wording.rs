//! Phrases that several messages share.

/// The number of items that a message lists.
const LISTED: usize = 5;

/// Lists the first items, and the number of the others.
pub(crate) fn list_some(mut items: impl Iterator<Item = String>) -> String {
    let mut listed: Vec<String> = items.by_ref().take(LISTED).collect();
    match items.count() {
        0 => {}
        more => listed.push(format!("and {more} more")),
    }
    listed.join(", ")
}

/// `1 pod` or `3 pods`.
pub(crate) fn count_pods(pods: usize) -> String {
    match pods {
        1 => "1 pod".into(),
        pods => format!("{pods} pods"),
    }
}

/// `1 pod is` or `3 pods are`.
pub(crate) fn pods_are(pods: usize) -> String {
    format!("{} {}", count_pods(pods), plural(pods, "is", "are"))
}

/// The form of a word for one item, or for another number of them.
pub(crate) fn plural<'a>(count: usize, one: &'a str, several: &'a str) -> &'a str {
    if count == 1 { one } else { several }
}
