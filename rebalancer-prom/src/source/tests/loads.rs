//! Loads, sample ages, duplicate series and window coverage.

use rebalancer_core::model::{Load, Measurement, SampleFault, Seconds};
use rebalancer_core::ports::MetricsSource as _;
use rstest::rstest;

use super::{sample, settings};
use crate::error::PromError;
use crate::testing::{Reply, Server};
use crate::{PrometheusSettings, PrometheusSource};

/// The raw samples of a pod that two jobs measure.
const DUPLICATES_OF_B: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
    {"metric":{"pod":"b","job":"x"},"values":[[1,"0"],[16,"1"]]},
    {"metric":{"pod":"b","job":"y"},"values":[[1,"0"],[16,"1"]]}]}}"#;

/// Replies to the queries about two pods, of which only one has samples in the first half of
/// the window.
fn two_pods(request: &str) -> Reply {
    if request.contains(" offset ") {
        return Reply::vector(&sample("a", "1"));
    }
    if request.ends_with("[10m]") {
        return Reply::json(DUPLICATES_OF_B);
    }
    let (a, b) = if request.contains("timestamp") {
        ("3.5", "-0.1")
    } else if request.contains("count by") {
        ("1", "2")
    } else {
        ("1.25", "NaN")
    };
    Reply::vector(&format!("{},{}", sample("b", b), sample("a", a)))
}

#[tokio::test]
async fn loads_sample_ages_series_and_coverage_are_read_together() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    let samples = &observation.samples;
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[0].pod, "a");
    assert_eq!(
        samples[0].measurement.load(),
        Some(Load::new(1.25).unwrap())
    );
    assert_eq!(
        samples[0].measurement.samples().age,
        Some(Seconds::new(3.5).unwrap())
    );
    assert_eq!(samples[0].measurement.samples().series, 1);
    assert_eq!(samples[1].pod, "b");
    assert!(matches!(
        samples[1].measurement,
        Measurement::Faulty(SampleFault::NotFinite, _)
    ));
    assert_eq!(samples[1].measurement.samples().age, Some(Seconds::ZERO));
    assert_eq!(samples[1].measurement.samples().series, 2);
    assert_eq!(
        [true, false],
        [0, 1].map(|at| samples[at].measurement.samples().window_covered)
    );
    assert!(!observation.custom);
    let evaluated_at = observation.evaluated_at.unwrap();
    assert_eq!(evaluated_at.as_millisecond(), 1_795_471_462_279);
    assert!(observation.freshness_known);
    assert_eq!(observation.partial, None);
    let requests = server.requests();
    assert_eq!(requests.len(), 5);
    let [duplicate] = observation.duplicates.as_slice() else {
        panic!("{:?}", observation.duplicates);
    };
    assert_eq!((duplicate.pod.as_str(), duplicate.labels.len()), ("b", 1));
    let raw =
        r#"query=container_cpu_usage_seconds_total{namespace="ns",container="app",pod=~"b"}[10m]"#;
    assert!(requests[4].ends_with(raw), "{}", requests[4]);
    assert!(
        requests
            .iter()
            .all(|request| request.starts_with("POST /api/v1/query HTTP/1.1\r\n"))
    );
    let load = r#"query=sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="ns",container="app"}[5m]))"#;
    assert!(requests.iter().any(|request| request.ends_with(load)));
}

/// Replies about two pods with nested cgroups; the loads of all cgroups are doubled.
fn nested_cgroups(request: &str) -> Reply {
    let both = |of: &dyn Fn(&str, &str) -> String| {
        let all: Vec<String> = ["a", "b"]
            .iter()
            .flat_map(|pod| ["/k/1", "/k/1/container"].map(|id| of(pod, id)))
            .collect();
        all.join(",")
    };
    if request.ends_with("[10m]") {
        let series = both(&|pod, id| {
            format!(r#"{{"metric":{{"pod":"{pod}","id":"{id}"}},"values":[[1,"0"],[16,"1"]]}}"#)
        });
        return Reply::json(&format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#
        ));
    }
    if request.contains("by (pod, id)") {
        return Reply::vector(&both(&|pod, id| {
            format!(r#"{{"metric":{{"pod":"{pod}","id":"{id}"}},"value":[1,"0.5"]}}"#)
        }));
    }
    let value = if request.contains("timestamp") || request.contains(" offset ") {
        "1"
    } else if request.contains("count by") {
        "2"
    } else {
        "1.0"
    };
    Reply::vector(&format!("{},{}", sample("a", value), sample("b", value)))
}

#[tokio::test]
async fn outermost_of_nested_cgroups_is_counted() {
    let server = Server::start(nested_cgroups).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    for sample in &observation.samples {
        let load = sample.measurement.load().unwrap();
        assert_eq!((load.get(), sample.measurement.samples().series), (0.5, 1));
    }
    assert_eq!(observation.nested_cgroups, ["a", "b"]);
    assert!(observation.duplicates.is_empty());
    assert_eq!(server.requests().len(), 6);
}

/// Without the loads of the cgroups, the load is known to be counted twice.
#[tokio::test]
async fn nested_cgroups_without_their_loads_are_duplicates() {
    let server = Server::start(|request| {
        if request.contains("by (pod, id)") {
            return Reply::vector("");
        }
        nested_cgroups(request)
    })
    .await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    for sample in &observation.samples {
        assert_eq!(sample.measurement.duplicate_series(), Some(2));
    }
    assert!(observation.nested_cgroups.is_empty());
}

/// The names of many pods exceed the limit of a URL.
#[tokio::test]
async fn series_of_many_pods_are_examined_in_parts() {
    let server = Server::start(|request| {
        if request.ends_with("[10m]") {
            return Reply::json(
                r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
            );
        }
        let value = if request.contains("count by") {
            "2"
        } else {
            "1"
        };
        let samples: Vec<String> = (0..101)
            .map(|pod| sample(&format!("pod-{pod}"), value))
            .collect();
        Reply::vector(&samples.join(","))
    })
    .await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    // What cannot be examined is not trusted.
    assert!(
        observation
            .samples
            .iter()
            .all(|sample| sample.measurement.duplicate_series() == Some(2))
    );
    let requests = server.requests();
    let names = requests.iter().filter(|request| request.ends_with("[10m]"));
    let names: Vec<usize> = names
        .map(|request| request.matches("pod-").count())
        .collect();
    assert_eq!(names, [50, 50, 1]);
}

#[tokio::test]
async fn empty_vector_is_not_an_error() {
    let server = Server::always(Reply::vector("")).await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let observation = source.loads().await.unwrap();
    assert!(observation.samples.is_empty());
    assert!(observation.freshness_known);
    assert_eq!(observation.evaluated_at, None);
}

#[tokio::test]
async fn custom_load_query_is_sent_alone_and_verbatim() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(PrometheusSettings {
        load_query: Some("sum by (pod) (lag{a=\"%+& b\"})".into()),
        ..settings(&server.url)
    })
    .unwrap();
    let observation = source.loads().await.unwrap();
    assert!(!observation.freshness_known);
    assert_eq!(observation.samples[0].measurement.samples().age, None);
    assert_eq!(observation.samples[1].measurement.samples().series, 1);
    assert!(observation.custom && observation.samples[1].measurement.samples().window_covered);
    assert!(observation.evaluated_at.is_some());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].ends_with("query=sum by (pod) (lag{a=\"%+& b\"})"));
}

#[tokio::test]
async fn custom_freshness_query_is_sent_with_a_custom_load_query() {
    let server = Server::start(two_pods).await;
    let source = PrometheusSource::new(PrometheusSettings {
        load_query: Some("lag".into()),
        freshness_query: Some("time() - timestamp(lag)".into()),
        ..settings(&server.url)
    })
    .unwrap();
    let observation = source.loads().await.unwrap();
    assert!(observation.freshness_known);
    assert_eq!(
        observation.samples[0].measurement.samples().age,
        Some(Seconds::new(3.5).unwrap())
    );
    assert_eq!(server.requests().len(), 2);
}

#[rstest]
#[case(r#","isPartial":true"#, Some("isPartial"))]
#[case(r#","isPartial":false"#, None)]
#[case(
    r#","warnings":["store 1 is down"]"#,
    Some("the server warns: store 1 is down")
)]
#[case(r#","warnings":["a","b","c","d","e","f","g"]"#, Some("and 2 more"))]
#[case(r#","warnings":[]"#, None)]
#[case(r#","warnings":null"#, None)]
#[case(r#","infos":["not a counter"]"#, None)]
#[case::note(
    r#","warnings":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"x\" (1:6)"]"#,
    None
)]
#[case::note_and_warning(
    r#","warnings":["PromQL info: not a counter","store 1 is down"]"#,
    Some("may be incomplete: the server warns: store 1 is down")
)]
#[case::promql_warning(
    r#","warnings":["PromQL warning: encountered a mix of histograms and floats"]"#,
    Some("encountered a mix")
)]
#[tokio::test]
async fn partial_response_is_reported(#[case] field: &str, #[case] expected: Option<&str>) {
    let server = Server::always(Reply::json(&format!(
        r#"{{"status":"success"{field},"data":{{"resultType":"vector","result":[]}}}}"#
    )))
    .await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    let partial = source.loads().await.unwrap().partial;
    match expected {
        None => assert_eq!(partial, None),
        Some(words) => {
            let partial = partial.unwrap();
            assert!(partial.contains(words), "{partial}");
            for purpose in [
                "the load query",
                "the sample age query",
                "duplicate series",
                "window coverage",
            ] {
                assert!(partial.contains(purpose), "{partial}");
            }
            let error = source.observe_autoscalers().await.unwrap_err();
            assert!(matches!(error, PromError::PartialAutoscalers { .. }));
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

/// Replies to the search queries with these containers and pods; there are no loads.
async fn advice(containers: &'static str, pods: &'static str) -> Option<String> {
    let server = Server::start(move |request| {
        Reply::vector(if request.contains("count by (namespace") {
            containers
        } else if request.contains("count by (pod, exported_pod") {
            pods
        } else {
            ""
        })
    })
    .await;
    let source = PrometheusSource::new(settings(&server.url)).unwrap();
    source.loads().await.unwrap().advice
}

#[rstest]
#[case::without_honor_labels(
    r#"{"metric":{"namespace":"kube-system","exported_namespace":"ns","exported_container":"app","container":"cadvisor"},"value":[1,"8"]}"#,
    r#"{"metric":{"pod":"cadvisor-x","exported_pod":"app-7d4-a"},"value":[1,"1"]}"#,
    Some(
        "the metrics have the pods under other labels: set \
         PROMETHEUS_NAMESPACE_LABEL=exported_namespace PROMETHEUS_POD_LABEL=exported_pod \
         PROMETHEUS_CONTAINER_LABEL=exported_container"
    )
)]
#[case::old_kubelet(
    r#"{"metric":{"namespace":"ns","container_name":"app"},"value":[1,"8"]}"#,
    r#"{"metric":{"pod_name":"app-7d4-a"},"value":[1,"1"]}"#,
    Some(
        "the metrics have the pods under other labels: set PROMETHEUS_POD_LABEL=pod_name \
         PROMETHEUS_CONTAINER_LABEL=container_name"
    )
)]
#[case::other_container(
    r#"{"metric":{"namespace":"ns","container":"main"},"value":[1,"8"]},{"metric":{"namespace":"ns","container":"POD"},"value":[1,"8"]}"#,
    "",
    Some("the metrics of the namespace ns have no container app, but main: set CONTAINER_NAME")
)]
#[case::usual_labels_without_a_rate(
    r#"{"metric":{"namespace":"ns","container":"app"},"value":[1,"8"]}"#,
    r#"{"metric":{"pod":"app-7d4-a"},"value":[1,"1"]}"#,
    None
)]
#[case::pods_of_another_workload(
    r#"{"metric":{"exported_namespace":"ns","container":"app"},"value":[1,"8"]}"#,
    r#"{"metric":{"exported_pod":"other-7d4-a"},"value":[1,"1"]}"#,
    None
)]
#[case::nothing("", "", None)]
#[tokio::test]
async fn labels_are_proposed_if_there_are_no_loads(
    #[case] containers: &'static str,
    #[case] pods: &'static str,
    #[case] expected: Option<&str>,
) {
    assert_eq!(advice(containers, pods).await.as_deref(), expected);
}

#[tokio::test]
async fn error_for_a_missing_pod_label_proposes_the_label() {
    let server = Server::start(|request| {
        Reply::vector(if request.contains("count by (namespace") {
            r#"{"metric":{"namespace":"ns","container":"app"},"value":[1,"8"]}"#
        } else if request.contains("count by (pod, exported_pod") {
            r#"{"metric":{"k8s_pod_name":"app-7d4-a"},"value":[1,"1"]}"#
        } else {
            r#"{"metric":{},"value":[1,"1"]}"#
        })
    })
    .await;
    let error = super::failure(settings(&server.url)).await.to_string();
    assert!(
        error.ends_with("set PROMETHEUS_POD_LABEL=k8s_pod_name"),
        "{error}"
    );
}

#[tokio::test]
async fn hold_query_is_sent_verbatim_and_names_its_series() {
    let server = Server::start(|request| {
        if !request.contains("query=ALERTS") {
            return two_pods(request);
        }
        let series = |name: &str| {
            format!(
                r#"{{"metric":{{"severity":"page","__name__":"ALERTS","alertname":"{name}"}},"value":[1,"1"]}}"#
            )
        };
        Reply::vector(&["d", "c", "b", "a"].map(series).join(","))
    })
    .await;
    let source = PrometheusSource::new(PrometheusSettings {
        hold_query: Some("ALERTS{alertstate=\"firing\"}".into()),
        ..settings(&server.url)
    })
    .unwrap();
    let hold = source.loads().await.unwrap().hold.unwrap();
    assert_eq!(hold.series, 4);
    let expected =
        ["a", "b", "c"].map(|name| format!(r#"ALERTS{{alertname="{name}",severity="page"}} = 1"#));
    assert_eq!(hold.examples, expected);
    assert_eq!(hold.partial, None);
}

#[tokio::test]
async fn failed_hold_query_is_named() {
    let server = Server::start(|request| {
        if request.contains("query=oops(") {
            return Reply::json(
                r#"{"status":"error","errorType":"bad_data","error":"unknown function"}"#,
            );
        }
        two_pods(request)
    })
    .await;
    let error = super::failure(PrometheusSettings {
        hold_query: Some("oops(".into()),
        ..settings(&server.url)
    })
    .await;
    let message = error.to_string();
    assert!(
        message.starts_with("the hold query (HOLD_QUERY) to http"),
        "{message}"
    );
    assert!(message.contains("unknown function"), "{message}");
}

#[tokio::test]
async fn past_loads_are_read_by_a_subquery() {
    let server = Server::start(|request| {
        if request.ends_with("[17m:1m]") {
            return Reply::json(
                r#"{"status":"success","data":{"resultType":"matrix","result":[
                {"metric":{"pod":"a"},"values":[[1795471342.279,"1"],[1795471402.279,"NaN"],[1795471452.279,"2"]]}]}}"#,
            );
        }
        two_pods(request)
    })
    .await;
    let source = PrometheusSource::new(PrometheusSettings {
        past: Some(std::time::Duration::from_secs(900)),
        ..settings(&server.url)
    })
    .unwrap();
    let past = source.loads().await.unwrap().past_loads.unwrap();
    assert_eq!(past.step_seconds, Seconds::whole(60));
    let loads = &past.pods["a"];
    let loads: Vec<(f64, f64)> = loads
        .iter()
        .map(|past| (past.age_seconds.get(), past.load.get()))
        .collect();
    assert_eq!(loads, [(10.0, 2.0), (120.0, 1.0)]);
    let query = "query=(\nsum by (pod) (rate(container_cpu_usage_seconds_total{namespace=\"ns\",container=\"app\"}[5m]))\n)[17m:1m]";
    let requests = server.requests();
    assert!(
        requests.iter().any(|request| request.ends_with(query)),
        "{requests:?}"
    );
}
