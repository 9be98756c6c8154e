//! `serve`: runs on a schedule, in a resident process.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::ports::{PortError, RunLease as _};
use rebalancer_driver::Stop;
use rebalancer_k8s::{ConnectSettings, KubernetesLease};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::commands::run::{self, Mode, Resident, identity};
use crate::error::CliError;
use crate::exit::Exit;
use crate::observers::terminal_line::TerminalLine;
use crate::schedule::Schedule;
use crate::serve::configuration::{Configuration, Inputs, Reload};
use crate::serve::http;
use crate::serve::leader::{Leadership, elect};
use crate::serve::status::{Readiness, Status};
use crate::settings::Settings;
use crate::signals;

/// The interval at which the configuration file is read and the schedule is checked.
const INTERVAL: Duration = Duration::from_secs(5);
/// The longest time for giving back the Lease of the leader.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of missed times of the schedule from which they are not counted one by one: the
/// process was suspended.
const MAX_MISSED: u64 = 1000;

/// Runs on the schedule until a signal asks to stop.
pub(crate) async fn run(
    inputs: Inputs<'_>,
    follow: bool,
    line: Arc<TerminalLine>,
) -> Result<Exit, CliError> {
    let configuration = Configuration::load(inputs)?;
    let settings = configuration.settings();
    let listener = http::bind(settings.serve.listen_address)?;
    let connect = settings.connect.clone();
    let mut lease = leader_lease(settings).await?;
    let hangup = signal(SignalKind::hangup()).map_err(CliError::Runtime)?;
    let stop = signals::listen(Arc::clone(&line)).map_err(CliError::Runtime)?;
    let status = Arc::new(Status::default());
    status.metrics.config_applied(Timestamp::now());
    let address = listener.local_addr().map_err(CliError::Runtime)?;
    info!(
        %address,
        schedule = %configuration.schedule(),
        leader_election = lease.as_ref().map(KubernetesLease::name),
        workloads = settings.workloads.len(),
        "serving"
    );
    tokio::spawn(http::serve(listener, Arc::clone(&status)));
    let (leadership, led) = watch::channel(match lease {
        Some(_) => Leadership::Unknown,
        None => Leadership::Leader,
    });
    let runs = RunLoop {
        configuration,
        status: Arc::clone(&status),
        led: led.clone(),
        mode: Mode::Act { follow },
        line,
        stop: stop.clone(),
        next: Timestamp::MAX,
    };
    let elected = async {
        match &mut lease {
            Some(lease) => elect(lease, reconnect(&connect), &leadership).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // The readiness shows the stop before the runs end.
        biased;
        () = show_stop(&stop, &status) => {}
        () = show_leadership(led, &status) => {}
        () = elected => {}
        () = runs.run(hangup) => {}
    }
    if let Some(lease) = &lease {
        release(lease).await;
    }
    info!("stopped");
    Ok(Exit::Fine)
}

/// The Lease of the leader; `None` without leader election. Sends no request.
async fn leader_lease(settings: &Settings) -> Result<Option<KubernetesLease>, CliError> {
    let Some(election) = &settings.serve.leader_election else {
        return Ok(None);
    };
    let connection = rebalancer_k8s::connect(&settings.connect)
        .await
        .map_err(PortError::from)?;
    let identity = identity(Timestamp::now());
    let lease = connection.leader_lease(election.namespace.as_deref(), &election.lease, identity);
    Ok(Some(lease.map_err(PortError::from)?))
}

/// Builds the client of the Lease again.
fn reconnect(
    connect: &ConnectSettings,
) -> impl AsyncFn(&mut KubernetesLease) -> Result<(), PortError> {
    async move |lease: &mut KubernetesLease| {
        let connection = rebalancer_k8s::connect(connect).await?;
        lease.set_connection(connection);
        Ok(())
    }
}

/// Gives back the Lease, so that another process need not wait until it expires.
async fn release(lease: &KubernetesLease) {
    match tokio::time::timeout(RELEASE_TIMEOUT, lease.release()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!("the Lease of the leader was not given back, and expires: {error}"),
        Err(_) => warn!(
            "the Lease of the leader was not given back within {RELEASE_TIMEOUT:?}, and expires"
        ),
    }
}

/// Shows in the metrics and the readiness who is the leader, for ever.
async fn show_leadership(mut led: watch::Receiver<Leadership>, status: &Status) {
    loop {
        let leadership = *led.borrow_and_update();
        status.metrics.set_leader(leadership == Leadership::Leader);
        if leadership != Leadership::Unknown {
            status.set_readiness(Readiness::Ready);
        }
        if led.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Shows in the readiness that the process was asked to stop, while a run in progress ends.
async fn show_stop(stop: &Stop, status: &Status) {
    stop.wait().await;
    status.set_readiness(Readiness::Stopping);
    std::future::pending().await
}

/// The loop of runs.
struct RunLoop<'a> {
    configuration: Configuration<'a>,
    status: Arc<Status>,
    led: watch::Receiver<Leadership>,
    mode: Mode<'static>,
    line: Arc<TerminalLine>,
    stop: Stop,
    /// The time of the schedule at which the next run begins.
    next: Timestamp,
}

impl RunLoop<'_> {
    /// Runs at each time of the schedule, until a signal asks to stop.
    async fn run(mut self, mut hangup: Signal) {
        self.set_next_after(Timestamp::now());
        loop {
            let wait = until(self.next).min(INTERVAL);
            let mut forced = false;
            tokio::select! {
                _ = self.stop.wait() => return,
                Some(()) = hangup.recv() => forced = true,
                () = tokio::time::sleep(wait) => {}
            }
            // A run that is due begins, with the settings that apply now.
            self.reload(forced);
            if let Some(due) = self.due(Timestamp::now()) {
                self.perform(due).await;
            }
        }
    }

    /// The time of the schedule that has passed since the last call, if any. Otherwise the next one
    /// is computed again: the schedule may have changed, or the clock may have been set back.
    fn due(&mut self, now: Timestamp) -> Option<Timestamp> {
        let due = (self.next <= now).then_some(self.next);
        self.set_next_after(now);
        due
    }

    fn set_next_after(&mut self, now: Timestamp) {
        let next = self.configuration.schedule().next_after(now);
        self.next = next.unwrap_or(Timestamp::MAX);
        self.status.metrics.set_next_run(self.next);
    }

    /// Runs if this process is the leader, and counts the times of the schedule that have passed
    /// without a run since `due`.
    async fn perform(&mut self, due: Timestamp) {
        let leadership = *self.led.borrow();
        match leadership {
            Leadership::Leader => {}
            Leadership::Standby => {
                debug!("another process is the leader and runs");
                return;
            }
            Leadership::Unknown => {
                warn!(
                    "no run begins: the Kubernetes API has not answered whether this process is \
                     the leader"
                );
                return;
            }
        }
        self.run_once().await;
        let now = Timestamp::now();
        let missed = missed(self.configuration.schedule(), due, now);
        if missed > 0 {
            self.status.metrics.add_missed_runs(missed);
            warn!(
                missed,
                "times of the schedule passed without a run: a run took longer than the time \
                 between two of them, or the process was suspended"
            );
        }
        self.set_next_after(now);
    }

    /// Reads the configuration again.
    fn reload(&mut self, forced: bool) {
        match self.configuration.reload(forced) {
            Reload::Unchanged => {}
            Reload::Applied { after_restart } => {
                self.status.metrics.config_applied(Timestamp::now());
                info!(
                    schedule = %self.configuration.schedule(),
                    workloads = self.configuration.settings().workloads.len(),
                    "the configuration was read again, and applies"
                );
                for name in after_restart {
                    warn!("{name} has changed and applies after a restart");
                }
            }
            Reload::Refused(errors) => {
                self.status.metrics.config_refused();
                error!(
                    "the configuration has changed and is invalid, so the earlier settings apply"
                );
                CliError::from(errors).log();
            }
        }
    }

    /// Runs once. An error ends the run, not the process.
    async fn run_once(&self) {
        let resident = Resident {
            stop: &self.stop,
            metrics: &self.status.metrics,
        };
        let settings = self.configuration.settings();
        let line = Arc::clone(&self.line);
        let ended = run::run(
            settings,
            self.mode,
            self.configuration.output(),
            false,
            line,
            Some(resident),
        )
        .await;
        if let Err(error) = ended {
            error.log();
        }
    }
}

/// The time until an instant; zero if it has passed.
fn until(instant: Timestamp) -> Duration {
    let left = instant.duration_since(Timestamp::now());
    Duration::try_from(left).unwrap_or_default()
}

/// The number of times of the schedule after `due`, the time of the last run, up to now.
fn missed(schedule: &Schedule, due: Timestamp, now: Timestamp) -> u64 {
    let times = std::iter::successors(Some(due), |time| schedule.next_after(*time));
    let passed = times.skip(1).take_while(|time| *time <= now);
    let missed = passed.zip(1..=MAX_MISSED).last();
    missed.map_or(0, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use rstest::rstest;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("2026-01-02T03:00:40Z", 0)]
    #[case("2026-01-02T03:05:00Z", 1)]
    #[case("2026-01-02T03:21:00Z", 4)]
    #[case("2027-01-02T03:00:00Z", MAX_MISSED)]
    fn times_without_a_run_are_counted(#[case] now: &str, #[case] expected: u64) {
        let schedule: Schedule = "*/5 * * * * UTC".parse().unwrap();
        let due = time("2026-01-02T03:00:00Z");
        assert_eq!(missed(&schedule, due, time(now)), expected);
    }

    /// A loop with a run every five minutes, in a process with this leadership.
    fn test_loop(leadership: Leadership, test: impl AsyncFnOnce(RunLoop<'_>)) {
        let flags = [
            ("schedule", "*/5 * * * * UTC"),
            ("prometheus_endpoint", "http://metrics"),
            ("kube_namespace", "a"),
            ("deployment_name", "b"),
        ];
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let inputs = Inputs {
            file: None,
            environment: &HashMap::new(),
            flags: &HashMap::from(flags),
        };
        let runs = RunLoop {
            configuration: Configuration::load(inputs).unwrap(),
            status: Arc::new(Status::default()),
            led: watch::channel(leadership).1,
            mode: Mode::Act { follow: false },
            line: Arc::new(TerminalLine::new(false)),
            stop: Stop::never(),
            next: Timestamp::MAX,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(test(runs));
    }

    #[test]
    fn clock_that_is_set_back_does_not_stop_the_schedule() {
        test_loop(Leadership::Leader, async |mut runs| {
            // An hour ahead.
            assert_eq!(runs.due(time("2026-01-02T04:02:00Z")), None);
            assert_eq!(runs.due(time("2026-01-02T03:03:00Z")), None);
            let due = time("2026-01-02T03:05:00Z");
            assert_eq!(runs.due(time("2026-01-02T03:05:01Z")), Some(due));
            // Once.
            assert_eq!(runs.due(time("2026-01-02T03:05:02Z")), None);
        });
    }

    #[rstest]
    #[case(Leadership::Standby)]
    #[case(Leadership::Unknown)]
    fn process_that_does_not_lead_misses_no_run(#[case] leadership: Leadership) {
        test_loop(leadership, async |mut runs| {
            runs.perform(time("2026-01-02T03:05:00Z")).await;
            let metrics = runs.status.metrics.exposition().prometheus_text();
            assert!(
                metrics.contains("rebalancer_missed_runs_total 0\n"),
                "{metrics}"
            );
        });
    }
}
