//! A Kafka broker.

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
    sync::OnceCell,
};

use crate::{
    Error, Result,
    assets::KafkaProgram,
    process::{Server, free_port, server_dir, with_ports},
};

/// Start-up deadline, with room for a machine busy with a build.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// Deadline of one response.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// The cluster id: any 16 bytes in base64.
const CLUSTER_ID: &str = "cmViYWxhbmNlci10ZXN0cw";

/// An `ApiVersions` request, version 0, without a client name: length, key, version, correlation
/// id, and the length of the name.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

/// A running broker that is its own controller. Topics are not created automatically.
#[derive(Debug)]
pub struct Kafka {
    address: SocketAddr,
    // Stopped when dropped.
    _server: Server,
}

impl Kafka {
    /// Starts a broker with `java` from `PATH` and the jars of `KAFKA_LIBS` or of Maven.
    ///
    /// # Errors
    /// If a program is missing, or the broker does not become ready.
    pub async fn start() -> Result<Self> {
        // The call of Maven may block for a while.
        let program = tokio::task::spawn_blocking(KafkaProgram::locate)
            .await
            .map_err(Error::document("the end of the search for Kafka"))??;
        with_ports(async || Self::attempt(&program).await).await
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

    async fn attempt(program: &KafkaProgram) -> Result<Self> {
        let dir = server_dir("kafka")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let controller = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let config = dir.join("server.properties");
        fs::write(&config, properties(&dir, address, controller))
            .map_err(Error::io(format!("write {}", config.display())))?;
        format_storage(program, &config).await?;
        let args = jvm(program)
            .into_iter()
            .chain(["kafka.Kafka".into(), config.into()]);
        let mut server = Server::spawn("kafka", &program.java, args, dir)?;
        server
            .wait_ready(START_DEADLINE, async || answers(address).await)
            .await?;
        Ok(Self {
            address,
            _server: server,
        })
    }

    /// The value for `bootstrap.servers`: `host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }
}

/// The configuration of one broker with a small heap, whose groups do not delay their first
/// rebalance.
fn properties(dir: &Path, address: SocketAddr, controller: SocketAddr) -> String {
    let data = dir.join("data");
    format!(
        "process.roles=broker,controller\nnode.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{address}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=2\n\
         num.network.threads=2\nnum.io.threads=2\nbackground.threads=2\n\
         group.initial.rebalance.delay.ms=500\n\
         group.consumer.min.heartbeat.interval.ms=300\n\
         group.consumer.heartbeat.interval.ms=300\n",
        data.display()
    )
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
async fn format_storage(program: &KafkaProgram, config: &Path) -> Result<()> {
    let mut command = Command::new(&program.java);
    command
        .args(jvm(program))
        .args(["kafka.tools.StorageTool", "format", "--cluster-id"])
        .args([CLUSTER_ID, "--config"])
        .arg(config);
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
