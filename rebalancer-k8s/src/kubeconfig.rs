//! The client configuration: a kubeconfig, or the service account of the pod.

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use rebalancer_adapter::Proxy;

use crate::error::K8sError;

/// Stands for the proxy of a kubeconfig. Without it, kube would read the environment by rules of
/// its own, and would fail for values that are valid elsewhere.
const NO_PROXY_OF_KUBE: &str = "http://proxy.invalid";

/// Reads the configuration from the kubeconfig, or from the pod's service account if there is no
/// kubeconfig and no `context` is given. Returns the proxy to the API server as well.
pub(crate) async fn load(context: Option<&str>) -> Result<(Config, Option<Proxy>), K8sError> {
    let kubeconfig = match Kubeconfig::read() {
        Ok(kubeconfig) => kubeconfig,
        // The default path need not have a kubeconfig.
        Err(error) if context.is_none() && is_absent(&error) => {
            let config = in_cluster()?;
            let proxy = Proxy::from_environment(&config.cluster_url)?;
            return Ok((config, proxy));
        }
        Err(error) => return Err(unusable(error)),
    };
    from_kubeconfig(kubeconfig, context).await
}

/// The namespace of a context of the kubeconfig, or of its current context, as kubectl takes it;
/// `None` if there is none.
#[must_use]
pub fn context_namespace(context: Option<&str>) -> Option<String> {
    let kubeconfig = Kubeconfig::read().ok()?;
    let name = context.map(str::to_owned).or(kubeconfig.current_context)?;
    let mut contexts = kubeconfig.contexts.into_iter();
    let found = contexts.find(|context| context.name == name)?;
    found
        .context?
        .namespace
        .filter(|namespace| !namespace.is_empty())
}

async fn from_kubeconfig(
    mut kubeconfig: Kubeconfig,
    context: Option<&str>,
) -> Result<(Config, Option<Proxy>), K8sError> {
    let known = || -> Vec<String> {
        kubeconfig
            .contexts
            .iter()
            .map(|context| context.name.clone())
            .collect()
    };
    let current = kubeconfig.current_context.clone().unwrap_or_default();
    let chosen = match context {
        Some(context) => context.to_owned(),
        None if current.is_empty() => {
            return Err(K8sError::NoCurrentContext {
                origin: origin(),
                known: known(),
            });
        }
        None => current,
    };
    let found = kubeconfig
        .contexts
        .iter()
        .find(|known| known.name == chosen);
    if found.is_none() {
        return Err(K8sError::NoSuchContext {
            origin: origin(),
            context: chosen,
            named_by: match context {
                Some(_) => "KUBE_CONTEXT",
                None => "its current context",
            },
            known: known(),
        });
    }
    let found = found.and_then(|named| named.context.clone());
    let user = found.as_ref().and_then(|context| context.user.as_deref());
    refuse_auth_provider(&kubeconfig, user)?;
    let mut own_proxy = None;
    if let Some(context) = &found {
        for cluster in &mut kubeconfig.clusters {
            if cluster.name == context.cluster
                && let Some(settings) = &mut cluster.cluster
            {
                own_proxy = settings
                    .proxy_url
                    .replace(NO_PROXY_OF_KUBE.to_owned())
                    .filter(|url| !url.trim().is_empty());
            }
        }
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(unusable)?;
    let proxy = match own_proxy {
        Some(url) => Some(Proxy::parse("proxy-url of the kubeconfig", &url)?),
        None => Proxy::from_environment(&config.cluster_url)?,
    };
    Ok((config, proxy))
}

/// Returns an error if the user has an `auth-provider`. kube sends its last token even if it has
/// expired, and cannot get a new one.
fn refuse_auth_provider(kubeconfig: &Kubeconfig, user: Option<&str>) -> Result<(), K8sError> {
    let entry = kubeconfig
        .auth_infos
        .iter()
        .find(|entry| Some(entry.name.as_str()) == user);
    let provider = entry
        .and_then(|entry| entry.auth_info.as_ref())
        .and_then(|auth| auth.auth_provider.as_ref());
    let (Some(entry), Some(provider)) = (entry, provider) else {
        return Ok(());
    };
    Err(K8sError::AuthProvider {
        origin: origin(),
        user: entry.name.clone(),
        remedy: match provider.name.as_str() {
            "oidc" => {
                "replace it with the exec plugin kubelogin (`kubectl oidc-login setup`), or with a \
                 `token` or a `tokenFile` that is renewed by another program"
            }
            "gcp" => {
                "replace it with the exec plugin gke-gcloud-auth-plugin (`gcloud container clusters \
                 get-credentials CLUSTER`)"
            }
            "azure" => "replace it with the exec plugin kubelogin (`kubelogin convert-kubeconfig`)",
            _ => "replace it with an exec plugin, or with a `token` or a `tokenFile`",
        },
        provider: provider.name.clone(),
    })
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
    let detail = if let KubeconfigError::ReadConfig(io, path) = &error {
        format!("cannot read {}: {io}", path.display())
    } else {
        // The lines after the first one quote the file, which may contain tokens.
        let text = error.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    };
    K8sError::Kubeconfig {
        origin: origin(),
        detail,
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
    use rebalancer_core::ports::PortErrorKind;
    use rstest::rstest;

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

    #[test]
    fn missing_file_is_named() {
        let path = "/nonexistent/kubeconfig";
        let error = unusable(Kubeconfig::read_from(path).unwrap_err()).to_string();
        let expected = "cannot be used: cannot read /nonexistent/kubeconfig: No such file";
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case::none("{}", None, "has no current context; it has no contexts at all")]
    #[case::not_chosen(
        "contexts: [{name: a}, {name: b}]",
        None,
        "has no current context; set KUBE_CONTEXT to one of its contexts: a, b"
    )]
    #[case::unknown_current(
        "{current-context: c, contexts: [{name: a}]}",
        None,
        "has no context \"c\" (its current context); set KUBE_CONTEXT to one of its contexts: a"
    )]
    #[case::unknown(
        "{current-context: a, contexts: [{name: a}]}",
        Some("c"),
        "has no context \"c\" (KUBE_CONTEXT); set KUBE_CONTEXT to one of its contexts: a"
    )]
    #[tokio::test]
    async fn missing_context_lists_those_of_the_kubeconfig(
        #[case] text: &str,
        #[case] context: Option<&str>,
        #[case] expected: &str,
    ) {
        let kubeconfig = Kubeconfig::from_yaml(text).unwrap();
        let error = from_kubeconfig(kubeconfig, context).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Setup);
        assert!(error.to_string().contains(expected), "{error}");
    }

    /// A kubeconfig with additional lines for its cluster and its user.
    fn kubeconfig(cluster: &str, user: &str) -> Kubeconfig {
        let text = format!(
            "current-context: c\n\
             clusters: [{{name: k, cluster: {{server: 'https://10.1.2.3:6443', {cluster}}}}}]\n\
             users: [{{name: me, user: {{{user}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: k, user: me}}}}]\n"
        );
        Kubeconfig::from_yaml(&text).unwrap()
    }

    #[rstest]
    #[case("proxy-url: 'http://me:s3cret@proxy:3128'", Some("http://proxy:3128"))]
    #[case("proxy-url: 'https://proxy'", Some("https://proxy"))]
    #[case("proxy-url: ''", None)]
    #[case("", None)]
    #[tokio::test]
    async fn proxy_of_the_cluster_is_used(#[case] cluster: &str, #[case] expected: Option<&str>) {
        let (config, proxy) = from_kubeconfig(kubeconfig(cluster, "token: a"), None)
            .await
            .unwrap();
        assert_eq!(config.cluster_url, "https://10.1.2.3:6443/");
        let shown = proxy.map(|proxy| proxy.to_string());
        let expected = expected.map(|url| format!("{url} (proxy-url of the kubeconfig)"));
        assert_eq!(shown, expected);
    }

    #[tokio::test]
    async fn socks_proxy_is_refused() {
        let kubeconfig = kubeconfig("proxy-url: 'socks5://me:s3cret@proxy:1080'", "token: a");
        let error = from_kubeconfig(kubeconfig, Some("c")).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Setup);
        let message = error.to_string();
        assert!(
            message.starts_with("proxy-url of the kubeconfig: the proxy cannot be used: SOCKS"),
            "{message}"
        );
        assert!(!message.contains("s3cret"), "{message}");
    }

    #[rstest]
    #[case("oidc", "kubectl oidc-login")]
    #[case("gcp", "gke-gcloud-auth-plugin")]
    #[case("azure", "kubelogin convert-kubeconfig")]
    #[case("openstack", "an exec plugin")]
    #[tokio::test]
    async fn auth_provider_is_refused_with_a_remedy(#[case] provider: &str, #[case] remedy: &str) {
        let user = format!("auth-provider: {{name: {provider}, config: {{id-token: s3cret}}}}");
        let error = from_kubeconfig(kubeconfig("", &user), None)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Setup);
        let message = error.to_string();
        assert!(
            message.contains(&format!("`auth-provider: {provider}`")),
            "{message}"
        );
        assert!(message.contains("the user \"me\""), "{message}");
        assert!(message.contains(remedy), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}
