//! Descriptions of missing data.

/// Descriptions of the data that the metrics lack.
#[derive(Default)]
pub(super) struct Missing(Vec<String>);

impl Missing {
    /// Adds a description.
    pub(super) fn add(&mut self, description: String) {
        self.0.push(description);
    }

    /// Adds a description of several items: the first one, and the number of others.
    pub(super) fn add_items(&mut self, description: &str, items: &[String]) {
        match items {
            [] => {}
            [one] => self.add(format!("{description}: {one}")),
            [first, others @ ..] => {
                self.add(format!("{description}: {first} and {} more", others.len()));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The descriptions in one sentence; `None` if nothing is missing.
    pub(super) fn into_message(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join("; "))
    }
}
