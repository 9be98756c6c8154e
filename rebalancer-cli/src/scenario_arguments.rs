//! The arguments of `forecast` that change the consumer group: what if it had other replicas?

use std::collections::BTreeMap;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches};
use rebalancer_core::group::{Assignor, Protocol};
use rebalancer_core::scenario::ScenarioAxes;

/// Numbers from an argument, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Numbers(Vec<usize>);

/// Numbers of partitions of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TopicSizes {
    topic: String,
    sizes: Vec<usize>,
}

/// The definitions of the arguments.
pub(crate) fn args() -> [Arg; 5] {
    [
        Arg::new("replicas")
            .long("replicas")
            .value_name("N|N..M")
            .value_parser(numbers)
            .action(ArgAction::Append)
            .help("What if the workload had this number of pods: 12, or 8..24 for each number, or 8,12,16"),
        Arg::new("assignor")
            .long("assignor")
            .value_name("NAME")
            .value_parser(Assignor::ALL.map(Assignor::as_str))
            .action(ArgAction::Append)
            .help("What if the group had this assignor; may be repeated"),
        Arg::new("protocol")
            .long("protocol")
            .value_name("NAME")
            .value_parser([Protocol::Classic, Protocol::Consumer].map(Protocol::as_str))
            .action(ArgAction::Append)
            .help("What if the group had this protocol; may be repeated"),
        Arg::new("partitions")
            .long("partitions")
            .value_name("TOPIC=N")
            .value_parser(topic_sizes)
            .action(ArgAction::Append)
            .help("What if a topic had this number of partitions; may be repeated, also for other topics"),
        Arg::new("without")
            .long("without")
            .value_name("POD")
            .value_parser(NonEmptyStringValueParser::new())
            .action(ArgAction::Append)
            .help("What if this pod were gone; may be repeated for several pods at once"),
    ]
}

/// The changes that are asked for.
pub(crate) fn parse(matches: &ArgMatches) -> ScenarioAxes {
    let texts = |id: &str| -> Vec<&String> {
        let values = matches.get_many::<String>(id);
        values.into_iter().flatten().collect()
    };
    let named = |id: &str, name: &str| texts(id).into_iter().any(|text| text == name);
    let mut partitions: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for TopicSizes { topic, sizes } in matches
        .get_many::<TopicSizes>("partitions")
        .into_iter()
        .flatten()
    {
        partitions
            .entry(topic.clone())
            .or_default()
            .extend(sizes.iter().copied());
    }
    let replicas = matches.get_many::<Numbers>("replicas");
    ScenarioAxes {
        replicas: replicas
            .into_iter()
            .flatten()
            .flat_map(|Numbers(numbers)| numbers.iter().copied())
            .collect(),
        assignors: Assignor::ALL
            .into_iter()
            .filter(|assignor| named("assignor", assignor.as_str()))
            .collect(),
        protocols: [Protocol::Classic, Protocol::Consumer]
            .into_iter()
            .filter(|protocol| named("protocol", protocol.as_str()))
            .collect(),
        partitions,
        without: texts("without").into_iter().cloned().collect(),
    }
}

/// Parses `12`, `8..24` (both included), and lists of these.
fn numbers(text: &str) -> Result<Numbers, String> {
    let number = |text: &str| match text.trim().parse::<usize>() {
        Ok(0) => Err("0 is too small".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err(format!(
            "`{text}` is not a number such as 12, or a range such as 8..24"
        )),
    };
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once("..") {
            Some((first, last)) => (number(first)?, number(last.trim_start_matches('='))?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(format!("{first} is more than {last}"));
        }
        if last - first >= ScenarioAxes::MOST {
            let most = ScenarioAxes::MOST;
            return Err(format!("{first}..{last} are more than {most} numbers"));
        }
        numbers.extend(first..=last);
    }
    Ok(Numbers(numbers))
}

fn topic_sizes(text: &str) -> Result<TopicSizes, String> {
    match text.split_once('=') {
        Some((topic, sizes)) if !topic.is_empty() => Ok(TopicSizes {
            topic: topic.to_owned(),
            sizes: numbers(sizes)?.0,
        }),
        Some(_) | None => Err(format!(
            "`{text}` is not of the form TOPIC=N, such as orders=64"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;
    use rstest::rstest;

    #[rstest]
    #[case("12", &[12])]
    #[case("8..10", &[8, 9, 10])]
    #[case("8..=10", &[8, 9, 10])]
    #[case("4, 8..9,16", &[4, 8, 9, 16])]
    #[case("5..5", &[5])]
    fn numbers_are_lists_of_ranges(#[case] text: &str, #[case] expected: &[usize]) {
        assert_eq!(numbers(text), Ok(Numbers(expected.to_vec())));
    }

    #[rstest]
    #[case("", "is not a number")]
    #[case("0", "0 is too small")]
    #[case("0..4", "0 is too small")]
    #[case("8..4", "8 is more than 4")]
    #[case(
        "eight",
        "`eight` is not a number such as 12, or a range such as 8..24"
    )]
    #[case("1..18446744073709551615", "more than 500 numbers")]
    #[case("-3", "is not a number")]
    fn other_texts_are_refused(#[case] text: &str, #[case] message: &str) {
        let error = numbers(text).unwrap_err();
        assert!(error.contains(message), "{error}");
    }

    /// The changes of a command line without spaces in its values.
    fn parsed(line: &str) -> Result<ScenarioAxes, String> {
        let words = std::iter::once("forecast").chain(line.split_whitespace());
        let command = Command::new("forecast").args(args());
        let matches = command.try_get_matches_from(words);
        matches
            .map(|matches| parse(&matches))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_collected() {
        let axes = parsed(
            "--replicas 4..5 --replicas 9 --assignor sticky --assignor range --protocol classic \
             --partitions orders=64,128 --partitions payments=3 --without pod-a --without pod-b",
        );
        let expected = ScenarioAxes {
            replicas: vec![4, 5, 9],
            assignors: vec![Assignor::Range, Assignor::Sticky],
            protocols: vec![Protocol::Classic],
            partitions: BTreeMap::from([
                ("orders".to_owned(), vec![64, 128]),
                ("payments".to_owned(), vec![3]),
            ]),
            without: vec!["pod-a".to_owned(), "pod-b".to_owned()],
        };
        assert_eq!(axes, Ok(expected));
        assert_eq!(parsed(""), Ok(ScenarioAxes::default()));
        assert!(ScenarioAxes::default().is_empty());
        let error = parsed("--partitions a=b=3").unwrap_err();
        assert!(error.contains("`b=3` is not a number"), "{error}");
    }

    #[rstest]
    #[case("=3")]
    #[case("orders")]
    fn topic_needs_a_name_and_a_number(#[case] text: &str) {
        let error = topic_sizes(text).unwrap_err();
        assert!(error.contains("such as orders=64"), "{error}");
    }
}
