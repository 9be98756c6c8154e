//! The servers that all tests of a process share.

use std::sync::Arc;

use tokio::{runtime::Runtime, sync::OnceCell};

use crate::{
    ControlPlane, Error, MetricsServer, Result, exporter, http::HttpServer, kubelet::Kubelet,
    meters::Meters,
};

/// Everything that runs.
pub(crate) struct Cluster {
    pub(crate) control_plane: ControlPlane,
    pub(crate) prometheus: MetricsServer,
    pub(crate) victoria_metrics: MetricsServer,
    pub(crate) kubelet: Kubelet,
    pub(crate) meters: Arc<Meters>,
    // Held for its drop.
    _exporter: HttpServer,
}

/// The process's cluster, started by the first call.
///
/// Kubelet and exporter live on a runtime of their own, since that of a test ends
/// with the test. A failed start is remembered, so that not every test waits for it.
pub(crate) async fn shared() -> Result<&'static Cluster> {
    static RUNTIME: OnceCell<Runtime> = OnceCell::const_new();
    static CLUSTER: OnceCell<std::result::Result<Cluster, Arc<Error>>> = OnceCell::const_new();
    let cluster = CLUSTER
        .get_or_init(async || {
            let runtime = RUNTIME
                .get_or_try_init(async || {
                    tokio::runtime::Builder::new_multi_thread()
                        .worker_threads(2)
                        .enable_all()
                        .build()
                        .map_err(Error::io("start a runtime for the servers"))
                })
                .await?;
            let handle = runtime.handle().clone();
            let start =
                tokio::task::spawn_blocking(move || handle.block_on(Cluster::start())).await;
            Ok(start.map_err(Error::document("the end of the servers' start"))??)
        })
        .await;
    cluster
        .as_ref()
        .map_err(|error| Error::Shared(Arc::clone(error)))
}

impl Cluster {
    async fn start() -> Result<Self> {
        let control_plane = ControlPlane::start().await?;
        let meters = Arc::new(Meters::default());
        let client = control_plane.client().await?;
        let kubelet = Kubelet::start(client.clone(), Arc::clone(&meters)).await?;
        let exporter = exporter::start(client, Arc::clone(&meters)).await?;
        let (prometheus, victoria_metrics) = tokio::try_join!(
            MetricsServer::prometheus(exporter.address()),
            MetricsServer::victoria_metrics(exporter.address()),
        )?;
        Ok(Self {
            control_plane,
            prometheus,
            victoria_metrics,
            kubelet,
            meters,
            _exporter: exporter,
        })
    }
}
