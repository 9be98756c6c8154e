//! A measured workload, and the metrics that simulated exporters report about its groups.

use std::collections::BTreeMap;
use std::time::Duration;

use ::harness::{PodView, Result, Series, Target, TestNamespace, WorkloadSpec};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::OnceCell;

/// The owner of each partition of the topic, as a sticky assignor may leave them.
pub(super) const OWNERS: [usize; 12] = [0, 1, 0, 2, 3, 0, 1, 2, 3, 1, 2, 3];
/// The rate of each partition, in records per second.
pub(super) const RATES: [f64; 12] = [
    60.0, 20.0, 50.0, 10.0, 15.0, 40.0, 20.0, 10.0, 15.0, 20.0, 20.0, 10.0,
];
/// The owners under the range assignor, and the rates that give the same loads.
const RANGED: [usize; 12] = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3];
const RANGED_RATES: [f64; 12] = [
    60.0, 50.0, 40.0, 20.0, 20.0, 20.0, 10.0, 10.0, 20.0, 15.0, 15.0, 10.0,
];
/// The partition of the group `uncommitted` that has no committed offset.
const UNCOMMITTED: usize = 4;
/// The partition of the group `moving` that moves, and between which pods.
pub(super) const MOVED: usize = 3;
const MOVED_FROM: usize = 2;
pub(super) const MOVED_TO: usize = 1;
/// The group and the topic whose offsets go back.
pub(super) const WENT_BACK: &str = "went-back";
/// The group and the topic that two Kafka clusters have.
pub(super) const TWO_CLUSTERS: &str = "two-clusters";
/// The load of a pod: 0.05 cores, plus 8 milliseconds of CPU time per record.
const LOADS: [f64; 4] = [1.25, 0.53, 0.37, 0.37];

const NAMESPACE: &str = "groups";

/// The full name of a topic: exporters do not report namespaces, and the client writes no `.`.
pub(super) fn topic(name: &str) -> String {
    format!("{NAMESPACE}.{name}")
}

/// The workload.
pub(super) fn spec() -> WorkloadSpec {
    WorkloadSpec::deployment("consumer").loads(LOADS)
}

/// The namespace with the workload.
pub(super) struct FakeGroups {
    pub(super) ns: TestNamespace,
    pub(super) pods: Vec<PodView>,
}

impl FakeGroups {
    /// Opens the namespace; the first call creates it.
    pub(super) async fn open() -> Result<Self> {
        static MADE: OnceCell<Result<()>> = OnceCell::const_new();
        if let Err(error) = MADE.get_or_init(make).await {
            panic!("the fake groups could not be created: {error}");
        }
        let ns = TestNamespace::reopen(NAMESPACE).await?;
        let pods = ns.workload(spec()).pods().await?;
        Ok(Self { ns, pods })
    }
}

async fn make() -> Result<()> {
    let ns = TestNamespace::named(NAMESPACE).await?;
    let consumer = ns.create(spec()).await?;
    ns.autoscale(&consumer, Target::Utilization(70)).await?;
    let pods = consumer.pods().await?;
    let list = ns.api::<Pod>().list(&Default::default()).await.unwrap();
    let addresses: BTreeMap<String, String> = list
        .into_iter()
        .map(|pod| {
            let address = pod.status.and_then(|status| status.pod_ip).unwrap();
            (pod.metadata.name.unwrap(), address)
        })
        .collect();
    let member = |pod: &usize| (pods[*pod].name.clone(), addresses[&pods[*pod].name].clone());
    let members = |owners: &[usize]| owners.iter().map(member).collect::<Vec<_>>();
    let orders = members(&OWNERS);
    ns.expose("consumers", consumers(&orders));
    ns.expose("moving", assignment("moving", &orders));
    ns.expose("went-back", offsets(WENT_BACK, "", 1e6));
    ns.expose("two-clusters", two_clusters());
    ns.expose("lags", lags(&orders));
    ns.expose("micrometer", micrometer(&orders));
    ns.expose("client", client(&orders));
    ns.expose("kafka-exporter", kafka_exporter());
    let mut lag = lag_exporter("orders", &topic("orders"), &orders);
    lag.extend(lag_exporter("ranged", &topic("ranged"), &members(&RANGED)));
    lag.extend(lag_exporter("uncommitted", &topic("orders"), &orders));
    lag.extend(without_members());
    lag.extend(by_client_id(&orders));
    lag.extend(static_members(&orders));
    lag.extend(without_an_owner(&orders));
    lag.extend(latest_offsets());
    ns.expose("kafka-lag-exporter", lag);
    consumer.wait_measured().await?;
    // A rate is exact once its whole window has samples, and the series are younger than the
    // loads.
    tokio::time::sleep(Duration::from_secs(15)).await;
    Ok(())
}

/// The name and address of the owner of each partition.
type Members = [(String, String)];

/// The metrics that consumers export themselves, as PostHog's do.
fn assignment(group: &str, owners: &Members) -> Vec<Series> {
    let owners = owners.iter().enumerate();
    owners
        .map(|(partition, (pod, _))| owned(group, partition, pod, 1.0))
        .collect()
}

/// A group of other pods, with the owners of [`OWNERS`].
pub(super) fn assignment_of(group: &str, pods: &[PodView]) -> Vec<Series> {
    let owner = |pod: &usize| (pods[*pod].name.clone(), String::new());
    assignment(group, &OWNERS.iter().map(owner).collect::<Vec<_>>())
}

fn owned(group: &str, partition: usize, pod: &str, value: f64) -> Series {
    let topic = topic("orders");
    Series::gauge(
        format!(
            "kafka_consumer_assignment{{topic_name=\"{topic}\",partition_id=\"{partition}\",\
             pod=\"{pod}\",group_id=\"{group}\"}}"
        ),
        value,
    )
}

/// A partition of the group `moving` moves to another pod; the previous owner reports its release.
pub(super) fn moved(fake_groups: &FakeGroups) {
    let mut series = assignment_of("moving", &fake_groups.pods);
    series[MOVED] = owned("moving", MOVED, &fake_groups.pods[MOVED_TO].name, 1.0);
    series.push(owned(
        "moving",
        MOVED,
        &fake_groups.pods[MOVED_FROM].name,
        0.0,
    ));
    fake_groups.ns.expose("moving", series);
}

/// Owners of another topic.
fn assignment_to(name: &str, owners: &Members) -> Vec<Series> {
    let topic = topic(name);
    let owned = |(partition, (pod, _)): (usize, &(String, String))| {
        let labels = format!(
            "topic=\"{topic}\",partition=\"{partition}\",pod=\"{pod}\",group_id=\"{name}\""
        );
        Series::gauge(format!("kafka_consumer_assignment{{{labels}}}"), 1.0)
    };
    owners.iter().enumerate().map(owned).collect()
}

/// The offsets of another topic, with an additional label, from this offset on.
pub(super) fn offsets(name: &str, label: &str, from: f64) -> Vec<Series> {
    let topic = topic(name);
    let rates = RATES.into_iter().enumerate();
    rates
        .map(|(partition, rate)| {
            let labels = format!("topic=\"{topic}\",partition=\"{partition}\"{label}");
            let name = format!("kafka_topic_partition_current_offset{{{labels}}}");
            Series::growing(name, from, rate)
        })
        .collect()
}

/// Kafka clusters of two environments, which have a topic of the same name.
fn two_clusters() -> Vec<Series> {
    let mut series = offsets(TWO_CLUSTERS, ",env=\"prod\"", 1e9);
    series.extend(offsets(TWO_CLUSTERS, ",env=\"test\"", 2e6));
    series
}

/// The lag gauges of the Java client. Some lags are zero, also at the end of the topic.
fn lags(owners: &Members) -> Vec<Series> {
    let of = |client: &str, partition: usize, pod: &str, lag: f64| {
        let topic = topic("orders");
        Series::gauge(
            format!(
                "kafka_consumer_fetch_manager_records_lag{{topic=\"{topic}\",\
                 partition=\"{partition}\",pod=\"{pod}\",client_id=\"{client}\"}}"
            ),
            lag,
        )
    };
    let owners = owners.iter().enumerate();
    owners
        .flat_map(|(partition, (pod, _))| {
            let large = if partition % 4 == 3 { 0.0 } else { 12.0 };
            let small = if partition == 11 { 0.0 } else { 1.0 };
            [
                of("large", partition, pod, large),
                of("small", partition, pod, small),
            ]
        })
        .collect()
}

/// The Java client through Micrometer, in an application of Kafka Streams. Restore and global
/// consumers read topics that the group does not consume.
fn micrometer(owners: &Members) -> Vec<Series> {
    let of = |topic: &str, partition: usize, pod: &str, role: &str| {
        Series::gauge(
            format!(
                "kafka_consumer_fetch_manager_preferred_read_replica{{namespace=\"{NAMESPACE}\",\
                 pod=\"{pod}\",client_id=\"orders-5b4f-{role}\",kafka_version=\"4.1.0\",\
                 topic=\"{topic}\",partition=\"{partition}\"}}"
            ),
            -1.0,
        )
    };
    let orders = topic("orders");
    let mut series = Vec::new();
    for (partition, (pod, _)) in owners.iter().enumerate() {
        series.push(of(&orders, partition, pod, "StreamThread-1-consumer"));
        series.push(of(
            "orders-counts-changelog",
            partition,
            pod,
            "StreamThread-1-restore-consumer",
        ));
        series.push(of("currencies", partition, &owners[0].0, "global-consumer"));
    }
    series
}

/// The complete group, and groups with one defect each.
fn consumers(owners: &Members) -> Vec<Series> {
    let mut all = assignment("orders", owners);
    all.extend(assignment_to(WENT_BACK, owners));
    all.extend(assignment_to(TWO_CLUSTERS, owners));
    // A partition that was released long ago.
    all.push(owned("orders", 1, &owners[0].0, 0.0));
    // And the series of a pod that no longer exists.
    all.push(owned("orders", 2, "consumer-ended", 1.0));

    let mut gap = assignment("gap", owners);
    gap.remove(3);
    let mut stranger = assignment("stranger", owners);
    stranger[5] = owned("stranger", 5, "consumer-gone", 1.0);
    let mut duplicated = assignment("duplicated", owners);
    duplicated.push(owned("duplicated", 7, &owners[0].0, 1.0));
    let unrated = owners.iter().enumerate().map(|(partition, (pod, _))| {
        let topic = topic("unrated");
        let labels = format!(
            "topic=\"{topic}\",partition=\"{partition}\",pod=\"{pod}\",group_id=\"unrated\""
        );
        Series::gauge(format!("kafka_consumer_assignment{{{labels}}}"), 1.0)
    });
    all.extend(
        gap.into_iter()
            .chain(stranger)
            .chain(duplicated)
            .chain(unrated),
    );
    all
}

/// The Java client through the JMX exporter, on the pods of this workload and of another one whose
/// name has the same prefix.
fn client(owners: &Members) -> Vec<Series> {
    let of = |topic: &str, partition: usize, pod: &str| {
        Series::gauge(
            format!(
                "kafka_consumer_consumer_fetch_manager_metrics_preferred_read_replica{{\
                 namespace=\"{NAMESPACE}\",pod=\"{pod}\",client_id=\"consumer-orders-1\",\
                 topic=\"{topic}\",partition=\"{partition}\"}}"
            ),
            -1.0,
        )
    };
    let written = topic("orders").replace('.', "_");
    let mut series = Vec::new();
    for (partition, (pod, _)) in owners.iter().enumerate() {
        series.push(of(&written, partition, pod));
        // Kafka 4.1 and later have both names; these pods are being upgraded.
        if partition % 2 == 0 {
            series.push(of(&topic("orders"), partition, pod));
        }
    }
    series.push(of("of_others", 0, "consumer-of-others-5d9c-xyz12"));
    series
}

/// Two replicas of kafka_exporter: offsets by the broker's names, also of topics of other groups.
fn kafka_exporter() -> Vec<Series> {
    let of = |name: &str, partition: usize, rate: f64| {
        let topic = topic(name);
        ["one", "two"].map(|replica| {
            Series::growing(
                format!(
                    "kafka_topic_partition_current_offset{{instance=\"{replica}\",\
                     topic=\"{topic}\",partition=\"{partition}\"}}"
                ),
                1e9,
                rate,
            )
        })
    };
    let mut series = Vec::new();
    for (partition, rate) in RATES.into_iter().enumerate() {
        series.extend(of("orders", partition, rate));
        if partition != 11 {
            series.extend(of("unrated", partition, rate));
        }
        series.extend(of("ranged", partition, RANGED_RATES[partition]));
    }
    series.extend(of("of-others", 0, 1e6));
    series
}

fn lag(group: &str, topic: &str, partition: usize, member: [&str; 3], value: f64) -> Series {
    let [host, id, client] = member;
    Series::gauge(
        format!(
            "kafka_consumergroup_group_lag{{cluster_name=\"production\",group=\"{group}\",\
             topic=\"{topic}\",partition=\"{partition}\",member_host=\"{host}\",\
             consumer_id=\"{id}\",client_id=\"{client}\"}}"
        ),
        value,
    )
}

/// kafka-lag-exporter's owners.
fn lag_exporter(group: &str, topic: &str, owners: &Members) -> Vec<Series> {
    let owners = owners.iter().enumerate();
    let of = |(partition, (pod, address)): (usize, &(String, String))| {
        let host = format!("/{address}");
        let id = format!("consumer-1-of-{pod}");
        // NaN where no offset was committed yet.
        let uncommitted = group == "uncommitted" && partition == UNCOMMITTED;
        let value = if uncommitted { f64::NAN } else { 12.0 };
        lag(group, topic, partition, [&host, &id, "consumer-1"], value)
    };
    owners.map(of).collect()
}

/// Static members: their ids begin with `group.instance.id`, which outlives the pods.
fn static_members(owners: &Members) -> impl Iterator<Item = Series> {
    let owners = owners.iter().zip(OWNERS).enumerate();
    owners.map(|(partition, ((_, address), pod))| {
        let host = format!("/{address}");
        let id = format!("orders-{pod}-9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d");
        lag(
            "static",
            &topic("orders"),
            partition,
            [&host, &id, "consumer-g-1"],
            12.0,
        )
    })
}

/// klag-exporter leaves the labels of a missing owner empty.
fn without_an_owner(owners: &Members) -> Vec<Series> {
    let mut series = lag_exporter("lacking", &topic("orders"), owners);
    series[6] = lag("lacking", &topic("orders"), 6, ["", "", ""], 12.0);
    series
}

/// Its metrics for a group without members.
fn without_members() -> impl Iterator<Item = Series> {
    let nobody = ["unknown"; 3];
    (0..OWNERS.len()).map(move |partition| lag("empty", &topic("orders"), partition, nobody, 1.0))
}

/// Members behind a gateway: only the client id names the pod.
fn by_client_id(owners: &Members) -> Vec<Series> {
    let owners = owners.iter().enumerate();
    let of = |(partition, (pod, _)): (usize, &(String, String))| {
        let client = format!("orders-{pod}-StreamThread-1-consumer");
        let member = ["/192.0.2.1", &client, &client];
        lag("by-client", &topic("orders"), partition, member, 3.0)
    };
    owners.map(of).collect()
}

/// The offsets of kafka-lag-exporter for two clusters with topics of the same names.
fn latest_offsets() -> Vec<Series> {
    let of = |cluster: &str, partition: usize, rate: f64| {
        let topic = topic("orders");
        Series::growing(
            format!(
                "kafka_partition_latest_offset{{cluster_name=\"{cluster}\",topic=\"{topic}\",\
                 partition=\"{partition}\"}}"
            ),
            1e6,
            rate,
        )
    };
    let rates = RATES.into_iter().enumerate();
    rates
        .flat_map(|(partition, rate)| {
            [
                of("production", partition, rate),
                of("staging", partition, 500.0),
            ]
        })
        .collect()
}
