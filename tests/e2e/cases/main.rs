//! The end-to-end suite: one binary, so that its tests share one cluster.
//!
//! Each case runs the real program against real servers and checks its exit code, its report,
//! its log and the pods that are left. Cases that change nothing share one set of workloads
//! ([`support::shared`]), since every workload needs a window of time to be measured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy's leave for tests does not reach the helpers beside them"
)]

mod support;

mod approval;
mod backtest;
mod browser;
mod budget;
mod chart;
mod check;
mod cluster_faults;
mod command_line;
mod completions;
mod cron_job;
mod demo;
mod dry_run;
mod faults;
mod gates;
mod group_metrics;
mod harness;
mod history;
mod hold;
mod human_output;
mod kafka;
mod kubernetes;
mod kustomize;
mod label_names;
mod logs;
mod notifications;
mod one_at_a_time;
mod other_workloads;
mod output;
mod own_metrics;
mod permissions;
mod prometheus_faults;
mod readme;
mod redirects;
mod replacements;
mod report_file;
mod rotate;
mod secrets;
mod serve;
mod servers;
mod settings;
mod several_workloads;
mod steering;
mod target;
mod terminal;
mod waves;
mod what_if;
mod wrong_metrics;
