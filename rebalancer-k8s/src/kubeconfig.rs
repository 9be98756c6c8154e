//! The client configuration: a kubeconfig, or the service account of the pod.

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::error::K8sError;

/// Reads the configuration from the kubeconfig, or from the pod's service account if there is no
/// kubeconfig and no `context` is given.
pub(crate) async fn load(context: Option<&str>) -> Result<Config, K8sError> {
    let kubeconfig = match Kubeconfig::read() {
        Ok(kubeconfig) => kubeconfig,
        // The default path need not have a kubeconfig.
        Err(error) if context.is_none() && is_absent(&error) => return in_cluster(),
        Err(error) => return Err(unusable(error)),
    };
    let known = || -> Vec<String> {
        kubeconfig
            .contexts
            .iter()
            .map(|context| context.name.clone())
            .collect()
    };
    match context {
        Some(context)
            if !kubeconfig
                .contexts
                .iter()
                .any(|known| known.name == context) =>
        {
            return Err(K8sError::NoSuchContext {
                context: context.to_owned(),
                known: known(),
            });
        }
        None if kubeconfig
            .current_context
            .as_deref()
            .unwrap_or_default()
            .is_empty() =>
        {
            return Err(K8sError::NoCurrentContext { known: known() });
        }
        Some(_) | None => {}
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(unusable)
}

/// Whether there is no kubeconfig, and `KUBECONFIG` does not name one.
fn is_absent(error: &KubeconfigError) -> bool {
    let named = std::env::var_os("KUBECONFIG").is_some_and(|paths| !paths.is_empty());
    if let KubeconfigError::ReadConfig(io, _) = error {
        return !named && io.kind() == std::io::ErrorKind::NotFound;
    }
    matches!(error, KubeconfigError::FindPath)
}

fn in_cluster() -> Result<Config, K8sError> {
    Config::incluster().map_err(|error| K8sError::NoConfiguration {
        kubeconfig: origin(),
        in_cluster: error.to_string(),
    })
}

fn unusable(error: KubeconfigError) -> K8sError {
    // The lines after the first one quote the file, which may contain tokens.
    let text = error.to_string();
    K8sError::Kubeconfig {
        origin: origin(),
        detail: text.lines().next().unwrap_or_default().to_owned(),
    }
}

/// The path of the kubeconfig, for messages.
fn origin() -> String {
    match std::env::var("KUBECONFIG") {
        Ok(paths) if !paths.is_empty() => format!("{paths} (KUBECONFIG)"),
        _ => "~/.kube/config".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_kubeconfig_is_not_quoted() {
        let text = "users:\n- name: a\n  user: {token: s3cret\n";
        let error = unusable(Kubeconfig::from_yaml(text).unwrap_err()).to_string();
        assert!(error.contains("cannot be used: failed to parse"), "{error}");
        assert!(
            !error.contains("s3cret") && !error.contains('\n'),
            "{error}"
        );
    }
}
