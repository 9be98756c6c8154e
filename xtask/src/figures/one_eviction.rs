//! The effect of one eviction on a group: the owners before it, without the pod, and with its
//! replacement.

use std::cmp::Ordering;

use kafka_assignors::{Algorithm, Assignment, Member, MemberIndex, Subscription, Topics};

use super::plot::{Plot, legend};
use crate::Error;
use crate::svg::{Anchor, BLUE, Font, GREY, INK, RED, Svg};

/// The cost of each partition, in hundredths of a core, by the pod that owns it at first.
const LOADS: [(&str, [u32; 4]); 6] = [
    ("a", [15, 9, 22, 13]),
    ("b", [12, 21, 7, 16]),
    ("c", [34, 30, 27, 38]),
    ("d", [11, 14, 8, 12]),
    ("e", [17, 6, 14, 16]),
    ("f", [10, 18, 13, 9]),
];

/// The index of the evicted pod, and the member names of the pod and of its replacement.
const VICTIM: usize = 2;
const REPLACEMENT: &str = "g";

/// The highest load on the axis, in cores.
const THRESHOLD: f64 = 1.05;

/// A group at one instant.
struct Panel {
    heading: &'static str,
    note: &'static str,
    /// The pod of each bar, from left to right; `None` for a gap.
    pods: [Option<&'static str>; 6],
    /// The index of the bar of each partition.
    bars: Vec<Option<usize>>,
}

/// Draws the picture.
pub(super) fn draw() -> Result<String, Error> {
    let panels = panels();
    let mut svg = Svg::new(
        760,
        390,
        "One eviction under cooperative-sticky (Java client)",
        "Three bar charts of the load of each pod, stacked by partition: before the eviction of the \
         hottest pod, after it left, and after its replacement joined.",
    );
    let mut x = 20.0;
    for (colour, text) in [
        (GREY, "stays with its pod"),
        (RED, "was the evicted pod's"),
        (BLUE, "is given up for the replacement"),
    ] {
        x = legend(&mut svg, (x, 58.0), colour, text);
    }
    let last = &panels.last().ok_or("no panels")?.bars;
    let colours = colours(last);
    for (place, panel) in (0_u32..).zip(&panels) {
        let plot = Plot {
            at: (62.0 + 236.0 * f64::from(place), 105.0),
            size: (206.0, 210.0),
            across: (0.0, 6.0),
            up: (0.0, 1.4),
        };
        panel.draw(&mut svg, &plot, &colours);
        if place == 0 {
            plot.label_up(&mut svg, "load in cores");
            let above = plot.y(THRESHOLD) - 5.0;
            svg.text(plot.right(), above, Anchor::End, Font::NOTE, "threshold");
        }
    }
    Ok(svg.finish())
}

impl Panel {
    fn draw(&self, svg: &mut Svg, plot: &Plot, colours: &[&str]) {
        plot.heading(svg, self.heading);
        plot.grid_up(svg, &[0.0, 0.5, 1.0], 1);
        for (bar, name) in (0_u32..).zip(self.pods) {
            let left = plot.x(f64::from(bar) + 0.14);
            let width = plot.x(f64::from(bar) + 0.86) - left;
            let of_bar = |place: &Option<usize>| *place == usize::try_from(bar).ok();
            let mut sum = 0.0;
            for ((load, colour), _) in loads()
                .zip(colours)
                .zip(&self.bars)
                .filter(|(_, place)| of_bar(place))
            {
                let (low, high) = (plot.y(sum), plot.y(sum + load));
                svg.rect((left, high), (width, low - high - 1.0), colour);
                sum += load;
            }
            let middle = left + width / 2.0;
            let below = plot.bottom() + 16.0;
            svg.text(
                middle,
                below,
                Anchor::Middle,
                Font::TEXT,
                name.unwrap_or("–"),
            );
            if sum > 0.0 {
                let above = plot.y(sum) - 5.0;
                let text = format!("{sum:.2}");
                svg.text(middle, above, Anchor::Middle, Font::NOTE, &text);
            }
        }
        plot.base(svg);
        let y = plot.y(THRESHOLD);
        svg.dashed((plot.at.0, y), (plot.right(), y), INK);
        svg.text(
            plot.at.0,
            plot.bottom() + 40.0,
            Anchor::Start,
            Font::NOTE,
            self.note,
        );
    }
}

fn loads() -> impl Iterator<Item = f64> {
    // The assignment of a new group: one partition to each pod in turn.
    (0..4_usize).flat_map(|round| {
        let of_round = LOADS.iter().filter_map(move |(_, loads)| loads.get(round));
        of_round.map(|load| f64::from(*load) / 100.0)
    })
}

/// The class of each partition by its final owner.
fn colours(last: &[Option<usize>]) -> Vec<&'static str> {
    let first = (0..LOADS.len()).cycle();
    let colour = |(first, last): (usize, &Option<usize>)| match *last {
        _ if first == VICTIM => RED,
        Some(VICTIM) => BLUE,
        Some(_) | None => GREY,
    };
    first.zip(last).map(colour).collect()
}

fn panels() -> [Panel; 3] {
    let topics = Topics::new([("orders".to_owned(), 4 * LOADS.len())]);
    let member = |pod: &str| Member {
        id: format!("consumer-{pod}"),
        instance: None,
        subscription: Subscription::all(&topics),
        rack: None,
    };
    let assignor = Algorithm::CooperativeSticky;
    let mut members: Vec<Member> = LOADS.iter().map(|(pod, _)| member(pod)).collect();
    let before: Assignment = (0..LOADS.len())
        .cycle()
        .take(topics.partition_count())
        .map(|member| Some(MemberIndex::new(member)))
        .collect();

    // Without the victim, the members after it move down by one index. The victim's bar becomes
    // the bar of the replacement, which is the last member.
    members.remove(VICTIM);
    let moved_up = |place: usize| match place.cmp(&VICTIM) {
        Ordering::Less => Some(place),
        Ordering::Equal => None,
        Ordering::Greater => Some(place - 1),
    };
    let new_indices: Vec<Option<MemberIndex>> = (0..LOADS.len())
        .map(|member| moved_up(member).map(MemberIndex::new))
        .collect();
    let bar = |place: usize| match place {
        place if place + 1 == LOADS.len() => VICTIM,
        place if place >= VICTIM => place + 1,
        place => place,
    };
    let left = assignor.settle(&topics, &members, &before.renumbered(&new_indices));
    members.push(member(REPLACEMENT));
    let joined = assignor.settle(&topics, &members, &left.assignment);

    let bars = |assignment: &Assignment| {
        assignment
            .owners()
            .map(|o| o.map(|o| bar(o.get())))
            .collect()
    };
    let names = |instead| {
        let mut names = LOADS.map(|(pod, _)| Some(pod));
        names[VICTIM] = instead;
        names
    };
    [
        Panel {
            heading: "Before",
            note: "Four partitions each; pod c is hot.",
            pods: names(Some(LOADS[VICTIM].0)),
            bars: before.owners().map(|o| o.map(MemberIndex::get)).collect(),
        },
        Panel {
            heading: "c has left",
            note: "Its partitions go to those with fewest.",
            pods: names(None),
            bars: bars(&left.assignment),
        },
        Panel {
            heading: "g has joined",
            note: "Four each again, other ones.",
            pods: names(Some(REPLACEMENT)),
            bars: bars(&joined.assignment),
        },
    ]
}
