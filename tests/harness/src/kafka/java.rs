//! Consumers of Kafka's own client, many in one Java process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::OnceCell;

use crate::{
    Error, Result,
    assets::{KafkaProgram, KafkaVersion},
    process::server_dir,
};

/// A partition: a topic and a partition number.
pub type Partition = (String, i32);

/// A Java process with consumers. See `tests/harness/java/Consumers.java` for the settings.
///
/// The process ends when this is dropped, or when the process that started it ends, however it
/// ends. The consumers do not leave their groups then.
#[derive(Debug)]
pub struct JavaConsumers {
    process: Child,
    commands: Mutex<ChildStdin>,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
    dir: PathBuf,
}

/// An event of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JavaEvent {
    /// The time, on the monotonic clock of the Java process.
    pub at: Duration,
    /// The name of the consumer.
    pub consumer: String,
    /// The event.
    pub kind: JavaEventKind,
}

/// The kind of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JavaEventKind {
    /// The consumer has this member id.
    Member(String),
    /// The partitions were added; none if a rebalance added none.
    Assigned(BTreeSet<Partition>),
    /// The partitions are given up.
    Revoked(BTreeSet<Partition>),
    /// The partitions were lost.
    Lost(BTreeSet<Partition>),
    /// The records of a poll were processed.
    Processed {
        /// The time at which the poll returned them.
        since: Duration,
        /// The first and the last offset of each partition.
        records: Vec<(Partition, [i64; 2])>,
    },
    /// A commit succeeded.
    Committed(Vec<(Partition, i64)>),
    /// A commit failed.
    Refused {
        /// The class of the exception.
        error: String,
        /// The offsets.
        offsets: Vec<(Partition, i64)>,
    },
    /// The consumer was closed.
    Left,
    /// The consumer ended with this exception.
    Failed(String),
}

/// The events, and the consumers as the events leave them.
#[derive(Debug, Default)]
struct Seen {
    events: Vec<JavaEvent>,
    members: BTreeMap<String, MemberState>,
    /// Lines that are not events.
    unreadable: Vec<String>,
}

#[derive(Debug, Default)]
struct MemberState {
    id: String,
    owned: BTreeSet<Partition>,
    is_over: bool,
}

impl JavaConsumers {
    /// Starts a process with the client of this version. The settings apply to all consumers.
    ///
    /// # Errors
    /// If Java, its compiler or the jars are missing, or the process cannot be started.
    pub fn start(version: KafkaVersion, settings: &[(&str, &str)]) -> Result<Self> {
        Self::launch(version, settings, true, |_| ())
    }

    /// Starts a process as [`Self::start`] does, for consumers that run for a long time: `observe`
    /// is called with each event, in order, and events of records and commits are not kept.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn observed(
        version: KafkaVersion,
        settings: &[(&str, &str)],
        observe: impl FnMut(&JavaEvent) + Send + 'static,
    ) -> Result<Self> {
        Self::launch(version, settings, false, observe)
    }

    fn launch(
        version: KafkaVersion,
        settings: &[(&str, &str)],
        keeps_records: bool,
        mut observe: impl FnMut(&JavaEvent) + Send + 'static,
    ) -> Result<Self> {
        let program = KafkaProgram::locate(version)?;
        let classes = program.consumers()?;
        let dir = server_dir("java-consumers")?;
        let log = dir.join("log");
        let log = File::create(&log).map_err(Error::io(format!("write {}", log.display())))?;
        let mut class_path = classes.into_os_string();
        class_path.push(":");
        class_path.push(&program.jars);
        class_path.push("/*");
        let mut process = Command::new(&program.java)
            .args([
                "-Xmx192m",
                "-Xss512k",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp",
            ])
            .arg(class_path)
            .arg("Consumers")
            .args(settings.iter().map(|(key, value)| format!("{key}={value}")))
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // As for servers: the end of standard input ends it, not Ctrl-C.
            .process_group(0)
            .spawn()
            .map_err(Error::io("start the Java consumers"))?;
        let (Some(commands), Some(events)) = (process.stdin.take(), process.stdout.take()) else {
            unreachable!("both are piped");
        };
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(events).lines().map_while(Result::ok) {
                let Some(event) = JavaEvent::parse(&line) else {
                    lock(&shared).unreadable.push(line);
                    continue;
                };
                observe(&event);
                lock(&shared).add(event, keeps_records);
            }
        });
        Ok(Self {
            process,
            commands: Mutex::new(commands),
            seen,
            reader: Some(reader),
            dir,
        })
    }

    /// Returns the process with the client of a version that all tests share; the first call starts
    /// it. Names of consumers must be unique in it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared(version: KafkaVersion) -> Result<&'static Self> {
        type Shared = OnceCell<std::result::Result<JavaConsumers, Arc<Error>>>;
        static CURRENT: Shared = OnceCell::const_new();
        static V3_9: Shared = OnceCell::const_new();
        // Both brokers of 3.9 come with the same client.
        let (shared, version) = match version {
            KafkaVersion::Current => (&CURRENT, KafkaVersion::Current),
            KafkaVersion::V3_9 | KafkaVersion::V3_9Scala212 => (&V3_9, KafkaVersion::V3_9),
        };
        let started = shared
            .get_or_init(async || {
                let started = tokio::task::spawn_blocking(move || Self::start(version, &[])).await;
                let started = started.map_err(Error::document("the start of Java consumers"))?;
                Ok(started?)
            })
            .await;
        started
            .as_ref()
            .map_err(|error| Error::Shared(Arc::clone(error)))
    }

    /// Starts a consumer with its own settings, in addition to those of the process.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn join(&self, name: &str, settings: &[(&str, &str)]) -> Result<()> {
        lock(&self.seen)
            .members
            .insert(name.to_owned(), MemberState::default());
        let settings = settings
            .iter()
            .map(|(key, value)| format!(" {key}={value}"));
        self.command(&format!("join {name}{}", settings.collect::<String>()))
    }

    /// Has a consumer close, which leaves the group unless it is a static member.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn leave(&self, name: &str) -> Result<()> {
        self.command(&format!("leave {name}"))
    }

    /// Has a consumer sleep after each poll. It does not notice rebalances meanwhile, but its
    /// heartbeats continue.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn sleep(&self, name: &str, duration: Duration) -> Result<()> {
        self.command(&format!("sleep {name} {}", duration.as_millis()))
    }

    /// Has the producer send records to the partitions of a topic from now on, at a rate for each
    /// partition in records per second. The process needs the setting `bootstrap.servers`.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn produce(&self, topic: &str, rates: &[f64]) -> Result<()> {
        let rates: String = rates.iter().map(|rate| format!(" {rate}")).collect();
        self.command(&format!("produce {topic}{rates}"))
    }

    fn command(&self, line: &str) -> Result<()> {
        let mut commands = lock(&self.commands);
        let written = commands.write_all(format!("{line}\n").as_bytes());
        written.map_err(Error::io(format!("send `{line}` to the Java consumers")))
    }

    /// The events so far, in the order of their times.
    #[must_use]
    pub fn events(&self) -> Vec<JavaEvent> {
        lock(&self.seen).events.clone()
    }

    /// The events so far of the consumers whose names begin with a prefix.
    #[must_use]
    pub fn events_of(&self, prefix: &str) -> Vec<JavaEvent> {
        let seen = lock(&self.seen);
        let events = seen.events.iter();
        let events = events.filter(|event| event.consumer.starts_with(prefix));
        events.cloned().collect()
    }

    /// The partitions that a consumer owns, by its events.
    #[must_use]
    pub fn owned(&self, name: &str) -> BTreeSet<Partition> {
        let seen = lock(&self.seen);
        let member = seen.members.get(name);
        member
            .map(|member| member.owned.clone())
            .unwrap_or_default()
    }

    /// The member id of a consumer; empty until it has one.
    #[must_use]
    pub fn member_id(&self, name: &str) -> String {
        let seen = lock(&self.seen);
        let member = seen.members.get(name);
        member.map(|member| member.id.clone()).unwrap_or_default()
    }

    /// Whether a consumer was closed, or ended with an exception.
    #[must_use]
    pub fn is_over(&self, name: &str) -> bool {
        let seen = lock(&self.seen);
        seen.members.get(name).is_some_and(|member| member.is_over)
    }

    /// The unexpected output of the process: exceptions of consumers, and lines that are not
    /// events.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let seen = lock(&self.seen);
        let failed = seen.events.iter().filter_map(|event| match &event.kind {
            JavaEventKind::Failed(message) => Some(format!("{}: {message}", event.consumer)),
            JavaEventKind::Member(_)
            | JavaEventKind::Assigned(_)
            | JavaEventKind::Revoked(_)
            | JavaEventKind::Lost(_)
            | JavaEventKind::Processed { .. }
            | JavaEventKind::Committed(_)
            | JavaEventKind::Refused { .. }
            | JavaEventKind::Left => None,
        });
        failed.chain(seen.unreadable.iter().cloned()).collect()
    }
}

impl Drop for JavaConsumers {
    fn drop(&mut self) {
        // An error means that it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if std::env::var_os(crate::process::KEEP_VARIABLE).is_none() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

impl Seen {
    fn add(&mut self, event: JavaEvent, keeps_records: bool) {
        let member = self.members.entry(event.consumer.clone()).or_default();
        match &event.kind {
            JavaEventKind::Member(id) => member.id.clone_from(id),
            JavaEventKind::Assigned(partitions) => member.owned.extend(partitions.iter().cloned()),
            JavaEventKind::Revoked(partitions) | JavaEventKind::Lost(partitions) => {
                member.owned.retain(|owned| !partitions.contains(owned));
            }
            JavaEventKind::Left | JavaEventKind::Failed(_) => {
                member.owned.clear();
                member.is_over = true;
            }
            JavaEventKind::Processed { .. }
            | JavaEventKind::Committed(_)
            | JavaEventKind::Refused { .. } => {
                if !keeps_records {
                    return;
                }
            }
        }
        self.events.push(event);
    }
}

impl JavaEvent {
    /// Parses a line of output.
    fn parse(line: &str) -> Option<Self> {
        let (at, rest) = line.split_once(' ')?;
        let (consumer, rest) = rest.split_once(' ')?;
        let (kind, details) = rest.split_once(' ').unwrap_or((rest, ""));
        let kind = match kind {
            "member" => JavaEventKind::Member(details.to_owned()),
            "assigned" => JavaEventKind::Assigned(partitions(details)?),
            "revoked" => JavaEventKind::Revoked(partitions(details)?),
            "lost" => JavaEventKind::Lost(partitions(details)?),
            "processed" => {
                let (since, records) = details.split_once(' ')?;
                JavaEventKind::Processed {
                    since: nanoseconds(since)?,
                    records: numbered(records)?,
                }
            }
            "committed" => JavaEventKind::Committed(offsets(details)?),
            "refused" => {
                let (error, refused) = details.split_once(' ')?;
                JavaEventKind::Refused {
                    error: error.to_owned(),
                    offsets: offsets(refused)?,
                }
            }
            "left" => JavaEventKind::Left,
            "failed" => JavaEventKind::Failed(details.to_owned()),
            _ => return None,
        };
        Some(Self {
            at: nanoseconds(at)?,
            consumer: consumer.to_owned(),
            kind,
        })
    }
}

/// Describes each assignment of a partition that another consumer of its group still owned. The
/// events are those of one group, in the order of their times.
#[must_use]
pub fn double_owners(events: &[JavaEvent]) -> Vec<String> {
    let mut owners: BTreeMap<&Partition, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for event in events {
        let consumer = event.consumer.as_str();
        match &event.kind {
            JavaEventKind::Assigned(partitions) => {
                for partition in partitions {
                    if let Some(owner) = owners.insert(partition, consumer) {
                        let ((topic, number), at) = (partition, event.at);
                        found.push(format!(
                            "{topic}-{number} was assigned to {consumer} at {at:?}, while {owner} \
                             owned it"
                        ));
                    }
                }
            }
            JavaEventKind::Revoked(partitions) | JavaEventKind::Lost(partitions) => {
                owners.retain(|owned, owner| *owner != consumer || !partitions.contains(*owned));
            }
            JavaEventKind::Left | JavaEventKind::Failed(_) => {
                owners.retain(|_, owner| *owner != consumer);
            }
            JavaEventKind::Member(_)
            | JavaEventKind::Processed { .. }
            | JavaEventKind::Committed(_)
            | JavaEventKind::Refused { .. } => {}
        }
    }
    found
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanoseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_nanos)
}

fn partitions(details: &str) -> Option<BTreeSet<Partition>> {
    let partitions = numbered::<0>(details)?.into_iter();
    Some(partitions.map(|(partition, _)| partition).collect())
}

fn offsets(details: &str) -> Option<Vec<(Partition, i64)>> {
    let offsets = numbered(details)?.into_iter();
    Some(
        offsets
            .map(|(partition, [offset])| (partition, offset))
            .collect(),
    )
}

/// Parses partitions, each followed by `N` numbers: `TOPIC:PARTITION:NUMBER…`.
fn numbered<const N: usize>(details: &str) -> Option<Vec<(Partition, [i64; N])>> {
    let parse = |word: &str| {
        let mut parts = word.split(':');
        let partition = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
        let numbers: Option<Vec<i64>> = parts.map(|part| part.parse().ok()).collect();
        Some((partition, numbers?.try_into().ok()?))
    };
    details.split_whitespace().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(lines: &[&str]) -> Vec<JavaEvent> {
        let mut seen = Seen::default();
        for line in lines {
            seen.add(JavaEvent::parse(line).unwrap(), true);
        }
        seen.events
    }

    #[test]
    fn events_are_parsed() {
        let kinds = events(&[
            "1 a member a-17",
            "1500000000 a assigned t:0 t:1",
            "3 a assigned",
            "4 a processed 2 t:0:10:19 t:1:7:7",
            "5 a committed t:0:20",
            "6 a refused RebalanceInProgressException t:1:8",
            "7 a failed org.apache.Exception: no broker",
        ]);
        let at = |number: i32| ("t".to_owned(), number);
        assert_eq!(kinds[1].at, Duration::from_millis(1500));
        let kinds: Vec<JavaEventKind> = kinds.into_iter().map(|event| event.kind).collect();
        let expected = [
            JavaEventKind::Member("a-17".into()),
            JavaEventKind::Assigned([at(0), at(1)].into()),
            JavaEventKind::Assigned(BTreeSet::new()),
            JavaEventKind::Processed {
                since: Duration::from_nanos(2),
                records: vec![(at(0), [10, 19]), (at(1), [7, 7])],
            },
            JavaEventKind::Committed(vec![(at(0), 20)]),
            JavaEventKind::Refused {
                error: "RebalanceInProgressException".into(),
                offsets: vec![(at(1), 8)],
            },
            JavaEventKind::Failed("org.apache.Exception: no broker".into()),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn other_lines_are_not_parsed() {
        for line in [
            "",
            "x a left",
            "1 a assigned t",
            "1 a committed t:0",
            "1 a danced",
        ] {
            assert_eq!(JavaEvent::parse(line), None, "{line}");
        }
    }

    #[test]
    fn events_of_records_are_not_kept_on_request() {
        let mut seen = Seen::default();
        for line in [
            "1 a assigned t:0",
            "2 a processed 1 t:0:1:2",
            "3 a committed t:0:3",
        ] {
            seen.add(JavaEvent::parse(line).unwrap(), false);
        }
        let owned = JavaEventKind::Assigned([("t".to_owned(), 0)].into());
        let kinds: Vec<JavaEventKind> = seen.events.into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [owned]);
    }

    #[test]
    fn double_owners_are_found() {
        let handed_over = events(&[
            "1 a assigned t:0 t:1",
            "2 a revoked t:0",
            "3 b assigned t:0",
            "4 b lost t:0",
            "5 a assigned t:0",
            "6 a left",
            "7 b assigned t:0 t:1",
        ]);
        assert_eq!(double_owners(&handed_over), [] as [&str; 0]);
        let both = events(&[
            "1 a assigned t:0 t:1",
            "2 b revoked t:1",
            "3 b assigned t:1",
        ]);
        assert_eq!(
            double_owners(&both),
            ["t-1 was assigned to b at 3ns, while a owned it"]
        );
    }
}
