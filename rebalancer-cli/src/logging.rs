//! The log on stderr: one JSON object per line with `level`, `ts`, `caller`, `msg` and the fields
//! of the event, or text for people.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::observers::terminal_line::TerminalLine;
use crate::render::style::Palette;
use crate::settings::{Interface, LogFormat, LogLevel};

/// Starts logging for the whole process; the first call wins. `default` is the level when
/// `LOG_LEVEL` is not set. Returns the line on the terminal, which the log leaves intact.
pub(crate) fn start(interface: Interface, default: LogLevel) -> Arc<TerminalLine> {
    let stderr = std::io::stderr();
    let format = interface.log_format.unwrap_or(if stderr.is_terminal() {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let level = level(interface.log_level.unwrap_or(default));
    let for_people = stderr.is_terminal() && format == LogFormat::Text;
    let line = Arc::new(TerminalLine::new(for_people && level >= Level::INFO));
    let layer = Lines {
        format,
        level,
        palette: Palette::for_stream(&stderr),
        line: Arc::clone(&line),
    };
    // An embedding program may have its own subscriber, which then receives the events.
    let _already_logging = Registry::default().with(layer).try_init();
    line
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    }
}

/// Writes each event of the rebalancer's own crates as a line.
struct Lines {
    format: LogFormat,
    level: Level,
    palette: Palette,
    line: Arc<TerminalLine>,
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    /// Only the rebalancer's own crates: the logs of other libraries may contain headers, and so
    /// secrets.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.level && metadata.target().starts_with("rebalancer")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        remember_fields(attributes, id, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let fields = Fields::of(event, &context);
        let line = match self.format {
            LogFormat::Json => json(event.metadata(), fields, Timestamp::now()),
            LogFormat::Text => text(event.metadata(), &fields, &self.palette),
        };
        self.line.write_above(&line);
    }
}

/// The message of an event, and its other fields in their order. Those of its spans come first.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn of<S>(event: &Event<'_>, context: &Context<'_, S>) -> Self
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = Self::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(Scope::from_root)
        {
            if let Some(SpanFields(of_span)) = span.extensions().get::<SpanFields>() {
                fields.others.extend(of_span.iter().cloned());
            }
        }
        event.record(&mut fields);
        fields
    }
}

/// The fields of a span, kept in its extensions.
struct SpanFields(Vec<(&'static str, Value)>);

fn remember_fields<S>(attributes: &Attributes<'_>, id: &Id, context: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let mut fields = Fields::default();
    attributes.record(&mut fields);
    if let Some(span) = context.span(id) {
        span.extensions_mut().insert(SpanFields(fields.others));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.others
                .push((field.name(), Value::String(format!("{value:?}"))));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.others.push((field.name(), value.into()));
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.others.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), value.into()));
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// The source location of an event, such as `rebalancer-cli/logging.rs:45`.
fn caller(metadata: &Metadata<'_>) -> String {
    let file = metadata.file().unwrap_or("unknown").replace('\\', "/");
    let short = match file.split_once("/src/") {
        Some((package, module)) => {
            let package = package.rsplit('/').next().unwrap_or(package);
            format!("{package}/{module}")
        }
        None => file,
    };
    format!("{short}:{}", metadata.line().unwrap_or(0))
}

/// One object on one line. It is written by hand, because `serde_json` would sort the first four
/// fields among the others.
fn json(metadata: &Metadata<'_>, fields: Fields, now: Timestamp) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 fit a float"
    )]
    let seconds = now.as_millisecond() as f64 / 1000.0;
    let head = [
        ("level", level_word(*metadata.level()).into()),
        ("ts", seconds.into()),
        ("caller", caller(metadata).into()),
        ("msg", fields.message.into()),
    ];
    let pairs: Vec<String> = head
        .into_iter()
        .chain(fields.others)
        .map(|(name, value)| format!("{}:{value}", Value::from(name)))
        .collect();
    format!("{{{}}}\n", pairs.join(","))
}

fn text(metadata: &Metadata<'_>, fields: &Fields, palette: &Palette) -> String {
    let style = match *metadata.level() {
        Level::ERROR => palette.bad,
        Level::WARN => palette.warn,
        Level::INFO => palette.good,
        Level::DEBUG | Level::TRACE => palette.dim,
    };
    let word = level_word(*metadata.level());
    let dim = palette.dim;
    let mut line = format!("{style}{word:5}{style:#} {}", fields.message);
    for (name, value) in &fields.others {
        let shown = match value.as_str() {
            Some("") => continue,
            // Quotes only if the end of the value would be ambiguous.
            Some(text) if !text.contains([' ', '"']) => text.to_owned(),
            Some(_) | None => value.to_string(),
        };
        let _ = write!(line, " {dim}{name}={dim:#}{shown}");
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Collects events as JSON lines.
    struct Collect(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
        fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
            remember_fields(attributes, id, &context);
        }

        fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
            let fields = Fields::of(event, &context);
            let now = Timestamp::from_millisecond(1_640_995_200_123).unwrap();
            self.0
                .lock()
                .unwrap()
                .push(json(event.metadata(), fields, now));
        }
    }

    #[test]
    fn writes_one_object_with_the_fields_of_the_go_program() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let subscriber = Registry::default().with(Collect(lines.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let kind = None::<&str>;
            let _span = tracing::error_span!("workload", namespace = "posthog", kind).entered();
            tracing::info!(
                pod_count = 5,
                avg_cpu = 0.45,
                rebalance_needed = true,
                absent = None::<f64>,
                "CPU analysis\ncompleted"
            );
        });
        let lines = lines.lock().unwrap();
        assert_eq!(lines[0].lines().count(), 1);
        let object: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(object["level"], "info");
        assert_eq!(object["ts"], 1_640_995_200.123);
        assert_eq!(object["msg"], "CPU analysis\ncompleted");
        assert_eq!(object["namespace"], "posthog");
        assert_eq!(object["pod_count"], 5);
        assert_eq!(object["avg_cpu"], 0.45);
        assert_eq!(object["rebalance_needed"], true);
        assert!(object.get("absent").is_none() && object.get("kind").is_none());
        let caller = object["caller"].as_str().unwrap();
        assert!(caller.starts_with("rebalancer-cli/logging.rs:"), "{caller}");
    }
}
