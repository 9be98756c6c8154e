//! The readiness probe of a container.

use std::{net::SocketAddr, time::Duration};

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::util::intstr::IntOrString};
use kube::ResourceExt as _;

use super::container;
use crate::{Error, Result, http::get};

/// A probe by HTTP. Containers share the network of the host, so it goes to a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    address: SocketAddr,
    path: String,
    /// The time that a response may take.
    timeout: Duration,
}

impl Probe {
    /// The readiness probe of the pod's container, if it has one.
    ///
    /// # Errors
    /// If the probe is not one by HTTP, or its port has no number.
    pub(crate) fn readiness(pod: &Pod) -> Result<Option<Self>> {
        let wrong = |message: &str| Error::Document {
            what: format!("the readiness probe of pod {}", pod.name_any()),
            message: message.to_owned(),
        };
        let Some(container) = container(pod) else {
            return Ok(None);
        };
        let Some(probe) = &container.readiness_probe else {
            return Ok(None);
        };
        let action = probe.http_get.as_ref();
        let action = action.ok_or_else(|| wrong("it has no httpGet"))?;
        let number = match &action.port {
            IntOrString::Int(number) => Some(*number),
            IntOrString::String(name) => container
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_ref() == Some(name))
                .map(|port| port.container_port),
        };
        let port = number.and_then(|number| u16::try_from(number).ok());
        let port = port.ok_or_else(|| wrong("its port is none of the container"))?;
        let timeout = probe
            .timeout_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Some(Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            path: action.path.clone().unwrap_or_else(|| "/".to_owned()),
            timeout: Duration::from_secs(timeout.unwrap_or(1)),
        }))
    }

    /// Whether the container answers with a status of success.
    pub(crate) async fn succeeds(&self) -> bool {
        let response = tokio::time::timeout(self.timeout, get(self.address, &self.path)).await;
        matches!(response, Ok(Ok((200..=399, _))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(probe: serde_json::Value) -> Pod {
        let container = json!({
            "name": "rebalancer",
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": probe,
        });
        let pod = json!({"metadata": {"name": "one"}, "spec": {"containers": [container]}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn port_is_a_number_or_a_name() {
        for port in [json!(8080), json!("http")] {
            let pod = pod(json!({"httpGet": {"path": "/readyz", "port": port}}));
            let probe = Probe::readiness(&pod).unwrap().unwrap();
            assert_eq!(probe.address.port(), 8080);
            assert_eq!(probe.path, "/readyz");
            assert_eq!(probe.timeout, Duration::from_secs(1));
        }
    }

    #[test]
    fn unknown_probes_are_errors() {
        assert_eq!(Probe::readiness(&pod(json!(null))).unwrap(), None);
        for probe in [
            json!({"httpGet": {"path": "/readyz", "port": "metrics"}}),
            json!({"tcpSocket": {"port": 8080}}),
        ] {
            assert!(Probe::readiness(&pod(probe)).is_err());
        }
    }
}
