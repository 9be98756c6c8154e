//! The lines about the rights of the account.

use rebalancer_k8s::{Importance, Right};

use super::{CheckLine, CheckStatus};

/// The line about a right that the settings need.
pub(crate) fn line(right: &Right, granted: bool) -> CheckLine {
    let Right {
        verb,
        group,
        resource,
        name,
        importance,
        why,
    } = right;
    if granted {
        return CheckLine::new(CheckStatus::Ok, format!("may {verb} {resource}: {why}"));
    }
    let (status, without) = match importance {
        Importance::Required => (CheckStatus::Error, "runs fail"),
        Importance::ToAct => (
            CheckStatus::Warning,
            "runs fail as soon as they are no dry runs",
        ),
        Importance::Optional { without } => (CheckStatus::Warning, *without),
        Importance::Situational { without } => (CheckStatus::Info, *without),
    };
    let message = format!("may not {verb} {resource} ({why}): {without}");
    let names = name.as_ref();
    let names = names.map_or_else(String::new, |name| format!("resourceNames: [\"{name}\"], "));
    CheckLine::new(status, message).with_fix(format!(
        "add to the Role: {{apiGroups: [\"{group}\"], resources: [\"{resource}\"], {names}\
         verbs: [\"{verb}\"]}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const WITHOUT: &str = "no Events record what was done";

    #[rstest]
    #[case(
        Importance::Required,
        true,
        CheckStatus::Ok,
        "may create pods/eviction: evictions"
    )]
    #[case(Importance::Required, false, CheckStatus::Error, "runs fail")]
    #[case(Importance::ToAct, false, CheckStatus::Warning, "no dry runs")]
    #[case(Importance::Optional { without: WITHOUT }, false, CheckStatus::Warning, WITHOUT)]
    #[case(Importance::Situational { without: WITHOUT }, false, CheckStatus::Info, WITHOUT)]
    fn importance_decides(
        #[case] importance: Importance,
        #[case] granted: bool,
        #[case] status: CheckStatus,
        #[case] part: &str,
    ) {
        let right = Right {
            verb: "create",
            group: "".into(),
            resource: "pods/eviction".into(),
            name: None,
            importance,
            why: "evictions",
        };
        let line = line(&right, granted);
        assert_eq!(line.status, status);
        assert!(line.message.contains(part), "{}", line.message);
        let rule = "add to the Role: {apiGroups: [\"\"], resources: [\"pods/eviction\"], \
                    verbs: [\"create\"]}";
        assert_eq!(line.fix.as_deref(), (!granted).then_some(rule));
    }
}
