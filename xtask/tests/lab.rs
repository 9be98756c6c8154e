//! The lab as a person uses it: start it, try the program, press Enter, press Ctrl-C.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy's leave for tests does not reach the helpers beside them"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Stdio,
    time::Duration,
};

use harness::{
    Rebalancer, Result, Run,
    wait::{Look, until},
};
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, Command},
};

/// The time limit for a step of the lab, on a machine that is busy with a build.
const DEADLINE: Duration = Duration::from_secs(300);

struct Lab {
    process: Child,
    input: ChildStdin,
    messages: Lines<BufReader<ChildStderr>>,
    variables: BTreeMap<String, String>,
}

impl Lab {
    async fn start(args: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("lab")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut messages = BufReader::new(process.stderr.take().unwrap()).lines();
        line_with(&mut messages, "Ctrl-C ends the servers").await;
        let mut variables = BTreeMap::new();
        // The output has been written before that message, and ends with the last hint.
        loop {
            let line = output.next_line().await.unwrap().unwrap();
            if let Some((name, value)) = line
                .strip_prefix("export ")
                .and_then(|it| it.split_once('='))
            {
                variables.insert(name.to_owned(), value.to_owned());
            }
            if line.contains("run at 0.01 cores") {
                break;
            }
        }
        Self {
            process,
            input,
            messages,
            variables,
        }
    }

    fn rebalancer(&self) -> Rebalancer {
        Rebalancer::new()
            .envs(&self.variables)
            .env("OUTPUT", "json")
            .timeout(DEADLINE)
    }

    /// Runs the program with the strategy `assign`, again if a busy machine disturbed the hand-over
    /// or the group has not settled.
    async fn assign(&self) -> Result<Run> {
        let mut run = self.assigning().run().await?;
        for _ in 0..4 {
            let report = workload(&run);
            if report["hand_over"]["outcome"] == "assigned" {
                break;
            }
            run = self.assigning().run().await?;
        }
        Ok(run)
    }

    fn assigning(&self) -> Rebalancer {
        self.rebalancer()
            .env("STRATEGY", "assign")
            .env("COOLDOWN", "0s")
    }

    /// Sends SIGINT, as a terminal does.
    async fn interrupt(mut self) -> Option<i32> {
        let id = i32::try_from(self.process.id().unwrap()).unwrap();
        nix::sys::signal::kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
        let ended = tokio::time::timeout(DEADLINE, self.process.wait()).await;
        ended.unwrap().unwrap().code()
    }
}

/// Reads lines up to one that contains a text.
async fn line_with(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, text: &str) {
    let mut seen = Vec::new();
    let found = tokio::time::timeout(DEADLINE, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let found = line.contains(text);
            seen.push(line);
            if found {
                return true;
            }
        }
        false
    });
    assert_eq!(found.await, Ok(true), "no {text:?} in {seen:#?}");
}

fn workload(run: &Run) -> Value {
    let report: Value = run.json().unwrap();
    report["workloads"][0].clone()
}

/// The processes that a process has started, and those that they have started.
fn descendants(id: u32) -> BTreeSet<u32> {
    let parents: BTreeMap<u32, u32> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((id, parent(id)?))
        })
        .collect();
    let mut found = BTreeSet::from([id]);
    loop {
        let before = found.len();
        let more = parents.iter().filter(|(_, parent)| found.contains(parent));
        let more: Vec<u32> = more.map(|(id, _)| *id).collect();
        found.extend(more);
        if found.len() == before {
            found.remove(&id);
            return found;
        }
    }
}

/// The parent of a process that runs.
fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may contain spaces. The state and the parent follow it.
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let is_running = fields.next()? != "Z";
    let parent = fields.next()?.parse().ok()?;
    is_running.then_some(parent)
}

#[tokio::test]
async fn group_of_the_lab_is_evened_out_and_skewed_again() -> Result<()> {
    let mut lab = Lab::start(&["--kafka", "--pods", "4"]).await;
    for name in ["KAFKA_BOOTSTRAP_SERVERS", "GROUP_ID", "PROMETHEUS_ENDPOINT"] {
        assert!(lab.variables.contains_key(name), "{:?}", lab.variables);
    }
    let servers = descendants(lab.process.id().unwrap());
    assert!(servers.len() > 5, "{servers:?}");

    let group = lab.rebalancer().arg("group").run().await?;
    assert_eq!(group.code, Some(0), "{group}");
    let members = workload(&group)["consumer_group"]["members"].clone();
    assert_eq!(members.as_array().map(Vec::len), Some(4), "{group}");

    let assigned = lab.assign().await?;
    assert_eq!(assigned.code, Some(0), "{assigned}");
    let report = workload(&assigned);
    assert_eq!(report["hand_over"]["outcome"], "assigned", "{assigned}");
    // The metrics follow the new owners.
    let held = until(
        "a hold because the loads are even",
        DEADLINE,
        Duration::from_secs(1),
        async || {
            let run = lab.assigning().run().await?;
            let reason = workload(&run)["decision"]["reason"].clone();
            Ok(if reason == "within_tolerance" {
                Look::Done(run)
            } else {
                Look::Not(run.to_string())
            })
        },
    )
    .await?;
    assert_eq!(held.code, Some(0), "{held}");

    lab.input.write_all(b"\n").await.unwrap();
    line_with(&mut lab.messages, "the loads are skewed again").await;
    let plan = lab.assigning().arg("plan").run().await?;
    assert_eq!(workload(&plan)["decision"]["action"], "assign", "{plan}");

    assert_eq!(lab.interrupt().await, Some(0));
    until(
        "the end of the servers",
        Duration::from_secs(60),
        Duration::from_millis(200),
        async || {
            let left: Vec<u32> = servers
                .iter()
                .copied()
                .filter(|id| parent(*id).is_some())
                .collect();
            Ok(if left.is_empty() {
                Look::Done(())
            } else {
                Look::Not(format!("{left:?}"))
            })
        },
    )
    .await
}
