//! A broker whose responses are scripted, for cases that a real one cannot be brought into.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::wire::Writer;

/// The response to the *n*th request of an API, from 0 on, as a classic body; `None` closes the
/// connection.
type Script = dyn Fn(i16, usize, &Stub) -> Option<Vec<u8>> + Send + Sync;

/// The addresses that a script refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
}

/// A running broker. It ends when it is dropped.
pub(crate) struct ScriptedBroker {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for ScriptedBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The keys of the APIs.
pub(crate) mod key {
    pub(crate) const LIST_OFFSETS: i16 = 2;
    pub(crate) const METADATA: i16 = 3;
    pub(crate) const OFFSET_FETCH: i16 = 9;
    pub(crate) const FIND_COORDINATOR: i16 = 10;
    pub(crate) const DESCRIBE_GROUPS: i16 = 15;
    pub(crate) const API_VERSIONS: i16 = 18;
}

/// The APIs that the broker supports: key, and the only version.
const SUPPORTED: [(i16, i16); 5] = [
    (key::LIST_OFFSETS, 5),
    (key::METADATA, 8),
    (key::OFFSET_FETCH, 5),
    (key::FIND_COORDINATOR, 2),
    (key::DESCRIBE_GROUPS, 4),
];

impl ScriptedBroker {
    pub(crate) async fn start(
        script: impl Fn(i16, usize, &Stub) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stub = Stub { address };
        let script: Arc<Script> = Arc::new(script);
        let counts = Arc::new(std::sync::Mutex::new(std::collections::HashMap::new()));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (script, counts) = (Arc::clone(&script), Arc::clone(&counts));
                tokio::spawn(async move {
                    while let Some((api, id)) = request(&mut stream).await {
                        let body = if api == key::API_VERSIONS {
                            Some(versions())
                        } else {
                            let number = {
                                let mut counts = counts.lock().unwrap();
                                let count: &mut usize = counts.entry(api).or_default();
                                *count += 1;
                                *count - 1
                            };
                            script(api, number, &stub)
                        };
                        let Some(body) = body else { return };
                        let length = u32::try_from(4 + body.len()).unwrap();
                        stream.write_u32(length).await.unwrap();
                        stream.write_i32(id).await.unwrap();
                        stream.write_all(&body).await.unwrap();
                    }
                });
            }
        });
        Self { address, task }
    }
}

/// Reads a request, and returns the API and the correlation id.
async fn request(stream: &mut TcpStream) -> Option<(i16, i32)> {
    let length = stream.read_u32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    let api = i16::from_be_bytes([body[0], body[1]]);
    let id = i32::from_be_bytes([body[4], body[5], body[6], body[7]]);
    Some((api, id))
}

fn versions() -> Vec<u8> {
    let mut writer = Writer::new(true);
    writer.i16(0);
    writer.array(&SUPPORTED, |writer, &(key, version)| {
        for number in [key, version, version] {
            writer.i16(number);
        }
        writer.tags();
    });
    writer.i32(0);
    writer.tags();
    writer.finish()
}

fn host_and_port(writer: &mut Writer, address: SocketAddr) {
    writer.string(&address.ip().to_string());
    writer.i32(i32::from(address.port()));
}

/// Metadata of one broker, and a topic with the leader of each partition.
pub(crate) fn metadata(broker: SocketAddr, topic: &str, leaders: &[i32]) -> Vec<u8> {
    let mut writer = Writer::new(false);
    writer.i32(0);
    writer.array(&[broker], |writer, &broker| {
        writer.i32(1);
        host_and_port(writer, broker);
        writer.nullable_string(None);
    });
    writer.nullable_string(Some("cluster"));
    writer.i32(1);
    writer.array(&[topic], |writer, topic| {
        writer.i16(0);
        writer.string(topic);
        writer.bool(false);
        let partitions: Vec<(i32, i32)> = (0..).zip(leaders.iter().copied()).collect();
        writer.array(&partitions, |writer, &(index, leader)| {
            writer.i16(0);
            writer.i32(index);
            writer.i32(leader);
            writer.i32(0);
            for _ in ["replicas", "in sync"] {
                writer.array(&[1], |writer, &id| writer.i32(id));
            }
            writer.array(&[], |_, (): &()| ());
        });
        writer.i32(i32::MIN);
    });
    writer.i32(i32::MIN);
    writer.finish()
}

pub(crate) fn coordinator(error: i16, address: SocketAddr) -> Vec<u8> {
    let mut writer = Writer::new(false);
    writer.i32(0);
    writer.i16(error);
    writer.nullable_string(None);
    writer.i32(1);
    host_and_port(&mut writer, address);
    writer.finish()
}

/// A stable group with one member that subscribes to a topic and owns its first partition.
pub(crate) fn group(error: i16, topic: &str) -> Vec<u8> {
    let mut metadata = Writer::new(false);
    metadata.i16(0);
    metadata.array(&[topic], |writer, topic| writer.string(topic));
    metadata.null_bytes();
    let metadata = metadata.finish();
    let owned = [(topic.to_owned(), vec![0])];
    let assignment = crate::consumer_protocol::Assignment::encode(&owned, None);
    let mut writer = Writer::new(false);
    writer.i32(0);
    writer.array(&[()], |writer, ()| {
        writer.i16(error);
        for text in ["orders", "Stable", "consumer", "range"] {
            writer.string(text);
        }
        writer.array(&[()], |writer, ()| {
            writer.string("m");
            writer.nullable_string(None);
            writer.string("pod-1");
            writer.string("/10.0.0.1");
            writer.bytes(&metadata);
            writer.bytes(&assignment);
        });
        writer.i32(i32::MIN);
    });
    writer.finish()
}

/// No committed offset.
pub(crate) fn committed() -> Vec<u8> {
    let mut writer = Writer::new(false);
    writer.i32(0);
    writer.array(&[], |_, (): &()| ());
    writer.i16(0);
    writer.finish()
}

/// The offset of the first partition of a topic.
pub(crate) fn offsets(topic: &str, error: i16, offset: i64) -> Vec<u8> {
    let mut writer = Writer::new(false);
    writer.i32(0);
    writer.array(&[topic], |writer, topic| {
        writer.string(topic);
        writer.array(&[()], |writer, ()| {
            writer.i32(0);
            writer.i16(error);
            writer.i64(-1);
            writer.i64(offset);
            writer.i32(0);
        });
    });
    writer.finish()
}
