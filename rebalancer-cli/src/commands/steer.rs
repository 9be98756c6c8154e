//! `pause`, `resume`, `approve`, `status` and `history`: how the runs of a workload are steered by
//! hand.
//!
//! The commands read and write objects of the Kubernetes API only, so that they work while the
//! metrics server or Kafka does not.

use rebalancer_core::ports::{PortError, PortErrorKind};
use rebalancer_driver::FreezeSchedule as _;
use rebalancer_k8s::{
    FREEZE, KubernetesSteering, PAUSE_REASON, PAUSED_UNTIL, PauseAnnotations, SteeredObject,
};
use tracing::error;

use crate::args::{PauseEnd, PauseOptions, Steer};
use crate::commands::{approve, print_document};
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::steering as render;
use crate::settings::{OutputFormat, SettingsError, SteeringSettings, WorkloadToSteer};
use crate::steering::{
    Failure, LastHold, SCHEMA, SteeredWorkload, SteeringCommand, SteeringReport, Target,
    WorkloadStatus, entries,
};

/// The remark about a pause of a Deployment. `kubectl rollout undo` replaces the annotations of the
/// Deployment by those of the old ReplicaSet.
const UNDONE: &str = "a rollback with kubectl rollout undo removes the pause: pause again after it";

/// Runs the command over every workload of the configuration. Plans are approved as
/// [`approve::choose`] says.
pub(crate) async fn run(
    command: &Steer,
    settings: &SteeringSettings,
    output: OutputFormat,
) -> Result<Exit, CliError> {
    let connection = rebalancer_k8s::connect(&settings.connect)
        .await
        .map_err(PortError::from)?;
    let mut targets = Vec::new();
    for workload in &settings.workloads {
        targets.push(Target::read(workload, &connection).await?);
    }
    if let Steer::Approve { id } = command {
        targets = approve::choose(targets, id.as_deref())?;
    }
    let mut workloads = Vec::new();
    let mut exit = Exit::Fine;
    for target in targets {
        let name = target.workload.kubernetes.workload.clone();
        let result = match perform(command, target, settings.dry_run).await {
            Ok(result) => result,
            Err(Failure::Usage(error)) => return Err(error.into()),
            Err(Failure::Port(failure)) if failure.kind == PortErrorKind::Setup => {
                return Err(failure.into());
            }
            Err(Failure::Port(failure)) => {
                error!("{failure}");
                exit = Exit::Error;
                SteeredWorkload {
                    error: Some(failure.to_string()),
                    ..SteeredWorkload::of(name)
                }
            }
        };
        workloads.push(result);
    }
    let report = SteeringReport {
        schema: SCHEMA.to_owned(),
        command: match command {
            Steer::Pause(_) => SteeringCommand::Pause,
            Steer::Resume => SteeringCommand::Resume,
            Steer::Approve { .. } => SteeringCommand::Approve,
            Steer::Status => SteeringCommand::Status,
            Steer::History => SteeringCommand::History,
        },
        dry_run: settings.dry_run,
        workloads,
    };
    print_document(
        &report,
        output,
        |palette| render::report(&report, palette),
        None,
    )?;
    Ok(exit)
}

async fn perform(
    command: &Steer,
    target: Target<'_>,
    dry_run: bool,
) -> Result<SteeredWorkload, Failure> {
    let Target {
        workload,
        steering,
        object,
    } = target;
    let object = object?;
    let result = SteeredWorkload::of(workload.kubernetes.workload.clone());
    match command {
        Steer::Pause(options) => {
            let wanted = paused(&object, options)?;
            let mut result = set(&steering, &object, &wanted, dry_run, result).await?;
            if result.workload.kind == "Deployment" {
                result.notes.push(UNDONE.to_owned());
            }
            Ok(result)
        }
        Steer::Resume => {
            let nothing = PauseAnnotations::default();
            set(&steering, &object, &nothing, dry_run, result).await
        }
        Steer::Approve { id } => {
            approve::approve_plan(&steering, &object, id.as_deref(), dry_run, result).await
        }
        Steer::Status => Ok(status(&steering, &object, workload, result).await),
        Steer::History => Ok(history(&steering, &object, result).await),
    }
}

/// The annotations that pause the workload. A pause with an end does not end a freeze without one,
/// which another person may have set.
fn paused(object: &SteeredObject, options: &PauseOptions) -> Result<PauseAnnotations, Failure> {
    let reason = options.reason.clone();
    Ok(match options.until {
        None => PauseAnnotations {
            freeze: reason
                .or_else(|| {
                    object
                        .pause
                        .freeze
                        .clone()
                        .filter(|_| object.pause.is_frozen())
                })
                .or_else(|| Some("true".to_owned())),
            ..object.pause.clone()
        },
        Some(end) => {
            let until = match end {
                PauseEnd::In(duration) => object.at.checked_add(duration).ok(),
                PauseEnd::At(time) => Some(time),
            };
            let until = until.filter(|until| *until > object.at).ok_or_else(|| {
                Failure::Usage(SettingsError::Invalid {
                    name: "--until".to_owned(),
                    problem: format!(
                        "the time is past: it is {:.0} by the clock of the API server",
                        object.at
                    ),
                })
            })?;
            PauseAnnotations {
                freeze: object.pause.freeze.clone(),
                until: Some(format!("{until:.0}")),
                reason,
            }
        }
    })
}

/// Writes the annotations that differ, or has the API server check them.
async fn set(
    steering: &KubernetesSteering,
    object: &SteeredObject,
    wanted: &PauseAnnotations,
    dry_run: bool,
    result: SteeredWorkload,
) -> Result<SteeredWorkload, Failure> {
    let present = &object.pause;
    let changes: Vec<(&str, Option<&str>)> = [
        (FREEZE, &present.freeze, &wanted.freeze),
        (PAUSED_UNTIL, &present.until, &wanted.until),
        (PAUSE_REASON, &present.reason, &wanted.reason),
    ]
    .into_iter()
    .filter(|(_, present, wanted)| present != wanted)
    .map(|(name, _, wanted)| (name, wanted.as_deref()))
    .collect();
    if !changes.is_empty() {
        steering.annotate(object, &changes, dry_run).await?;
    }
    Ok(SteeredWorkload {
        changed: Some(!changes.is_empty()),
        pause: wanted.at(object.at),
        pause_before: present.at(object.at),
        ..result
    })
}

async fn status(
    steering: &KubernetesSteering,
    object: &SteeredObject,
    workload: &WorkloadToSteer,
    result: SteeredWorkload,
) -> SteeredWorkload {
    let mut notes = Vec::new();
    let lease = steering.lease().await.unwrap_or_else(|failure| {
        notes.push(format!("the Lease is not known: {failure}"));
        rebalancer_k8s::ObservedLease::default()
    });
    let last = object.last_rotation.clone();
    let cooldown = workload.policy.cooldown_seconds.to_duration();
    let cooldown_until = last
        .as_ref()
        .and_then(|last| last.time.checked_add(cooldown).ok());
    let evictions = last
        .as_ref()
        .map(|last| last.evictions_of_last_day(Some(object.at)));
    let status = WorkloadStatus {
        at: object.at,
        freeze_window: workload.freeze.window_at(object.at).map(str::to_owned),
        holder: lease.holder,
        last_run: lease.renewed,
        last_hold: lease.last_hold.map(|hold| LastHold {
            reason: hold.reason,
            since: hold.since,
            runs: hold.runs,
        }),
        cooldown_until: cooldown_until.filter(|until| *until > object.at),
        evictions_of_last_day: evictions.unwrap_or_default(),
        max_evictions_per_day: workload.policy.max_evictions_per_day,
        last_rotation: last,
    };
    let proposal = object.proposal.as_ref();
    let plan = proposal.and_then(|proposal| proposal.current(object.at));
    SteeredWorkload {
        pause: object.pause.at(object.at),
        approved: proposal
            .zip(plan)
            .map(|(proposal, plan)| proposal.approves(plan)),
        plan: plan.cloned().map(Box::new),
        status: Some(Box::new(status)),
        notes,
        ..result
    }
}

async fn history(
    steering: &KubernetesSteering,
    object: &SteeredObject,
    result: SteeredWorkload,
) -> SteeredWorkload {
    let mut notes = Vec::new();
    let events = steering.events(object).await.unwrap_or_else(|failure| {
        notes.push(format!(
            "without the Events, which the API server keeps for an hour: {failure}"
        ));
        Vec::new()
    });
    SteeredWorkload {
        history: Some(entries(object.last_rotation.as_ref(), events)),
        notes,
        ..result
    }
}
