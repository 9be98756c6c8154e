//! Pods as the API lists them, reduced page by page to the fields of a snapshot.
//!
//! A pod is several kilobytes, most of which (managed fields, volumes, environment) is skipped. A
//! page is dropped as soon as its pods are reduced. The format is protobuf where the server
//! supports it, and JSON otherwise; both yield the same pods.

mod failures;
mod object;
mod ready_count;
mod reduction;
#[cfg(test)]
mod testing;

use bytes::Bytes;
use prost::Message as _;
use rebalancer_adapter::read_json;

use crate::pages::{BadPage, Page, PageEnd};
use crate::protobuf::{self, Malformed};

pub(crate) use object::PodObject;
pub(crate) use ready_count::ReadyCount;
pub(crate) use reduction::{Reduced, Reduction};

use object::PodList;

/// Reads a page in either format.
fn read_page(body: &Bytes) -> Result<(Vec<PodObject>, PageEnd), BadPage> {
    let page = match protobuf::object(body)? {
        Some(object) => {
            let list = PodList::decode(object.message).map_err(Malformed::from)?;
            Page {
                kind: object.kind,
                metadata: list.metadata,
                items: Some(list.items),
            }
        }
        None => read_json(body)?,
    };
    let (pods, end) = page.split("Pod")?;
    if pods.iter().any(PodObject::is_nameless) {
        return Err(BadPage::Nameless);
    }
    Ok((pods, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::testing::Encoded;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn refuses_a_pod_without_name_in_both_formats() {
        let list = json!({"kind": "PodList", "items": [
            {"metadata": {"uid": "u"}, "spec": {"containers": []}}]});
        for body in testing::bodies(&list) {
            assert!(read_page(&body).is_err());
        }
    }

    #[rstest]
    #[case::another_kind("SecretList", "expected a PodList, found a SecretList")]
    #[case::no_kind("", "expected a PodList, found an object without a kind")]
    fn refuses_another_list_in_both_formats(#[case] kind: &str, #[case] message: &str) {
        let json = json!({"kind": kind, "metadata": {}, "items": []});
        let bodies = [json.to_string().into(), Encoded::default().response(kind)];
        for body in bodies {
            let error = read_page(&body).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
