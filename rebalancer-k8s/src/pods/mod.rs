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

/// Reads a page in either format, and passes each of its pods to `receive`.
///
/// Pods in protobuf are decoded one at a time: a page of decoded pods is larger than the page.
fn read_page(
    body: &Bytes,
    mut receive: impl FnMut(&PodObject) -> Result<(), BadPage>,
) -> Result<PageEnd, BadPage> {
    let mut checked = |pod: &PodObject| {
        pod.check_identity()?;
        receive(pod)
    };
    let Some(object) = protobuf::object(body)? else {
        let (pods, end) = read_json::<Page<PodObject>>(body)?.split("Pod")?;
        pods.iter().try_for_each(checked)?;
        return Ok(end);
    };
    let list = PodList::decode(object.message).map_err(Malformed::from)?;
    let page = Page {
        kind: object.kind,
        metadata: list.metadata,
        items: Some(list.items),
    };
    let (pods, end) = page.split("Pod")?;
    for pod in pods {
        checked(&PodObject::decode(pod).map_err(Malformed::from)?)?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::Pages as _;
    use crate::protobuf::testing::Encoded;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn refuses_a_pod_without_name_in_both_formats() {
        let list = json!({"kind": "PodList", "items": [
            {"metadata": {"uid": "u"}, "spec": {"containers": []}}]});
        for body in testing::bodies(&list) {
            assert!(read_page(&body, |_| Ok(())).is_err());
        }
    }

    #[rstest]
    #[case::another_kind("SecretList", "expected a PodList, found a SecretList")]
    #[case::no_kind("", "expected a PodList, found an object without a kind")]
    fn refuses_another_list_in_both_formats(#[case] kind: &str, #[case] message: &str) {
        let json = json!({"kind": kind, "metadata": {}, "items": []});
        let bodies = [json.to_string().into(), Encoded::default().response(kind)];
        for body in bodies {
            let error = read_page(&body, |_| Ok(())).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[rstest]
    #[case::name_is_not_utf8(1, b"\xff".as_slice(), "not UTF-8")]
    #[case::time_is_out_of_range(8, b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x40".as_slice(), "out of range")]
    fn refuses_malformed_metadata(#[case] tag: u64, #[case] value: &[u8], #[case] message: &str) {
        let metadata = Encoded::default()
            .bytes(1, "a")
            .bytes(5, "u")
            .bytes(tag, value);
        let pod = Encoded::default().bytes(1, metadata.0);
        let body = Encoded::default().bytes(2, pod.0).response("PodList");
        let error = Reduction::new(Timestamp::UNIX_EPOCH, "web")
            .page(&body)
            .unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }

    proptest! {
        #[test]
        fn reads_changed_bytes_without_panic(index: prop::sample::Index, byte: u8) {
            let list = json!({"kind": "PodList", "metadata": {}, "items": [testing::pod()]});
            for body in testing::bodies(&list) {
                let mut body = Vec::from(body);
                let index = index.index(body.len());
                body[index] = byte;
                let mut reduction = Reduction::new(Timestamp::UNIX_EPOCH, "ingestion");
                if let Ok(end) = reduction.page(&body.into()) {
                    prop_assert_eq!(reduction.finish(&[], None).pods.len(), end.items);
                }
            }
        }
    }
}
