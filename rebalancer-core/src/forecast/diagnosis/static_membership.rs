//! Static members, whose replacements get the same partitions back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Kind;
use super::view::View;
use crate::group::GroupModel;
use crate::model::LoadUnit;
use crate::wording::plural;

/// A replacement has the `group.instance.id` of its predecessor and gets its partitions back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StaticMembership {
    /// The number of static members.
    pub members: usize,
    /// The `group.instance.id` of one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

impl StaticMembership {
    /// The diagnosis of a group in which each replacement gets the partitions of the pod before it.
    pub(crate) fn of(group: &GroupModel) -> Option<Self> {
        group.all_return().then(|| Self {
            members: group.members.len(),
            example: group
                .members
                .first()
                .and_then(|member| member.instance.clone()),
        })
    }
}

impl Kind for StaticMembership {
    const STRUCTURAL: bool = true;

    fn fmt(&self, _unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "evicting has no effect: {} {} static (group.instance.id",
            self.members,
            plural(self.members, "member is", "members are")
        )?;
        if let Some(example) = &self.example {
            write!(f, ", such as {example}")?;
        }
        f.write_str("), and the replacement of a pod gets the same partitions back")
    }
}

pub(super) fn find(view: &View<'_>) -> Option<StaticMembership> {
    StaticMembership::of(view.group).filter(|_| view.any_hot_by_partitions())
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::{Case, one_hot};
    use rstest::rstest;

    #[rstest]
    #[case::all(&[0, 1], true, Some("evicting has no effect: 2 members are static \
        (group.instance.id, such as static-0), and the replacement of a pod gets the same \
        partitions back"))]
    #[case::not_all(&[0], true, None)]
    #[case::new_instance_ids(&[0, 1], false, None)]
    fn static_membership(
        #[case] members: &[usize],
        #[case] returns: bool,
        #[case] message: Option<&str>,
    ) {
        let case = one_hot().with_static_members(members);
        let case = case.with(|case| case.group.returns.iter_mut().for_each(|of| *of &= returns));
        assert_eq!(case.message("static_membership").as_deref(), message);
    }

    #[test]
    fn one_static_member() {
        let case = Case::of(&[&[1.25]]).with_static_members(&[0]);
        let message = "evicting has no effect: 1 member is static (group.instance.id, such as \
                       static-0), and the replacement of a pod gets the same partitions back";
        assert_eq!(case.message("static_membership").as_deref(), Some(message));
    }
}
