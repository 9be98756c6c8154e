//! `serve`: runs on a schedule, in a resident process.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::ports::{PortError, RunLease as _};
use rebalancer_driver::Stop;
use rebalancer_k8s::KubernetesLease;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::commands::run::{self, Mode, Resident, identity};
use crate::error::CliError;
use crate::exit::Exit;
use crate::observers::terminal_line::TerminalLine;
use crate::schedule::Schedule;
use crate::serve::configuration::{Configuration, Given, Reload};
use crate::serve::http;
use crate::serve::leader::{Leadership, elect};
use crate::serve::status::{Readiness, Status};
use crate::settings::{OutputFormat, Settings};
use crate::signals;

/// The time between two looks at the configuration file and the clock.
const INTERVAL: Duration = Duration::from_secs(5);
/// The longest time for giving back the Lease of the leader.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of missed times of the schedule from which they are not counted one by one: the process was
/// suspended.
const MAX_MISSED: u64 = 1000;

/// Runs on the schedule until a signal asks to stop.
pub(crate) async fn run(
    given: Given<'_>,
    follow: bool,
    output: OutputFormat,
    line: Arc<TerminalLine>,
) -> Result<Exit, CliError> {
    let configuration = Configuration::load(given)?;
    let settings = configuration.settings();
    let listener = http::bind(settings.serve.listen_address).await?;
    let lease = leader_lease(settings).await?;
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
    let server = Server {
        configuration,
        status: Arc::clone(&status),
        led: led.clone(),
        mode: Mode::Act { follow },
        output,
        line,
        stop: stop.clone(),
    };
    let elected = async {
        match &lease {
            Some(lease) => elect(lease, &leadership).await,
            None => std::future::pending().await,
        }
    };
    let shown = show_leadership(led, &status);
    tokio::select! {
        () = server.serve(hangup) => {}
        () = elected => {}
        () = shown => {}
    }
    status.set_readiness(Readiness::Stopping);
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

/// The loop of runs.
struct Server<'a> {
    configuration: Configuration<'a>,
    status: Arc<Status>,
    led: watch::Receiver<Leadership>,
    mode: Mode<'static>,
    output: OutputFormat,
    line: Arc<TerminalLine>,
    stop: Stop,
}

impl Server<'_> {
    /// Runs at each time of the schedule, until a signal asks to stop.
    async fn serve(mut self, mut hangup: Signal) {
        let mut next = self.next_after(Timestamp::now());
        loop {
            let wait = until(next).min(INTERVAL);
            let mut forced = false;
            tokio::select! {
                _ = self.stop.wait() => return,
                Some(()) = hangup.recv() => forced = true,
                () = tokio::time::sleep(wait) => {}
            }
            let is_due = Timestamp::now() >= next;
            // A run that is due begins, with the settings that apply now.
            if self.reload(forced) && !is_due {
                next = self.next_after(Timestamp::now());
            }
            if !is_due {
                continue;
            }
            if *self.led.borrow() == Leadership::Leader {
                self.run().await;
            } else {
                debug!("another process is the leader and runs");
            }
            let now = Timestamp::now();
            let missed = missed(self.configuration.schedule(), next, now);
            if missed > 0 {
                self.status.metrics.add_missed_runs(missed);
                warn!(
                    missed,
                    "the run before had not ended at a time of the schedule, so that no run began"
                );
            }
            next = self.next_after(now);
        }
    }

    /// The next time of the schedule.
    fn next_after(&self, now: Timestamp) -> Timestamp {
        let next = self.configuration.schedule().next_after(now);
        let next = next.unwrap_or(Timestamp::MAX);
        self.status.metrics.set_next_run(next);
        next
    }

    /// Reads the configuration again. Returns whether new settings apply.
    fn reload(&mut self, forced: bool) -> bool {
        match self.configuration.reload(forced) {
            Reload::Unchanged => false,
            Reload::Applied => {
                self.status.metrics.config_applied(Timestamp::now());
                info!(
                    schedule = %self.configuration.schedule(),
                    workloads = self.configuration.settings().workloads.len(),
                    "the configuration was read again, and applies"
                );
                true
            }
            Reload::Refused(errors) => {
                self.status.metrics.config_refused();
                error!(
                    "the configuration has changed and is invalid, so the earlier settings apply"
                );
                CliError::from(errors).log();
                false
            }
        }
    }

    /// Runs once. An error ends the run, not the process.
    async fn run(&self) {
        let resident = Resident {
            stop: &self.stop,
            metrics: &self.status.metrics,
        };
        let settings = self.configuration.settings();
        let line = Arc::clone(&self.line);
        let ended = run::run(
            settings,
            self.mode,
            self.output,
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

/// The number of times of the schedule after `begun`, the time at which a run began, up to now.
fn missed(schedule: &Schedule, begun: Timestamp, now: Timestamp) -> u64 {
    let times = std::iter::successors(Some(begun), |time| schedule.next_after(*time));
    let passed = times.skip(1).take_while(|time| *time <= now);
    let missed = passed.zip(1..=MAX_MISSED).last();
    missed.map_or(0, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-01-02T03:00:40Z", 0)]
    #[case("2026-01-02T03:05:00Z", 1)]
    #[case("2026-01-02T03:21:00Z", 4)]
    #[case("2027-01-02T03:00:00Z", MAX_MISSED)]
    fn times_without_a_run_are_counted(#[case] now: &str, #[case] expected: u64) {
        let schedule: Schedule = "*/5 * * * * UTC".parse().unwrap();
        let begun = "2026-01-02T03:00:00Z".parse().unwrap();
        assert_eq!(missed(&schedule, begun, now.parse().unwrap()), expected);
    }
}
