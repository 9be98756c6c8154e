//! Generates the files that derive from the code: JSON Schemas, the table of settings in
//! docs/configuration.md, that of metrics in docs/metrics.md, files of the Helm chart and of the
//! kustomizations, and the bill of materials of the image.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use rebalancer_cli::backtest::BacktestDocument;
use rebalancer_cli::check::CheckReport;
use rebalancer_cli::scenarios::ScenariosReport;
use rebalancer_cli::settings::{SECTIONS, Setting, schema};
use rebalancer_cli::steering::SteeringReport;
use rebalancer_core::Snapshot;
use rebalancer_core::report::Report;
use serde_json::Value;

use crate::{Error, root};

/// The markers around a generated table.
struct Markers {
    begin: &'static str,
    end: &'static str,
}

const SETTINGS: Markers = Markers {
    begin: "<!-- settings: cargo xtask generate -->\n",
    end: "<!-- end of settings -->",
};
const OWN_METRICS: Markers = Markers {
    begin: "<!-- metrics: cargo xtask generate -->\n",
    end: "<!-- end of metrics -->",
};

const PROCESS_METRICS: Markers = Markers {
    begin: "<!-- metrics of a process: cargo xtask generate -->\n",
    end: "<!-- end of metrics of a process -->",
};

const VALUES: Markers = Markers {
    begin: "<!-- values: cargo xtask generate -->\n",
    end: "<!-- end of values -->",
};

/// Writes the generated files, or with `check` only reports which are out of date.
pub(crate) fn run(check: bool) -> Result<(), Error> {
    write_or_check(generated()?, check, "cargo xtask generate")
}

/// Writes the files whose content differs, or with `check` only reports them and the `command`
/// that generates them.
pub(crate) fn write_or_check(
    files: impl IntoIterator<Item = (PathBuf, String)>,
    check: bool,
    command: &str,
) -> Result<(), Error> {
    let mut stale = Vec::new();
    for (path, text) in files {
        if fs::read_to_string(&path).is_ok_and(|current| current == text) {
            continue;
        }
        if check {
            stale.push(path.display().to_string());
        } else {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, text)?;
            println!("written: {}", path.display());
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!("out of date: {}; run `{command}`", stale.join(", ")).into())
}

fn generated() -> Result<Vec<(PathBuf, String)>, Error> {
    let root = root()?;
    let schemas = root.join("docs/schemas");
    let with_table = |file: &str, markers: &Markers, table: &str| {
        let path = root.join(file);
        let text = fs::read_to_string(&path)?;
        let text = markers
            .fill(&text, table)
            .ok_or_else(|| format!("{file} has no markers for the table"))?;
        Ok::<_, Error>((path, text))
    };
    let monitoring = root.join("deploy/monitoring");
    let rules = fs::read_to_string(monitoring.join("rules.yaml"))?;
    let prometheus_rule =
        prometheus_rule(&rules).ok_or("deploy/monitoring/rules.yaml has no groups")?;
    let config = schema();
    let chart = root.join("charts/rebalancer");
    let values_schema = crate::chart::schema(&config);
    let values: Value = serde_saphyr::from_str(&fs::read_to_string(chart.join("values.yaml"))?)?;
    let kustomize = root.join("deploy/kustomize");
    let copy = |file: &str| {
        let text = fs::read_to_string(root.join(file))?;
        Ok::<_, Error>(format!(
            "# A copy of {file}, by `cargo xtask generate`.\n{text}"
        ))
    };
    let (metrics, text) = with_table(
        "docs/metrics.md",
        &OWN_METRICS,
        &crate::own_metrics::table(),
    )?;
    let text = PROCESS_METRICS
        .fill(&text, &crate::own_metrics::of_process())
        .ok_or("docs/metrics.md has no markers for a process")?;
    Ok(vec![
        (monitoring.join("prometheus-rule.yaml"), prometheus_rule),
        (chart.join("files/rules.yaml"), rules),
        (chart.join("values.schema.json"), pretty(&values_schema)?),
        with_table(
            "charts/rebalancer/README.md",
            &VALUES,
            &crate::chart::table(&values_schema, &values)?,
        )?,
        (
            kustomize.join("base/kubernetes.yaml"),
            copy("deploy/kubernetes.yaml")?,
        ),
        (
            kustomize.join("overlays/kafka/kafka.yaml"),
            copy("deploy/examples/kafka.yaml")?,
        ),
        (
            root.join("deploy/sbom.cdx.json"),
            pretty(&crate::sbom::document()?)?,
        ),
        (schemas.join("config.json"), pretty(&config)?),
        (
            schemas.join("snapshot.json"),
            pretty(&schema_of::<Snapshot>()?)?,
        ),
        (
            schemas.join("report.json"),
            pretty(&schema_of::<Report>()?)?,
        ),
        (
            schemas.join("check.json"),
            pretty(&schema_of::<CheckReport>()?)?,
        ),
        (
            schemas.join("backtest.json"),
            pretty(&schema_of::<BacktestDocument>()?)?,
        ),
        (
            schemas.join("scenarios.json"),
            pretty(&schema_of::<ScenariosReport>()?)?,
        ),
        (
            schemas.join("steering.json"),
            pretty(&schema_of::<SteeringReport>()?)?,
        ),
        with_table("docs/configuration.md", &SETTINGS, &table())?,
        (metrics, text),
        (root.join("docs/reasons.md"), crate::reasons::document()),
    ])
}

fn schema_of<T: schemars::JsonSchema>() -> Result<Value, Error> {
    Ok(serde_json::to_value(schemars::schema_for!(T))?)
}

fn pretty(value: &Value) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// The rules of a rule file as an object of the Prometheus Operator.
fn prometheus_rule(rules: &str) -> Option<String> {
    let (_, groups) = rules.split_once("\ngroups:\n")?;
    let mut text = String::from(
        "# The alerts of rules.yaml for the Prometheus Operator. Generated by `cargo xtask generate`.\n\
         apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: \
         rebalancer\n  labels:\n    app.kubernetes.io/name: pod-rebalancer\nspec:\n  groups:\n",
    );
    for line in groups.lines() {
        let _ = writeln!(text, "  {line}");
    }
    Some(text)
}

impl Markers {
    /// The text with a new table between the markers.
    fn fill(&self, text: &str, table: &str) -> Option<String> {
        let Self { begin, end } = self;
        let (before, rest) = text.split_once(begin)?;
        let (_, after) = rest.split_once(end)?;
        Some(format!("{before}{begin}{table}{end}{after}"))
    }
}

fn table() -> String {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for section in &SECTIONS {
        let _ = writeln!(table, "| **{}** | | |", section.heading);
        for setting in section.settings {
            table.push_str(&row(*setting));
        }
    }
    table
}

fn row(setting: &dyn Setting) -> String {
    let default = setting.default_text().unwrap_or("required".into());
    let help = setting.help().replace('|', "\\|");
    let no_flag = if setting.is_secret() {
        "; no flag, since the value may be a secret"
    } else {
        ""
    };
    format!("| `{}` | {default} | {help}{no_flag} |\n", setting.env())
}
