//! Workloads shared by cases that change nothing; created and measured once.

use ::harness::{PodView, Result, Target, TestNamespace, Workload, WorkloadSpec, annotation};
use futures::future::try_join_all;
use tokio::sync::OnceCell;

use super::SKEWED;

const NAMESPACE: &str = "shared";

/// The namespace of the shared workloads.
pub(crate) struct Shared {
    pub(crate) ns: TestNamespace,
}

impl Shared {
    /// Opens the namespace; the first call creates it.
    pub(crate) async fn open() -> Result<Self> {
        static MADE: OnceCell<Result<()>> = OnceCell::const_new();
        if let Err(error) = MADE.get_or_init(make).await {
            panic!("the shared workloads could not be made: {error}");
        }
        let ns = TestNamespace::reopen(NAMESPACE).await?;
        Ok(Self { ns })
    }

    /// The workload with the loads of [`SKEWED`] and an autoscaler with a target of 0.7 cores.
    pub(crate) async fn skewed(&self) -> Result<(Workload<'_>, Vec<PodView>)> {
        let workload = self.ns.workload(skewed());
        let pods = workload.pods().await?;
        Ok((workload, pods))
    }

    /// One of the other workloads.
    pub(crate) fn workload(&self, name: &str) -> Workload<'_> {
        let (spec, _) = others()
            .into_iter()
            .find(|(spec, _)| spec.name() == name)
            .unwrap();
        self.ns.workload(spec)
    }
}

fn skewed() -> WorkloadSpec {
    WorkloadSpec::deployment("consumer").loads(SKEWED)
}

/// The other workloads, each with its autoscalers.
fn others() -> Vec<(WorkloadSpec, Vec<(&'static str, Target)>)> {
    let of = |name: &str| {
        WorkloadSpec::deployment(name)
            .loads([0.5; 3])
            .request("500m")
    };
    let of_container = |container: &str| Target::ContainerUtilization(container.into(), 80);
    vec![
        (
            of("balanced")
                .loads([0.72, 0.68, 0.7, 0.75, 0.65])
                .request("1"),
            vec![("balanced", Target::Utilization(70))],
        ),
        (
            of("unmeasured").annotation(annotation::UNMEASURED, "true"),
            vec![("unmeasured", Target::Utilization(70))],
        ),
        (of("without-autoscaler"), vec![]),
        (
            of("disagreed"),
            vec![
                ("of-the-team", Target::Utilization(70)),
                ("of-the-platform", Target::Utilization(50)),
            ],
        ),
        (
            of("average"),
            vec![("average", Target::AverageValue("600m".into()))],
        ),
        (
            of("contained"),
            vec![("contained", of_container("contained"))],
        ),
        (
            of("beside").sidecar("proxy", Some("100m")),
            vec![("beside", of_container("proxy"))],
        ),
        (
            of("accompanied").sidecar("proxy", Some("100m")),
            vec![("accompanied", Target::Utilization(70))],
        ),
        (
            of("modest").without_request(),
            vec![("modest", Target::Utilization(70))],
        ),
        (of("named-after"), vec![]),
    ]
}

async fn make() -> Result<()> {
    let ns = TestNamespace::named(NAMESPACE).await?;
    let consumer = async {
        let consumer = ns.create(skewed()).await?;
        ns.autoscale(&consumer, Target::Utilization(70)).await?;
        consumer.wait_measured().await
    };
    let others = try_join_all(others().into_iter().map(|(spec, autoscalers)| {
        let ns = &ns;
        async move {
            let workload = ns.create(spec).await?;
            for (name, target) in autoscalers {
                ns.autoscale_named(name, &workload, target).await?;
            }
            workload.wait_measured().await
        }
    }));
    // An autoscaler that refers to the workload only by its own name.
    let elsewhere = ns.workload(WorkloadSpec::deployment("elsewhere"));
    let prefixed = ns.autoscale_named(
        "keda-hpa-named-after",
        &elsewhere,
        Target::AverageValue("900m".into()),
    );
    let (consumer, others, prefixed) = tokio::join!(consumer, others, prefixed);
    consumer?;
    others?;
    prefixed
}
