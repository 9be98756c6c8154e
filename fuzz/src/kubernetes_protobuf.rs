//! A response of the Kubernetes API in protobuf (or JSON): reading it as a page of pods and as a
//! refusal never panics, and every resulting pod has a name, a UID and valid
//! numbers.

use jiff::Timestamp;
use rebalancer_k8s::fuzzing::{pods, refusal};

/// Checks the input as a whole response, and as the object inside a response.
pub fn check(data: &[u8]) -> bool {
    let accepted = read(data);
    // The envelope is added here, so that the fuzzer does not have to find it.
    let within = read(&response(data));
    accepted || within
}

/// A list of pods in the envelope that the API uses.
fn response(object: &[u8]) -> Vec<u8> {
    let mut response = b"k8s\0\x0a\x0d\x0a\x02v1\x12\x07PodList\x12".to_vec();
    let mut length = object.len();
    while length >= 0x80 {
        response.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    response.push(u8::try_from(length).unwrap_or_default());
    response.extend_from_slice(object);
    response
}

fn read(body: &[u8]) -> bool {
    for status in [404, 429, 500] {
        let (words, from_api) = refusal(status, body);
        assert!(!words.contains('\n'), "more than one line: {words:?}");
        // A body that is not from the API server is shortened.
        assert!(from_api || words.chars().count() <= 201);
        assert!(!words.is_empty(), "an error without a message");
    }
    let Ok(page) = pods(body, Timestamp::UNIX_EPOCH, "ingestion", "owner") else {
        return false;
    };
    assert_eq!(page.pods.len(), page.items);
    assert!(page.next.is_none_or(|token| !token.is_empty()));
    let serving = page.pods.iter().filter(|pod| pod.serves()).count();
    // Pods that serve belong to our owner and are ready.
    assert_eq!(serving, page.ready, "the two counts of ready pods differ");
    for pod in &page.pods {
        assert!(!pod.name.is_empty() && !pod.uid.0.is_empty());
        for age in [pod.age_seconds, pod.ready_seconds].into_iter().flatten() {
            assert!(age.get().is_finite() && age.get() >= 0.0);
        }
        assert!(pod.other_requests.get().is_finite());
        if let Some(request) = pod.request {
            assert!(request.get().is_finite() && request.get() > 0.0);
        }
    }
    true
}
