//! The few administrative requests that the tests need, as bytes of the protocol.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{Error, Result};

/// Deadline of one response.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// The type of a resource with access rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclResource {
    /// A topic.
    Topic,
    /// A group.
    Group,
}

/// An operation that an access rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclOperation {
    /// READ, which includes DESCRIBE.
    Read,
    /// DESCRIBE.
    Describe,
    /// DESCRIBE_CONFIGS.
    DescribeConfigs,
}

/// Administrative access to a broker.
#[derive(Debug)]
pub struct Admin {
    pub(super) address: SocketAddr,
}

impl Admin {
    /// Creates a topic with one replica per partition.
    ///
    /// # Errors
    /// If the broker rejects the topic.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let mut body = Vec::new();
        array(&mut body, 1);
        string(&mut body, name);
        body.extend(partitions.to_be_bytes());
        body.extend(1_i16.to_be_bytes());
        array(&mut body, 0);
        array(&mut body, 0);
        body.extend(15_000_i32.to_be_bytes());
        body.push(0);
        let answer = self.request(19, 2, &body).await?;
        // Throttle time, number of topics, name, error.
        let at = 4 + 4 + 2 + name.len();
        check(&format!("the creation of topic {name}"), &answer, at)
    }

    /// Allows a user an operation on one resource.
    ///
    /// # Errors
    /// If the broker rejects the rule.
    pub async fn allow(
        &self,
        user: &str,
        operation: AclOperation,
        resource: AclResource,
        name: &str,
    ) -> Result<()> {
        let body = rule(user, operation, resource, name);
        let answer = self.request(30, 1, &body).await?;
        check(&format!("an access rule of {user}"), &answer, 4 + 4)
    }

    /// Deletes a rule of [`allow`](Self::allow).
    ///
    /// # Errors
    /// If the broker rejects the deletion.
    pub async fn revoke(
        &self,
        user: &str,
        operation: AclOperation,
        resource: AclResource,
        name: &str,
    ) -> Result<()> {
        let body = rule(user, operation, resource, name);
        let answer = self.request(31, 1, &body).await?;
        check(&format!("the end of a rule of {user}"), &answer, 4 + 4)
    }

    /// Sets a dynamic setting of a group.
    ///
    /// # Errors
    /// If the broker rejects the value.
    pub async fn set_group_config(&self, group: &str, name: &str, value: &str) -> Result<()> {
        let (resource, set) = (32, 0);
        let mut body = Vec::new();
        array(&mut body, 1);
        body.push(resource);
        string(&mut body, group);
        array(&mut body, 1);
        string(&mut body, name);
        body.push(set);
        string(&mut body, value);
        let validate_only = 0;
        body.push(validate_only);
        let answer = self.request(44, 0, &body).await?;
        check(&format!("{name} of group {group}"), &answer, 4 + 4)
    }

    /// Sends a request with a classic header and returns the body of the response.
    async fn request(&self, key: i16, version: i16, body: &[u8]) -> Result<Vec<u8>> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let mut message = Vec::new();
            message.extend(key.to_be_bytes());
            message.extend(version.to_be_bytes());
            message.extend(1_i32.to_be_bytes());
            string(&mut message, "harness");
            message.extend(body);
            let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
            stream.write_all(&length.to_be_bytes()).await?;
            stream.write_all(&message).await?;
            let length = stream.read_u32().await?;
            let _id = stream.read_u32().await?;
            let mut answer = Vec::new();
            let rest = u64::from(length.saturating_sub(4));
            stream.take(rest).read_to_end(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let failed = Error::io(format!("send request {key} to Kafka at {}", self.address));
        match tokio::time::timeout(ANSWER_DEADLINE, exchange).await {
            Ok(answer) => answer.map_err(failed),
            Err(elapsed) => Err(failed(elapsed.into())),
        }
    }
}

fn array(body: &mut Vec<u8>, length: i32) {
    body.extend(length.to_be_bytes());
}

fn string(body: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    body.extend(length.to_be_bytes());
    body.extend(text.as_bytes());
}

/// A request with one access rule, or with one filter that matches only this rule.
fn rule(user: &str, operation: AclOperation, resource: AclResource, name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    array(&mut body, 1);
    body.push(match resource {
        AclResource::Topic => 2,
        AclResource::Group => 3,
    });
    string(&mut body, name);
    let literal = 3;
    body.push(literal);
    string(&mut body, &format!("User:{user}"));
    string(&mut body, "*");
    body.push(match operation {
        AclOperation::Read => 3,
        AclOperation::Describe => 8,
        AclOperation::DescribeConfigs => 10,
    });
    let allow = 3;
    body.push(allow);
    body
}

/// Checks the error code at an index of a response.
fn check(what: &str, answer: &[u8], at: usize) -> Result<()> {
    let error = answer.get(at..at + 2);
    match error {
        Some([0, 0]) => Ok(()),
        _ => Err(Error::Document {
            what: what.to_owned(),
            message: format!("error {error:?} of {answer:?}"),
        }),
    }
}
