//! A workload as an argument, in the form of kubectl: `deployment/NAME`.

use clap::Arg;

/// The id of the argument.
pub(crate) const ID: &str = "workload";

/// A workload as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkloadArgument {
    /// A value of `WORKLOAD_KIND`; `None` if the argument is a name only.
    pub(crate) kind: Option<String>,
    pub(crate) name: String,
}

/// The definition of the argument.
pub(crate) fn arg() -> Arg {
    Arg::new(ID)
        .value_name("KIND/NAME")
        .value_parser(parse)
        .conflicts_with_all(["deployment_name", "workload_kind"])
        .help(
            "The workload, as in kubectl: deployment/NAME, statefulset/NAME, \
             KIND.VERSION.GROUP/NAME, or NAME; instead of --deployment-name and --workload-kind. The \
             namespace is then that of the kubeconfig's context by default",
        )
}

/// Parses the argument. The kinds have the names and the short names of kubectl.
fn parse(text: &str) -> Result<WorkloadArgument, String> {
    let Some((kind, name)) = text.split_once('/') else {
        return named(None, text);
    };
    let kind = match kind.to_ascii_lowercase().as_str() {
        "deployment" | "deployments" | "deploy" | "deployment.apps" | "deployments.apps" => {
            "Deployment"
        }
        "statefulset" | "statefulsets" | "sts" | "statefulset.apps" | "statefulsets.apps" => {
            "StatefulSet"
        }
        // The kinds of custom resources are case-sensitive.
        _ if kind.contains('.') => kind,
        _ => {
            return Err(format!(
                "the kind `{kind}` is not known: use deployment, statefulset, or \
                 KIND.VERSION.GROUP such as Rollout.v1alpha1.argoproj.io"
            ));
        }
    };
    named(Some(kind.to_owned()), name)
}

fn named(kind: Option<String>, name: &str) -> Result<WorkloadArgument, String> {
    if name.is_empty() {
        return Err("the name is missing".into());
    }
    Ok(WorkloadArgument {
        kind,
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("consumer", None, "consumer")]
    #[case("deployment/consumer", Some("Deployment"), "consumer")]
    #[case("deploy/consumer", Some("Deployment"), "consumer")]
    #[case("deployments.apps/consumer", Some("Deployment"), "consumer")]
    #[case("StatefulSet/consumer", Some("StatefulSet"), "consumer")]
    #[case("sts/consumer", Some("StatefulSet"), "consumer")]
    #[case(
        "Rollout.v1alpha1.argoproj.io/consumer",
        Some("Rollout.v1alpha1.argoproj.io"),
        "consumer"
    )]
    fn workload_is_named_as_in_kubectl(
        #[case] text: &str,
        #[case] kind: Option<&str>,
        #[case] name: &str,
    ) {
        let expected = WorkloadArgument {
            kind: kind.map(str::to_owned),
            name: name.to_owned(),
        };
        assert_eq!(parse(text), Ok(expected));
    }

    #[rstest]
    #[case::unknown_kind("daemonset/consumer", "the kind `daemonset` is not known")]
    #[case::no_name("deployment/", "the name is missing")]
    #[case::nothing("", "the name is missing")]
    fn other_arguments_are_refused(#[case] text: &str, #[case] message: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}
