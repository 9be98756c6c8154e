//! The coordinator of a consumer group: reads the group, joins a classic one, removes members.

use std::fmt;
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rebalancer_core::handover::HandoverLimits;
use rebalancer_core::ports::{
    CoordinatorError, CoordinatorErrorKind, DescribedGroup, GroupCoordinator, JoinRequest,
    JoinedGroup, JoinedMember, JoinedSubscription, LeavingMember, OwnMember, SyncRequest,
    TopicPartition,
};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::address::{Address, BootstrapServers};
use crate::cluster::{self, Cluster};
use crate::connection::Connection;
use crate::consumer_protocol::{Assignment, Subscription};
use crate::dialer::Dialer;
use crate::error::{Action, KafkaError, RequestFailure};
use crate::error_code::ErrorCode;
use crate::group::{describe, flattened};
use crate::messages::{Heartbeat, JoinGroup, Joined, LeaveGroup, Request, SyncGroup};

/// The limit of a parked JoinGroup or SyncGroup. The coordinator answers within the rebalance
/// timeout of the group, which is 5 minutes by default in Java and librdkafka.
const PARKED_LIMIT: Duration = Duration::from_secs(10 * 60);
/// The pause before a description is requested again.
const PAUSE: Duration = Duration::from_millis(200);
/// The reason in the log of the broker when a member of ours joins.
const JOIN_REASON: &str = "hand-over of an assignment by the rebalancer";

/// Access to the coordinator of one consumer group.
///
/// Each own member has a connection, because a parked JoinGroup blocks its connection. A third one
/// is for requests that belong to no member. Connections are opened when they are first needed, and
/// again after a failure.
pub struct KafkaCoordinator {
    dialer: Dialer,
    servers: BootstrapServers,
    group: String,
    /// The coordinator and the id of the cluster; `None` if it has to be looked up.
    known: StdMutex<Option<Known>>,
    scout: Mutex<Option<Connection>>,
    assigner: Mutex<Option<Connection>>,
    control: Mutex<Option<Connection>>,
}

#[derive(Debug, Clone)]
struct Known {
    coordinator: Address,
    cluster_id: Option<String>,
}

impl fmt::Debug for KafkaCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaCoordinator")
            .field("servers", &self.servers)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// A connection that is in use.
type Slot<'a> = MutexGuard<'a, Option<Connection>>;

impl KafkaCoordinator {
    pub(crate) fn new(dialer: Dialer, servers: BootstrapServers, group: String) -> Self {
        Self {
            dialer: Dialer {
                timeout: dialer.timeout.min(HandoverLimits::REQUEST),
                ..dialer
            },
            servers,
            group,
            known: StdMutex::new(None),
            scout: Mutex::new(None),
            assigner: Mutex::new(None),
            control: Mutex::new(None),
        }
    }

    fn of_member(&self, own: OwnMember) -> &Mutex<Option<Connection>> {
        match own {
            OwnMember::Scout => &self.scout,
            OwnMember::Assigner => &self.assigner,
        }
    }

    fn known(&self) -> Option<Known> {
        let known = self.known.lock();
        known.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_known(&self, known: Option<Known>) {
        let mut stored = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *stored = known;
    }

    /// Runs a request on a connection to the coordinator, which is opened if there is none.
    ///
    /// The connection is taken out of its slot for the request, and put back only after a response,
    /// so that a request that was cancelled or failed closes its connection.
    async fn on<T>(
        &self,
        slot: &Mutex<Option<Connection>>,
        limit: Duration,
        request: impl AsyncFnOnce(&mut Connection) -> Result<T, KafkaError> + Send,
    ) -> Result<T, CoordinatorError>
    where
        T: Send,
    {
        let mut slot: Slot<'_> = timeout(limit, slot.lock()).await.map_err(|_| {
            let message = "a request of this member is still waiting for its response";
            CoordinatorError::new(CoordinatorErrorKind::Other, message)
        })?;
        let open = slot.take().filter(Connection::is_usable);
        let mut connection = match open {
            Some(connection) => connection,
            None => timeout(limit, self.connect())
                .await
                .map_err(|_| no_connection(limit))?
                .map_err(|error| not_sent(&error))?,
        };
        let result = request(&mut connection).await;
        match &result {
            Ok(_) => *slot = Some(connection),
            Err(error) => {
                if connection.is_usable() {
                    *slot = Some(connection);
                }
                if kind_of(error) == CoordinatorErrorKind::CoordinatorChanged
                    || kind_of(error) == CoordinatorErrorKind::Lost
                {
                    *slot = None;
                    self.set_known(None);
                }
            }
        }
        result.map_err(|error| CoordinatorError::new(kind_of(&error), error.to_string()))
    }

    /// Connects to the coordinator, which is looked up if it is not known or cannot be reached.
    async fn connect(&self) -> Result<Connection, KafkaError> {
        if let Some(known) = self.known() {
            match self.dialer.dial(&known.coordinator).await {
                Ok(connection) => return Ok(connection),
                Err(Err(setup)) => return Err(setup),
                Err(Ok(failure)) => {
                    debug!(coordinator = %known.coordinator, %failure, "looking up the coordinator");
                    self.set_known(None);
                }
            }
        }
        let mut cluster = Cluster::connect(&self.dialer, &self.servers).await?;
        let connection = cluster.coordinator(&self.group).await?;
        self.set_known(Some(Known {
            coordinator: connection.broker().clone(),
            cluster_id: cluster.cluster_id,
        }));
        Ok(connection)
    }

    /// Sends a request once, within a limit.
    async fn send<R: Request + Sync>(
        &self,
        connection: &mut Connection,
        request: &R,
        action: Action,
        limit: Duration,
    ) -> Result<R::Response, KafkaError> {
        let response = connection.call(request, limit).await;
        response.map_err(|error| KafkaError::Request {
            action,
            broker: connection.broker().clone(),
            failure: error.into(),
        })
    }

    fn check(
        &self,
        error: ErrorCode,
        connection: &Connection,
        action: impl FnOnce() -> Action,
    ) -> Result<(), KafkaError> {
        cluster::check_group(error, &self.group, connection.broker(), action)
    }

    fn join_group<'a>(
        &'a self,
        request: &'a JoinRequest,
        member_id: &'a str,
        metadata: &'a [u8],
    ) -> JoinGroup<'a> {
        JoinGroup {
            group: &self.group,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            member_id,
            protocol: &request.assignor,
            metadata,
            reason: JOIN_REASON,
        }
    }

    async fn describe_once(&self) -> Result<DescribedGroup, CoordinatorError> {
        let mut group = self
            .on(&self.control, self.dialer.timeout, async |connection| {
                describe(connection, &self.dialer, &self.group).await
            })
            .await?;
        group.cluster_id = self.known().and_then(|known| known.cluster_id);
        Ok(group)
    }
}

/// The class of a failure.
fn kind_of(error: &KafkaError) -> CoordinatorErrorKind {
    match error {
        KafkaError::Request { failure, .. } => match failure {
            RequestFailure::Code(code) => kind_of_code(*code),
            RequestFailure::Timeout(_)
            | RequestFailure::Closed(_)
            | RequestFailure::Malformed(_) => CoordinatorErrorKind::Lost,
            RequestFailure::TooOld(_) => CoordinatorErrorKind::Other,
        },
        KafkaError::NotAuthorizedForGroup { .. } | KafkaError::NotAuthorizedForTopics { .. } => {
            CoordinatorErrorKind::Forbidden
        }
        KafkaError::NoBroker { .. } | KafkaError::AdvertisedBroker { .. } => {
            CoordinatorErrorKind::CoordinatorChanged
        }
        KafkaError::BadServers(_)
        | KafkaError::EmptyGroupId
        | KafkaError::BadWindow { .. }
        | KafkaError::File(_)
        | KafkaError::TlsSetup { .. }
        | KafkaError::UnknownGroup { .. } => CoordinatorErrorKind::Other,
    }
}

/// The error of a request that was not sent, because there is no connection to the coordinator.
fn not_sent(error: &KafkaError) -> CoordinatorError {
    let mut kind = kind_of(error);
    if kind == CoordinatorErrorKind::Lost {
        // Only a read of the look-up was lost.
        kind = CoordinatorErrorKind::CoordinatorChanged;
    }
    CoordinatorError::new(kind, error.to_string())
}

/// The error of a request that was not sent, because the connection took too long.
fn no_connection(limit: Duration) -> CoordinatorError {
    CoordinatorError::new(
        CoordinatorErrorKind::CoordinatorChanged,
        format!("no connection to the coordinator of the group within {limit:?}"),
    )
}

fn kind_of_code(code: ErrorCode) -> CoordinatorErrorKind {
    match code {
        ErrorCode::UNKNOWN_MEMBER_ID => CoordinatorErrorKind::UnknownMember,
        ErrorCode::ILLEGAL_GENERATION => CoordinatorErrorKind::IllegalGeneration,
        ErrorCode::REBALANCE_IN_PROGRESS => CoordinatorErrorKind::RebalanceInProgress,
        ErrorCode::FENCED_INSTANCE_ID => CoordinatorErrorKind::FencedInstance,
        ErrorCode::INVALID_SESSION_TIMEOUT => CoordinatorErrorKind::InvalidSessionTimeout,
        ErrorCode::GROUP_MAX_SIZE_REACHED => CoordinatorErrorKind::GroupFull,
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => CoordinatorErrorKind::InconsistentProtocol,
        ErrorCode::GROUP_AUTHORIZATION_FAILED => CoordinatorErrorKind::Forbidden,
        ErrorCode::NOT_COORDINATOR
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => CoordinatorErrorKind::CoordinatorChanged,
        _ => CoordinatorErrorKind::Other,
    }
}

/// The member of a JoinGroup response.
fn joined_member(member: crate::messages::JoinedMember) -> JoinedMember {
    let subscription = Subscription::decode(&member.metadata).ok();
    JoinedMember {
        member_id: member.id,
        instance: member.instance,
        subscription: subscription.map(|subscription| JoinedSubscription {
            topics: subscription.topics,
            owned: flattened(subscription.owned),
        }),
    }
}

/// Partitions by topic, as messages have them.
fn by_topic(partitions: &[TopicPartition]) -> Vec<(String, Vec<i32>)> {
    let mut topics: Vec<(String, Vec<i32>)> = Vec::new();
    for (topic, partition) in partitions {
        let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
        match topics.last_mut() {
            Some((last, partitions)) if last == topic => partitions.push(partition),
            Some(_) | None => topics.push((topic.clone(), vec![partition])),
        }
    }
    topics
}

#[async_trait]
impl GroupCoordinator for KafkaCoordinator {
    async fn describe(&self) -> Result<DescribedGroup, CoordinatorError> {
        let deadline = Instant::now() + self.dialer.timeout;
        loop {
            match self.describe_once().await {
                Err(error)
                    if matches!(
                        error.kind,
                        CoordinatorErrorKind::Lost | CoordinatorErrorKind::CoordinatorChanged
                    ) && Instant::now() + PAUSE < deadline =>
                {
                    debug!(%error, "describing the group again");
                    sleep(PAUSE).await;
                }
                result => return result,
            }
        }
    }

    async fn draw_member_id(&self, request: &JoinRequest) -> Result<String, CoordinatorError> {
        let metadata = Subscription::encode_empty();
        let join = self.join_group(request, "", &metadata);
        let action = || Action::Join(self.group.clone());
        let limit = self.dialer.timeout;
        let slot = self.of_member(request.own);
        let joined: Joined = self
            .on(slot, limit, async |connection| {
                let joined = self.send(connection, &join, action(), limit).await?;
                if joined.error != ErrorCode::MEMBER_ID_REQUIRED {
                    self.check(joined.error, connection, action)?;
                }
                Ok(joined)
            })
            .await?;
        if joined.error == ErrorCode::MEMBER_ID_REQUIRED {
            return Ok(joined.member_id);
        }
        // A coordinator that lets members join without an id made one: it must not stay.
        let leaving = LeavingMember {
            member_id: joined.member_id,
            instance: None,
        };
        if let Err(error) = self.leave(&[leaving], JOIN_REASON).await {
            warn!(%error, "a member that was not meant to join stays until its session expires");
        }
        Err(CoordinatorError::new(
            CoordinatorErrorKind::Other,
            format!(
                "the coordinator of group `{}` lets members join without a member id; it is not \
                 supported (Kafka 2.8 or newer is required)",
                self.group
            ),
        ))
    }

    async fn join(&self, request: &JoinRequest) -> Result<JoinedGroup, CoordinatorError> {
        let metadata = Subscription::encode_empty();
        let join = self.join_group(request, &request.member_id, &metadata);
        let action = || Action::Join(self.group.clone());
        let slot = self.of_member(request.own);
        let joined = self
            .on(slot, self.dialer.timeout, async |connection| {
                let joined = self.send(connection, &join, action(), PARKED_LIMIT).await?;
                self.check(joined.error, connection, action)?;
                Ok(joined)
            })
            .await?;
        Ok(JoinedGroup {
            generation: joined.generation,
            leader: joined.leader,
            assignor: joined.protocol.unwrap_or_default(),
            members: joined.members.into_iter().map(joined_member).collect(),
        })
    }

    async fn sync(&self, request: &SyncRequest) -> Result<Vec<TopicPartition>, CoordinatorError> {
        let sticky = request.sticky_user_data.then_some(request.generation);
        let assignments: Vec<(String, Vec<u8>)> = request
            .assignments
            .iter()
            .map(|one| {
                let bytes = Assignment::encode(&by_topic(&one.partitions), sticky);
                (one.member_id.clone(), bytes)
            })
            .collect();
        let sync = SyncGroup {
            group: &self.group,
            generation: request.generation,
            member_id: &request.member_id,
            protocol: &request.assignor,
            assignments: &assignments,
        };
        let action = || Action::Sync(self.group.clone());
        let slot = self.of_member(request.own);
        self.on(slot, self.dialer.timeout, async |connection| {
            let (error, bytes) = self.send(connection, &sync, action(), PARKED_LIMIT).await?;
            self.check(error, connection, action)?;
            let assignment = Assignment::decode(&bytes).map_err(|reason| KafkaError::Request {
                action: action(),
                broker: connection.broker().clone(),
                failure: RequestFailure::Malformed(reason.to_string()),
            })?;
            Ok(flattened(assignment.partitions))
        })
        .await
    }

    async fn heartbeat(
        &self,
        own: OwnMember,
        member_id: &str,
        generation: i32,
    ) -> Result<(), CoordinatorError> {
        let heartbeat = Heartbeat {
            group: &self.group,
            generation,
            member_id,
        };
        let action = || Action::Heartbeat(self.group.clone());
        let limit = self.dialer.timeout.min(HandoverLimits::HEARTBEAT_RESPONSE);
        self.on(self.of_member(own), limit, async |connection| {
            let error = self.send(connection, &heartbeat, action(), limit).await?;
            self.check(error, connection, action)
        })
        .await
    }

    async fn leave(
        &self,
        members: &[LeavingMember],
        reason: &str,
    ) -> Result<Vec<Result<(), CoordinatorErrorKind>>, CoordinatorError> {
        let named: Vec<(&str, Option<&str>)> = members
            .iter()
            .map(|member| (member.member_id.as_str(), member.instance.as_deref()))
            .collect();
        let leave = LeaveGroup {
            group: &self.group,
            members: &named,
            reason,
        };
        let action = || Action::Leave(self.group.clone());
        let limit = self.dialer.timeout;
        let answers = self
            .on(&self.control, limit, async |connection| {
                let (error, answers) = self.send(connection, &leave, action(), limit).await?;
                self.check(error, connection, action)?;
                Ok(answers)
            })
            .await?;
        let of = |member: &LeavingMember| {
            let answer = answers.iter().find(|(id, _)| *id == member.member_id);
            match answer {
                Some((_, error)) if error.is_none() => Ok(()),
                Some((_, error)) => Err(kind_of_code(*error)),
                None => Err(CoordinatorErrorKind::Other),
            }
        };
        Ok(members.iter().map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(ErrorCode::UNKNOWN_MEMBER_ID, CoordinatorErrorKind::UnknownMember)]
    #[case(ErrorCode::ILLEGAL_GENERATION, CoordinatorErrorKind::IllegalGeneration)]
    #[case(
        ErrorCode::REBALANCE_IN_PROGRESS,
        CoordinatorErrorKind::RebalanceInProgress
    )]
    #[case(ErrorCode::FENCED_INSTANCE_ID, CoordinatorErrorKind::FencedInstance)]
    #[case(
        ErrorCode::INVALID_SESSION_TIMEOUT,
        CoordinatorErrorKind::InvalidSessionTimeout
    )]
    #[case(ErrorCode::GROUP_MAX_SIZE_REACHED, CoordinatorErrorKind::GroupFull)]
    #[case(
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        CoordinatorErrorKind::InconsistentProtocol
    )]
    #[case(ErrorCode::NOT_COORDINATOR, CoordinatorErrorKind::CoordinatorChanged)]
    #[case(
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        CoordinatorErrorKind::CoordinatorChanged
    )]
    #[case(
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        CoordinatorErrorKind::CoordinatorChanged
    )]
    #[case(ErrorCode::UNKNOWN_SERVER_ERROR, CoordinatorErrorKind::Other)]
    fn error_code_has_a_kind(#[case] code: ErrorCode, #[case] kind: CoordinatorErrorKind) {
        assert_eq!(kind_of_code(code), kind);
    }

    /// A request without a response may have taken effect; one that was not sent has not.
    #[rstest]
    #[case(RequestFailure::Timeout(Duration::ZERO))]
    #[case(RequestFailure::Closed("reset".into()))]
    #[case(RequestFailure::Malformed("short".into()))]
    fn only_a_request_that_was_sent_is_lost(#[case] failure: RequestFailure) {
        let error = KafkaError::Request {
            action: Action::Leave("g".into()),
            broker: Address {
                host: "kafka".into(),
                port: 9092,
            },
            failure,
        };
        assert_eq!(kind_of(&error), CoordinatorErrorKind::Lost);
        let kind = not_sent(&error).kind;
        assert_eq!(kind, CoordinatorErrorKind::CoordinatorChanged);
    }

    #[test]
    fn partitions_are_grouped_by_topic() {
        let partitions = [("a".to_owned(), 1), ("a".into(), 3), ("b".into(), 0)];
        let topics = by_topic(&partitions);
        assert_eq!(
            topics,
            [("a".to_owned(), vec![1, 3]), ("b".into(), vec![0])]
        );
        assert_eq!(flattened(topics), partitions);
    }
}
