//! The documents of notifications.

use serde_json::{Value, json};

use super::section::{Section, Urgency};
use crate::settings::NotifyFormat;

/// The version of the JSON document. It changes only if a field is removed or changes its meaning.
const SCHEMA: &str = "rebalancer/notification/v1";
/// The number of workloads that a chat message describes; the others are counted. Chat services
/// refuse messages that are too long.
const MAXIMUM_SECTIONS: usize = 15;
/// The number of characters of a line in a chat message.
const MAXIMUM_CHARACTERS: usize = 1200;

/// The document with these sections.
pub(super) fn document(format: NotifyFormat, sections: &[Section<'_>]) -> String {
    let document = match format {
        NotifyFormat::Slack => slack(sections),
        NotifyFormat::Teams => teams(sections),
        NotifyFormat::Json => facts(sections),
    };
    document.to_string()
}

/// The sections that a chat message describes, and a sentence about the others.
fn shown<'a, 'b>(sections: &'a [Section<'b>]) -> (&'a [Section<'b>], Option<String>) {
    let (shown, others) = sections.split_at(sections.len().min(MAXIMUM_SECTIONS));
    let rest = (!others.is_empty()).then(|| format!("and {} more workloads", others.len()));
    (shown, rest)
}

/// The title of a chat message.
fn title(sections: &[Section<'_>]) -> String {
    match sections {
        [section] => section.headline(),
        _ => format!("rebalancer: {} workloads", sections.len()),
    }
}

fn shortened(line: &str) -> String {
    if line.chars().count() <= MAXIMUM_CHARACTERS {
        return line.to_owned();
    }
    let begin: String = line.chars().take(MAXIMUM_CHARACTERS).collect();
    format!("{begin}…")
}

/// Text in which nothing is a link or a mention.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

fn slack(sections: &[Section<'_>]) -> Value {
    let (shown, rest) = shown(sections);
    let mut attachments: Vec<Value> = shown
        .iter()
        .map(|section| {
            let color = match section.urgency() {
                Urgency::Good => "good",
                Urgency::Notable => "warning",
                Urgency::Bad => "danger",
            };
            let lines = section.lines.iter().map(|line| escaped(&shortened(line)));
            let lines = lines.collect::<Vec<_>>().join("\n");
            let mut attachment = json!({
                "color": color,
                "fallback": escaped(&section.headline()),
                "text": lines,
            });
            if sections.len() > 1 {
                attachment["title"] = escaped(&section.headline()).into();
            }
            attachment
        })
        .collect();
    attachments.extend(rest.map(|text| json!({ "fallback": text, "text": text })));
    json!({ "text": format!("*{}*", escaped(&title(sections))), "attachments": attachments })
}

fn teams(sections: &[Section<'_>]) -> Value {
    let block = |text: &str| json!({ "type": "TextBlock", "text": text, "wrap": true });
    let heading = |text: &str, urgency: Option<Urgency>| {
        let color = match urgency {
            Some(Urgency::Good) => "Good",
            Some(Urgency::Notable) => "Warning",
            Some(Urgency::Bad) => "Attention",
            None => "Default",
        };
        json!({
            "type": "TextBlock", "text": text, "wrap": true, "weight": "Bolder", "color": color,
        })
    };
    let (shown, rest) = shown(sections);
    let mut body = Vec::new();
    if sections.len() > 1 {
        body.push(heading(&title(sections), None));
    }
    for section in shown {
        body.push(heading(&section.headline(), Some(section.urgency())));
        body.extend(section.lines.iter().map(|line| block(&shortened(line))));
    }
    body.extend(rest.map(|text| block(&text)));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

fn facts(sections: &[Section<'_>]) -> Value {
    let workloads: Vec<Value> = sections
        .iter()
        .map(|section| {
            let Section {
                workload,
                event,
                result,
                action,
                reason,
                summary,
                lines,
            } = section;
            json!({
                "workload": {
                    "namespace": workload.namespace,
                    "kind": workload.kind,
                    "name": workload.name,
                },
                "event": event.as_str(),
                "result": result.as_str(),
                "action": action,
                "reason": reason,
                "summary": summary,
                "lines": lines,
            })
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "workloads": workloads,
    })
}
