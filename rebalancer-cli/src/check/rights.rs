//! The lines about the rights of the account.

use rebalancer_k8s::{Importance, Right};

use super::{CheckLine, CheckStatus};

/// The line about a right that the settings need. `namespace` is where it is needed, unless that is
/// the namespace of the workload.
pub(crate) fn line(right: &Right, namespace: Option<&str>, granted: bool) -> CheckLine {
    let Right {
        verb,
        group,
        resource,
        name,
        importance,
        why,
    } = right;
    let place = namespace.map_or_else(String::new, |name| format!(" in namespace {name}"));
    if granted {
        let message = format!("may {verb} {resource}{place}: {why}");
        return CheckLine::new(CheckStatus::Ok, message);
    }
    let (status, without) = match importance {
        Importance::Required => (CheckStatus::Error, "runs fail"),
        Importance::ToAct => (
            CheckStatus::Warning,
            "runs fail as soon as they are no dry runs",
        ),
        Importance::ToLead => (
            CheckStatus::Error,
            "no process becomes the leader, so no run begins",
        ),
        Importance::Optional { without } => (CheckStatus::Warning, *without),
        Importance::Situational { without } => (CheckStatus::Info, *without),
    };
    let message = format!("may not {verb} {resource}{place} ({why}): {without}");
    let names = name.as_ref();
    let names = names.map_or_else(String::new, |name| format!("resourceNames: [\"{name}\"], "));
    CheckLine::new(status, message).with_fix(format!(
        "add to the Role{place}: {{apiGroups: [\"{group}\"], resources: [\"{resource}\"], {names}\
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
        let line = line(&right, None, granted);
        assert_eq!(line.status, status);
        assert!(line.message.contains(part), "{}", line.message);
        let rule = "add to the Role: {apiGroups: [\"\"], resources: [\"pods/eviction\"], \
                    verbs: [\"create\"]}";
        assert_eq!(line.fix.as_deref(), (!granted).then_some(rule));
    }

    #[test]
    fn right_of_the_leader_names_its_namespace() {
        let [right, ..] = rebalancer_k8s::leader_rights("orders");
        let granted = line(&right, Some("ops"), true);
        assert_eq!(
            granted.message,
            "may get leases in namespace ops: which process of `serve` is the leader"
        );
        let missing = line(&right, Some("ops"), false);
        assert_eq!(missing.status, CheckStatus::Error);
        assert_eq!(
            missing.message,
            "may not get leases in namespace ops (which process of `serve` is the leader): no process \
             becomes the leader, so no run begins"
        );
        let fix = missing.fix.unwrap();
        assert!(
            fix.starts_with(
                "add to the Role in namespace ops: {apiGroups: [\"coordination.k8s.io\"]"
            ),
            "{fix}"
        );
    }
}
