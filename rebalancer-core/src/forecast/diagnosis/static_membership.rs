//! Static members, whose replacements get the same partitions back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::view::View;
use super::{Kind, plural};
use crate::model::LoadUnit;

/// A replacement has the `group.instance.id` of its predecessor and gets its partitions back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StaticMembership {
    /// The number of static members.
    pub members: usize,
}

impl Kind for StaticMembership {
    const STRUCTURAL: bool = true;

    fn fmt(&self, _unit: LoadUnit, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "evicting has no effect: {} {} static (group.instance.id), and the replacement of a \
             pod gets the same partitions back",
            self.members,
            plural(self.members, "member is", "members are")
        )
    }
}

pub(super) fn find(view: &View<'_>) -> Option<StaticMembership> {
    let members = &view.group.members;
    let all_static = members.iter().all(|member| member.instance.is_some());
    (view.group.stable_names && all_static && view.any_hot_by_partitions()).then_some(
        StaticMembership {
            members: members.len(),
        },
    )
}

#[cfg(test)]
mod tests {
    use crate::forecast::diagnosis::case::{Case, one_hot};
    use rstest::rstest;

    #[rstest]
    #[case::all(&[0, 1], true, Some("evicting has no effect: 2 members are static \
        (group.instance.id), and the replacement of a pod gets the same partitions back"))]
    #[case::not_all(&[0], true, None)]
    #[case::new_names(&[0, 1], false, None)]
    fn static_membership(
        #[case] members: &[usize],
        #[case] stable_names: bool,
        #[case] message: Option<&str>,
    ) {
        let case = one_hot().with_static_members(members);
        let case = case.with(|case| case.group.stable_names = stable_names);
        assert_eq!(case.message("static_membership").as_deref(), message);
    }

    #[test]
    fn one_static_member() {
        let case = Case::of(&[&[1.25]]).with_static_members(&[0]);
        let message = "evicting has no effect: 1 member is static (group.instance.id), and the \
                       replacement of a pod gets the same partitions back";
        assert_eq!(case.message("static_membership").as_deref(), Some(message));
    }
}
