//! Names of calls, in the terms of the audit log and of the program's queries.

use crate::http::Request;

/// The name of a connection before its first request.
pub const CONNECT: &str = "connect";

/// The name and object of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// `get deployments`, `list pods`, `create pods/eviction`, …; a page after the first is `list
    /// pods, continued`. Prometheus queries are `query load`, `query freshness`, …
    pub(super) name: String,
    /// The object's name, or empty.
    pub(super) object: String,
}

impl Call {
    pub(super) fn of(request: &Request) -> Self {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if path.ends_with("/api/v1/query") {
            let text = form_decode(query) + &form_decode(&request.body);
            return Self {
                name: format!("query {}", promql(&text)),
                object: String::new(),
            };
        }
        let segments: Vec<&str> = path.split('/').collect();
        let in_namespace = segments
            .iter()
            .position(|segment| *segment == "namespaces")
            .and_then(|at| segments.get(at + 2..));
        let Some([resource, rest @ ..]) = in_namespace else {
            return Self {
                name: format!("{} {path}", request.method),
                object: String::new(),
            };
        };
        let object = rest.first().copied().unwrap_or_default();
        let verb = match request.method.as_str() {
            "GET" if object.is_empty() => "list",
            "GET" => "get",
            "POST" => "create",
            "DELETE" => "delete",
            "PUT" => "update",
            "PATCH" => "patch",
            other => other,
        };
        let sub = rest.get(1).map(|sub| format!("/{sub}")).unwrap_or_default();
        let continued = if verb == "list" && query.contains("continue=") {
            ", continued"
        } else {
            ""
        };
        Self {
            name: format!("{verb} {resource}{sub}{continued}"),
            object: object.to_owned(),
        }
    }
}

/// The purpose of a query, recognized by the functions that only this query uses.
fn promql(text: &str) -> &'static str {
    if text.contains('[') && !text.contains('(') {
        return "samples";
    }
    [
        // A subquery.
        (")[", "past"),
        ("vector(", "hold"),
        ("kube_horizontalpodautoscaler", "autoscalers"),
        ("kafka_", "group"),
        ("timestamp(", "freshness"),
        ("count_over_time(", "window"),
        ("last_over_time(", "duplicates"),
        ("count by", "labels"),
        ("sum by (pod, id)", "cgroups"),
        ("rate(", "load"),
    ]
    .into_iter()
    .find(|(words, _)| text.contains(words))
    .map_or("unknown", |(_, purpose)| purpose)
}

/// Decodes a form: `+` is a space, `%28` a parenthesis.
fn form_decode(form: &str) -> String {
    let mut out = Vec::with_capacity(form.len());
    let mut bytes = form.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    bytes
                        .next()
                        .and_then(|digit| char::from(digit).to_digit(16))
                        .and_then(|digit| u8::try_from(digit).ok())
                        .unwrap_or(0)
                };
                digit() * 16 + digit()
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "GET",
        "/apis/apps/v1/namespaces/a/deployments/web",
        "get deployments",
        "web"
    )]
    #[case(
        "GET",
        "/apis/apps/v1/namespaces/a/replicasets?&limit=500",
        "list replicasets",
        ""
    )]
    #[case("GET", "/api/v1/namespaces/a/pods?&limit=2", "list pods", "")]
    #[case(
        "GET",
        "/api/v1/namespaces/a/pods?limit=2&continue=x",
        "list pods, continued",
        ""
    )]
    #[case("GET", "/api/v1/namespaces/a/pods/web-1", "get pods", "web-1")]
    #[case(
        "POST",
        "/api/v1/namespaces/a/pods/web-1/eviction?dryRun=All",
        "create pods/eviction",
        "web-1"
    )]
    #[case("DELETE", "/api/v1/namespaces/a/pods/web-1", "delete pods", "web-1")]
    #[case(
        "PUT",
        "/apis/coordination.k8s.io/v1/namespaces/a/leases/x?fieldManager=y",
        "update leases",
        "x"
    )]
    #[case(
        "PATCH",
        "/apis/apps/v1/namespaces/a/deployments/web",
        "patch deployments",
        "web"
    )]
    #[case("GET", "/api/v1/namespaces/a", "GET /api/v1/namespaces/a", "")]
    #[case("GET", "/apis/apps/v1", "GET /apis/apps/v1", "")]
    fn call_is_named_by_its_path(
        #[case] method: &str,
        #[case] path: &str,
        #[case] name: &str,
        #[case] object: &str,
    ) {
        let call = Call::of(&Request {
            method: method.to_owned(),
            path: path.to_owned(),
            ..Request::default()
        });
        assert_eq!((call.name.as_str(), call.object.as_str()), (name, object));
    }

    #[rstest]
    #[case("query=sum+by+%28pod%29+%28rate%28x%5B5m%5D%29%29", "query load")]
    #[case(
        "query=time%28%29+-+max+by+%28pod%29+%28timestamp%28x%29%29",
        "query freshness"
    )]
    #[case(
        "query=max+by+%28pod%29+%28count+by+%28pod%2C+cpu%29+%28last_over_time%28x%5B5m%5D%29%29%29",
        "query duplicates"
    )]
    #[case("query=count+by+%28pod%2C+exported_pod%29+%28x%29", "query labels")]
    #[case(
        "query=sum+by+%28pod%2C+id%29+%28rate%28x%5B5m%5D%29%29",
        "query cgroups"
    )]
    #[case("query=x%7Bpod%3D~%22a%7Cb%22%7D%5B10m%5D", "query samples")]
    #[case(
        "query=count+by+%28pod%29+%28count_over_time%28x%5B150s%5D+offset+150s%29%29",
        "query window"
    )]
    #[case(
        "query=%7B__name__%3D~%22kube_horizontalpodautoscaler_info%22%7D",
        "query autoscalers"
    )]
    #[case(
        "query=max+by+%28topic%29+%28rate%28kafka_x%5B5m%5D%29%29",
        "query group"
    )]
    #[case(
        "query=%28%0Asum+by+%28pod%29+%28rate%28x%5B5m%5D%29%29%0A%29%5B16m%3A1m%5D",
        "query past"
    )]
    #[case("query=vector%281%29+%3C+0", "query hold")]
    #[case("query=up", "query unknown")]
    fn query_is_named_by_its_functions(#[case] body: &str, #[case] name: &str) {
        let call = Call::of(&Request {
            method: "POST".to_owned(),
            path: "/api/v1/query".to_owned(),
            body: body.to_owned(),
            ..Request::default()
        });
        assert_eq!(call.name, name);
    }
}
