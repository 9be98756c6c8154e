//! Hand-overs over secured listeners, by users with the documented rights and no others.

use harness::kafka::{AclOperation, AclResource};
use rebalancer_kafka::PasswordMechanism;

use super::*;
use crate::rights::{allow, until_it_may_read};
use crate::security::{mutual_tls, password, tls};

/// The ways to connect: SCRAM over TLS, and TLS with a client certificate.
#[derive(Debug, Clone, Copy)]
enum Access {
    Scram,
    Certificate,
}

impl Access {
    /// The principal's name.
    fn user(self) -> &'static str {
        match self {
            Self::Scram => "reader",
            Self::Certificate => "CN=client",
        }
    }

    fn adapter(self, group: &Group) -> Adapter {
        let certificates = group.kafka.certificates().unwrap();
        match self {
            Self::Scram => {
                let security = Security {
                    tls: Some(tls(certificates)),
                    sasl: Some(password(PasswordMechanism::ScramSha512, self.user())),
                };
                group.adapter(Listener::SaslTls, security)
            }
            Self::Certificate => {
                let security = Security {
                    tls: Some(mutual_tls(certificates, &certificates.client)),
                    sasl: None,
                };
                group.adapter(Listener::MutualTls, security)
            }
        }
    }
}

/// READ on the group and DESCRIBE on its topics suffice.
#[tokio::test]
async fn user_with_the_documented_rights_hands_an_assignment_out() -> Result<()> {
    use KafkaVersion::{Current, V3_9};
    let cases = [
        (Access::Scram, Current),
        (Access::Scram, V3_9),
        (Access::Certificate, Current),
    ];
    let handed_over = cases.map(async |(access, version)| {
        let name = format!("secured-{access:?}-{version:?}");
        let group = Group::start(&name, Kind::classic(version)).await?;
        allow(&group, access.user(), Some(AclOperation::Read), 2).await?;
        let adapter = access.adapter(&group);
        until_it_may_read(&adapter, true).await?;
        assign_by(&group, &adapter).await?;
        Ok(group)
    });
    let groups: Vec<Group> = try_join_all(handed_over).await?;
    drop(groups);
    Ok(())
}

/// READ on the group is revoked between the plan and its execution.
#[tokio::test]
async fn revoked_right_is_named_and_the_group_is_left_alone() -> Result<()> {
    let access = Access::Scram;
    let (user, id) = (access.user(), "revoked");
    let group = Group::start(id, Kind::classic(KafkaVersion::Current)).await?;
    allow(&group, user, Some(AclOperation::Describe), 2).await?;
    allow(&group, user, Some(AclOperation::Read), 0).await?;
    let adapter = access.adapter(&group);
    until_it_may_read(&adapter, true).await?;
    let clock = SystemClock::new();
    let plan = planned(&adapter, group.client(), &clock).await;
    let before = owned(&group);

    let admin = group.kafka.admin();
    admin
        .revoke(user, AclOperation::Read, AclResource::Group, id)
        .await?;
    until_it_may_read(&adapter, false).await?;
    let (stop, watch) = (Stop::never(), Watch::default());
    let report = execute(plan, &adapter, &clock, &stop, &watch, |_| ()).await;
    let HandoverOutcome::Abandoned(reason) = &report.outcome else {
        panic!("{report:?}");
    };
    let expected = format!("grant READ on group `{id}` to the user");
    assert!(reason.to_string().contains(&expected), "{report:?}");
    assert_eq!((report.rebalances, report.removed), (0, 0), "{report:?}");
    assert!(report.settled, "{report:?}");
    assert_eq!(ours(&group).await, 0, "{report:?}");
    at_rest(&group).await?;
    assert_eq!(owned(&group), before);
    Ok(())
}
