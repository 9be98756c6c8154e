//! The servers shared by all tests of a process.

use std::sync::Arc;

use tokio::{runtime::Runtime, sync::OnceCell};

use crate::{
    ControlPlane, Error, MetricsServer, Result, assets::CurrentServer, exporter,
    exposition::Exposition, http::HttpServer, kubelet::Kubelet, meters::Meters, work::Works,
};

/// The running servers.
pub(crate) struct Cluster {
    pub(crate) control_plane: ControlPlane,
    pub(crate) prometheus: MetricsServer,
    pub(crate) victoria_metrics: MetricsServer,
    pub(crate) current_prometheus: MetricsServer,
    pub(crate) current_victoria_metrics: MetricsServer,
    pub(crate) kubelet: Kubelet,
    pub(crate) meters: Arc<Meters>,
    pub(crate) fake_exporters: Arc<Exposition>,
    pub(crate) works: Arc<Works>,
    /// The server of the metrics that are scraped.
    pub(crate) exporter: HttpServer,
}

/// Returns the process's cluster; the first call starts it. A failed start is remembered, so that
/// later tests fail at once.
pub(crate) async fn shared() -> Result<&'static Cluster> {
    static CLUSTER: OnceCell<std::result::Result<Cluster, Arc<Error>>> = OnceCell::const_new();
    let cluster = CLUSTER.get_or_init(async || Ok(start().await?)).await;
    cluster
        .as_ref()
        .map_err(|error| Error::Shared(Arc::clone(error)))
}

/// Starts another cluster, for a test that stops servers. Like the shared one, it runs until the
/// process ends.
pub(crate) async fn own() -> Result<&'static Cluster> {
    Ok(Box::leak(Box::new(start().await?)))
}

/// Starts a cluster. Kubelet and exporter run on their own runtime, because a test's runtime ends
/// with the test.
async fn start() -> Result<Cluster> {
    static RUNTIME: OnceCell<Runtime> = OnceCell::const_new();
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
    tokio::task::spawn_blocking(move || handle.block_on(Cluster::start()))
        .await
        .map_err(Error::document("the end of the servers' start"))?
}

impl Cluster {
    async fn start() -> Result<Self> {
        let control_plane = ControlPlane::start().await?;
        let meters = Arc::new(Meters::default());
        let fake_exporters = Arc::new(Exposition::default());
        let client = control_plane.client().await?;
        let works = Arc::<Works>::default();
        let kubelet =
            Kubelet::start(client.clone(), Arc::clone(&meters), Arc::clone(&works)).await?;
        let exporter = exporter::start(
            client,
            Arc::clone(&meters),
            Arc::clone(&fake_exporters),
            Arc::clone(&works),
        )
        .await?;
        let scraped = exporter.address();
        let (prometheus, victoria_metrics, current_prometheus, current_victoria_metrics) = tokio::try_join!(
            MetricsServer::prometheus(scraped),
            MetricsServer::victoria_metrics(scraped),
            MetricsServer::current(CurrentServer::Prometheus, scraped),
            MetricsServer::current(CurrentServer::VictoriaMetrics, scraped),
        )?;
        kubelet
            .containers()
            .surround(control_plane.address(), victoria_metrics.address())
            .await?;
        Ok(Self {
            control_plane,
            prometheus,
            victoria_metrics,
            current_prometheus,
            current_victoria_metrics,
            kubelet,
            meters,
            fake_exporters,
            works,
            exporter,
        })
    }
}
