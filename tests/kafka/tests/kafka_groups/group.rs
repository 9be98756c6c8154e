//! A group of real consumers, and its reaction to the replacement of members.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use consumers::{Consumer, GroupConfig};
use evaluation::episode::{self, Episode, EpisodeOrder, Owners};
use harness::{
    Result,
    wait::{Look, until},
};
use rebalancer_core::group::{Assignor, Protocol};

use crate::server::Cluster;

/// The number of consumers of a group.
const MEMBERS: usize = 6;

/// The number of consumers replaced at a time.
const REPLACED: usize = 2;

/// The time without a change after which a group counts as settled: several heartbeats.
const CALM: Duration = Duration::from_millis(1500);

/// The time limit for a group to settle, on a machine that is busy with a build.
const SETTLED_DEADLINE: Duration = Duration::from_secs(120);

/// Running consumers of one group.
pub(crate) struct RealGroup {
    config: GroupConfig,
    topics: BTreeMap<String, usize>,
    consumers: Vec<Consumer>,
    started: usize,
    /// The owners when the group settled last.
    owners: Owners,
}

impl RealGroup {
    /// Starts a group.
    pub(crate) async fn start(
        cluster: &Cluster,
        name: &str,
        protocol: Protocol,
        assignor: Assignor,
    ) -> Result<Self> {
        let topics: BTreeMap<String, usize> = cluster.topics.iter().cloned().collect();
        let mut group = Self {
            config: GroupConfig {
                bootstrap: cluster.bootstrap.clone(),
                id: name.to_owned(),
                topics: topics.keys().cloned().collect(),
                protocol,
                assignor,
                static_members: false,
                properties: Vec::new(),
            },
            topics,
            consumers: Vec::new(),
            started: 0,
            owners: Owners::new(),
        };
        group.grow(MEMBERS)?;
        group.owners = group.settled().await?;
        Ok(group)
    }

    fn grow(&mut self, members: usize) -> Result<()> {
        for _ in 0..members {
            // Names like those of pods: unordered, so that new members sort between the others.
            let suffix = self.started.wrapping_mul(0x9e37) & 0xffff;
            let pod = format!("consumer-{suffix:04x}");
            self.started += 1;
            self.consumers
                .push(Consumer::start(&self.config, &pod, || ())?);
        }
        Ok(())
    }

    /// Replaces the two oldest members.
    pub(crate) async fn replace_two(&mut self, order: EpisodeOrder) -> Result<Episode> {
        let before = self.owners.clone();
        let members = self.members();
        let victims: Vec<Consumer> = self.consumers.drain(..REPLACED).collect();
        let names = victims.iter().map(|victim| victim.pod().to_owned());
        let names: Vec<String> = names.collect();
        match order {
            EpisodeOrder::LeaveFirst => {
                end(victims).await;
                self.settled().await?;
                self.grow(REPLACED)?;
            }
            EpisodeOrder::JoinFirst => {
                self.grow(REPLACED)?;
                self.settled_beside(&victims).await?;
                end(victims).await;
            }
            EpisodeOrder::Together => {
                victims.iter().for_each(Consumer::end);
                self.grow(REPLACED)?;
                end(victims).await;
            }
        }
        self.owners = self.settled().await?;
        let replacements = self.members().split_off(MEMBERS - REPLACED);
        Ok(Episode {
            episode: 0,
            generations: None,
            client: "librdkafka".to_owned(),
            protocol: self.config.protocol,
            assignor: self.config.assignor,
            topics: self.topics.clone(),
            members,
            before,
            victims: names,
            replacements,
            order,
            after: self.owners.clone(),
        })
    }

    fn members(&self) -> Vec<episode::Consumer> {
        let member = |consumer: &Consumer| episode::Consumer {
            pod: consumer.pod().to_owned(),
            id: consumer.id(),
        };
        self.consumers.iter().map(member).collect()
    }

    async fn settled(&self) -> Result<Owners> {
        self.settled_beside(&[]).await
    }

    /// Waits until each partition has one owner, each member owns a partition, and nothing has
    /// changed for a moment.
    async fn settled_beside(&self, others: &[Consumer]) -> Result<Owners> {
        let all = || self.consumers.iter().chain(others);
        let mut last = BTreeMap::new();
        let mut since = Instant::now();
        let what = format!("group {} to settle", self.config.id);
        until(
            what,
            SETTLED_DEADLINE,
            Duration::from_millis(50),
            async || {
                let owned: BTreeMap<&str, BTreeSet<_>> =
                    all().map(|one| (one.pod(), one.owned())).collect();
                if owned != last {
                    last = owned;
                    since = Instant::now();
                }
                let owners = self.owners(&last);
                let idle = last.values().any(BTreeSet::is_empty);
                Ok(match owners {
                    Some(owners) if !idle && since.elapsed() >= CALM => Look::Done(owners),
                    _ => Look::Not(format!("{last:?}")),
                })
            },
        )
        .await
    }

    /// The owner of each partition; `None` until each has exactly one owner.
    fn owners(&self, owned: &BTreeMap<&str, BTreeSet<(String, i32)>>) -> Option<Owners> {
        let owner = |topic: &String, number: usize| {
            let partition = (topic.clone(), i32::try_from(number).ok()?);
            let mut owners = owned.iter().filter(|(_, all)| all.contains(&partition));
            let owner = owners.next()?;
            owners.next().is_none().then(|| (*owner.0).to_owned())
        };
        let owners = self.topics.iter().map(|(topic, size)| {
            let owners: Option<Vec<String>> = (0..*size).map(|one| owner(topic, one)).collect();
            Some((topic.clone(), owners?))
        });
        owners.collect()
    }
}

/// Stops consumers at the same time and waits until they have left.
async fn end(consumers: Vec<Consumer>) {
    consumers.iter().for_each(Consumer::end);
    // Closing waits for the response of the coordinator.
    let closed = tokio::task::spawn_blocking(move || drop(consumers)).await;
    closed.expect("consumers close");
}
