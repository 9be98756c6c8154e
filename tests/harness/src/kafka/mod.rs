//! Kafka brokers.

mod admin;
mod java;
mod java_group;
mod security;

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    sync::{Mutex, OnceCell},
};

use crate::{
    Error, Result,
    assets::{KafkaProgram, KafkaVersion},
    process::{Server, free_port, server_dir, with_ports},
};

pub use admin::{AclOperation, AclResource, Admin};
pub use java::{JavaConsumers, JavaEvent, JavaEventKind, Partition, double_owners};
pub use java_group::{JavaGroup, JavaGroupConfig};
pub use security::{Certificates, Listener, USERS};

/// Start-up deadline, with room for a machine busy with a build.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// Deadline of one response.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// The cluster id: any 16 bytes in base64.
const CLUSTER_ID: &str = "cmViYWxhbmNlci10ZXN0cw";

/// An `ApiVersions` request, version 0, without a client name: length, key, version, correlation
/// id, and the length of the name.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

/// The configuration of a broker.
#[derive(Debug, Clone, Default)]
pub struct KafkaConfig {
    /// The version.
    pub version: KafkaVersion,
    /// Whether the broker has every [`Listener`], users and access rules, and not only
    /// [`Listener::Plaintext`].
    pub secured: bool,
    /// More lines of `server.properties`.
    pub properties: String,
}

/// A running broker that is its own controller. Topics are not created automatically.
#[derive(Debug)]
pub struct Kafka {
    listeners: Vec<(Listener, SocketAddr)>,
    certificates: Option<Certificates>,
    // Stopped when dropped.
    server: Mutex<Server>,
}

impl Kafka {
    /// Starts a broker with `java` from `PATH` and the jars of `KAFKA_LIBS` or of Maven.
    ///
    /// # Errors
    /// If a program is missing, or the broker does not become ready.
    pub async fn start() -> Result<Self> {
        Self::start_with(&KafkaConfig::default()).await
    }

    /// Starts a broker with a configuration.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(config: &KafkaConfig) -> Result<Self> {
        // The call of Maven may block for a while.
        let version = config.version;
        let program = tokio::task::spawn_blocking(move || KafkaProgram::locate(version))
            .await
            .map_err(Error::document("the end of the search for Kafka"))??;
        with_ports(async || Self::attempt(&program, config).await).await
    }

    /// Returns the secured broker of a version that all tests of the process share; the first call
    /// starts it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn secured(version: KafkaVersion) -> Result<&'static Self> {
        type Shared = OnceCell<std::result::Result<Kafka, Arc<Error>>>;
        static CURRENT: Shared = OnceCell::const_new();
        static V3_9: Shared = OnceCell::const_new();
        static V3_9_SCALA_2_12: Shared = OnceCell::const_new();
        let shared = match version {
            KafkaVersion::Current => &CURRENT,
            KafkaVersion::V3_9 => &V3_9,
            KafkaVersion::V3_9Scala212 => &V3_9_SCALA_2_12,
        };
        let config = KafkaConfig {
            version,
            secured: true,
            properties: "broker.rack=rack-a\n".to_owned(),
        };
        let kafka = shared
            .get_or_init(async || Ok(Self::start_with(&config).await?))
            .await;
        kafka
            .as_ref()
            .map_err(|error| Error::Shared(Arc::clone(error)))
    }

    /// Returns the broker that all tests of the process share; the first call starts it. A failed
    /// start is remembered, so that later tests fail at once.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static KAFKA: OnceCell<std::result::Result<Kafka, Arc<Error>>> = OnceCell::const_new();
        let kafka = KAFKA.get_or_init(async || Ok(Self::start().await?)).await;
        kafka
            .as_ref()
            .map_err(|error| Error::Shared(Arc::clone(error)))
    }

    async fn attempt(program: &KafkaProgram, wanted: &KafkaConfig) -> Result<Self> {
        let dir = server_dir("kafka")?;
        let controller = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut listeners = Vec::new();
        for listener in Listener::ALL {
            if wanted.secured || listener == Listener::Plaintext {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
                listeners.push((listener, address));
            }
        }
        let config = dir.join("server.properties");
        let mut text = properties(&dir, wanted.version, &listeners, controller);
        let mut format = Vec::new();
        let mut certificates = None;
        if wanted.secured {
            text.push_str(&security::properties(&dir));
            format = security::scram_arguments();
            certificates = Some(Certificates::issue(&dir)?);
        }
        text.push_str(&wanted.properties);
        fs::write(&config, text).map_err(Error::io(format!("write {}", config.display())))?;
        format_storage(program, &config, &format).await?;
        let address = address_of(&listeners, Listener::Plaintext);
        let args = jvm(program)
            .into_iter()
            .chain(["kafka.Kafka".into(), config.into()]);
        let mut server = Server::spawn("kafka", &program.java, args, dir)?;
        server
            .wait_ready(START_DEADLINE, async || answers(address).await)
            .await?;
        Ok(Self {
            listeners,
            certificates,
            server: Mutex::new(server),
        })
    }

    /// Kills the broker. Its data is kept, as far as it has reached the operating system.
    ///
    /// # Errors
    /// If the process cannot be killed.
    pub async fn kill(&self) -> Result<()> {
        self.server.lock().await.kill()
    }

    /// Starts the broker again after [`kill`](Self::kill), with its addresses and data.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn start_again(&self) -> Result<()> {
        let mut server = self.server.lock().await;
        server.start_again()?;
        let address = self.address(Listener::Plaintext);
        server
            .wait_ready(START_DEADLINE, async || answers(address).await)
            .await
    }

    /// The value for `bootstrap.servers`: `host:port` of the listener without security.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.address(Listener::Plaintext).to_string()
    }

    /// The address of a listener.
    ///
    /// # Panics
    /// If the broker does not have the listener.
    #[must_use]
    pub fn address(&self, listener: Listener) -> SocketAddr {
        address_of(&self.listeners, listener)
    }

    /// The certificates of a secured broker.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Administrative access.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin {
            address: self.address(Listener::Plaintext),
        }
    }
}

/// The address of a listener.
fn address_of(listeners: &[(Listener, SocketAddr)], listener: Listener) -> SocketAddr {
    let found = listeners.iter().find(|(known, _)| *known == listener);
    let Some((_, address)) = found else {
        unreachable!("the broker has no listener {listener:?}");
    };
    *address
}

/// The configuration of one broker with a small heap, whose groups do not delay their first
/// rebalance.
fn properties(
    dir: &Path,
    version: KafkaVersion,
    listeners: &[(Listener, SocketAddr)],
    controller: SocketAddr,
) -> String {
    let data = dir.join("data");
    let listed =
        |(listener, address): &(Listener, SocketAddr)| format!("{}://{address}", listener.name());
    let listed: Vec<String> = listeners.iter().map(listed).collect();
    let listed = listed.join(",");
    let protocols = security::protocol_map(listeners);
    let mut text = format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners={listed},CONTROLLER://{controller}\n\
         advertised.listeners={listed}\n\
         listener.security.protocol.map={protocols}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=2\n\
         num.network.threads=2\nnum.io.threads=2\nbackground.threads=2\n\
         group.initial.rebalance.delay.ms=500\n",
        data.display()
    );
    // The older coordinator does not have the protocol of KIP-848.
    if version == KafkaVersion::Current {
        text.push_str(
            "group.consumer.min.heartbeat.interval.ms=300\n\
             group.consumer.heartbeat.interval.ms=300\n",
        );
    }
    text
}

/// The JVM arguments before the name of the main class.
fn jvm(program: &KafkaProgram) -> Vec<OsString> {
    let mut class_path = program.jars.clone().into_os_string();
    class_path.push("/*");
    let options = [
        "-Xmx320m",
        // The broker lives for a minute or two, beside tests that need the CPU.
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
    ];
    let mut args: Vec<OsString> = options.into_iter().map(OsString::from).collect();
    args.push(class_path);
    args
}

/// Formats the storage directory, without which a broker does not start.
async fn format_storage(program: &KafkaProgram, config: &Path, more: &[String]) -> Result<()> {
    let mut command = Command::new(&program.java);
    command
        .args(jvm(program))
        .args(["kafka.tools.StorageTool", "format", "--cluster-id"])
        .args([CLUSTER_ID, "--config"])
        .arg(config)
        .args(more);
    let output = command
        .output()
        .await
        .map_err(Error::io(format!("run {}", program.java.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    Err(Error::Command {
        command: "kafka.tools.StorageTool format".to_owned(),
        status: output.status.to_string(),
        output: format!("\n{}", String::from_utf8_lossy(&said)),
    })
}

/// Whether the broker responds to a request. An open port alone does not show that.
async fn answers(address: SocketAddr) -> Result<(), String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&API_VERSIONS).await?;
        // The length of the response and the correlation id.
        let (_, id) = (stream.read_u32().await?, stream.read_u32().await?);
        std::io::Result::Ok((id, stream.read_u16().await?))
    };
    match tokio::time::timeout(ANSWER_DEADLINE, exchange).await {
        Ok(Ok((1, 0))) => Ok(()),
        Ok(Ok((id, error))) => Err(format!("it answered {id} with error {error}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(elapsed) => Err(elapsed.to_string()),
    }
}
