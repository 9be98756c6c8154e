//! Hold reasons: the published words for why a run does not act.

use std::fmt;

use crate::policy::PolicyField;

/// The reason why a run does not act. The word of a reason never changes its meaning.
///
/// A reason is a constant of this type, defined next to the rule that gives it.
/// [`HoldReason::all`] lists them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HoldReason {
    word: &'static str,
    meaning: &'static str,
    remedy: &'static str,
    missing_data: bool,
    fails: bool,
    may_last: bool,
    policy_fields: &'static [PolicyField],
}

impl HoldReason {
    /// A reason that does not mean missing data.
    pub(crate) const fn new(
        word: &'static str,
        meaning: &'static str,
        remedy: &'static str,
    ) -> Self {
        Self {
            word,
            meaning,
            remedy,
            missing_data: false,
            fails: false,
            may_last: false,
            policy_fields: &[],
        }
    }

    /// Marks the reason as one of missing or untrusted data.
    pub(crate) const fn missing_data(self) -> Self {
        Self {
            missing_data: true,
            fails: true,
            ..self
        }
    }

    /// Marks the reason as one with which a run fails, although no data is missing.
    pub(crate) const fn that_fails(self) -> Self {
        Self {
            fails: true,
            ..self
        }
    }

    /// Marks the reason as one that may hold for days while nothing is wrong.
    pub(crate) const fn that_may_last(self) -> Self {
        Self {
            may_last: true,
            ..self
        }
    }

    /// Names the fields of the policy that decide whether the reason applies.
    pub(crate) const fn governed_by(self, policy_fields: &'static [PolicyField]) -> Self {
        Self {
            policy_fields,
            ..self
        }
    }

    /// The word in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.word
    }

    /// The meaning, as a clause for documentation.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.meaning
    }

    /// The action that an operator can take, as a clause for documentation.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        self.remedy
    }

    /// Whether the hold is caused by missing or untrusted data, rather than by a workload that
    /// needs nothing or by a moment that does not allow it.
    #[must_use]
    pub const fn means_missing_data(self) -> bool {
        self.missing_data
    }

    /// Whether a run that holds for this reason exits with 1, as for missing data.
    #[must_use]
    pub const fn fails(self) -> bool {
        self.fails
    }

    /// Whether the reason may hold for days while nothing is wrong: it ends when the load changes
    /// or at a known time. Any other hold that lasts needs an operator.
    #[must_use]
    pub const fn may_last(self) -> bool {
        self.may_last
    }

    /// The fields of the policy that decide whether this reason applies.
    #[must_use]
    pub const fn policy_fields(self) -> &'static [PolicyField] {
        self.policy_fields
    }
}

impl fmt::Debug for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoldReason({})", self.word)
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word)
    }
}
