//! The account of the records of a group: each was processed, by which consumer, and how long it
//! waited.
//!
//! All times are readings of the monotonic clock.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_assignors::PartitionIndex;

/// A consumer from its start until it is closed. A restarted consumer is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerIndex(pub usize);

/// A report of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The time.
    pub at: Duration,
    /// The consumer.
    pub consumer: ConsumerIndex,
    /// The report.
    pub event: Event,
}

/// The report of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The consumer has taken part in a rebalance.
    Rebalanced,
    /// The consumer owns the partitions from now on.
    Assigned(Vec<PartitionIndex>),
    /// The consumer owns the partitions no longer.
    Revoked(Vec<PartitionIndex>),
    /// The consumer has lost the partitions, because the group has removed it.
    Lost(Vec<PartitionIndex>),
    /// The consumer has processed records with consecutive offsets.
    Processed {
        /// The partition.
        partition: PartitionIndex,
        /// The first offset.
        first: i64,
        /// The last offset.
        last: i64,
        /// The time at which it began.
        since: Duration,
    },
    /// The group has committed an offset.
    Committed {
        /// The partition.
        partition: PartitionIndex,
        /// The offset of the next record to process.
        next: i64,
    },
    /// The consumer was closed, or has ended with a failure.
    Closed,
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The begin.
    pub from: Duration,
    /// The end.
    pub to: Duration,
}

impl Window {
    fn contains(self, at: Duration) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// How a consumer has ceased to own a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Revoked,
    Lost,
    Closed,
}

/// Records that were processed again, by the way in which the consumer that had processed them
/// first ceased to own the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Duplicates {
    /// The partition was revoked, and the consumer had not committed by then.
    pub revoked: u64,
    /// The consumer had lost the partition, because the group had removed it.
    pub lost: u64,
    /// The consumer was closed.
    pub closed: u64,
    /// The consumer still owned the partition.
    pub owned: u64,
}

impl Duplicates {
    /// The sum of all causes.
    #[must_use]
    pub fn total(self) -> u64 {
        self.revoked + self.lost + self.closed + self.owned
    }
}

/// A time for which two consumers had the same partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The partition.
    pub partition: PartitionIndex,
    /// The consumers.
    pub consumers: [ConsumerIndex; 2],
    /// The time.
    pub window: Window,
}

/// The pause of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// The partition.
    pub partition: PartitionIndex,
    /// The longest time for which no consumer owned it.
    pub unowned: Duration,
    /// The longest time for which a record had arrived and no record of the partition was
    /// processed. A pause between two records is not part of it.
    pub waited: Duration,
}

/// A commit of an offset whose records have not all been processed: after a failure they would be
/// skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyCommit {
    /// The partition.
    pub partition: PartitionIndex,
    /// The committed offset.
    pub next: i64,
    /// The first offset that had not been processed.
    pub unprocessed: i64,
}

/// The account of a group.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    partitions: Vec<History>,
    /// Ascending.
    rebalanced: Vec<(Duration, ConsumerIndex)>,
}

/// The history of a partition, in the order of time.
#[derive(Debug, Clone, Default)]
struct History {
    /// The arrival time of the record of each offset; `None` if no arrival was recorded.
    arrivals: Vec<Option<Duration>>,
    processed: Vec<Processed>,
    commits: Vec<(Duration, i64)>,
    tenures: Vec<Tenure>,
}

#[derive(Debug, Clone, Copy)]
struct Processed {
    consumer: ConsumerIndex,
    since: Duration,
    at: Duration,
    first: i64,
    last: i64,
}

impl Processed {
    fn offsets(self) -> impl Iterator<Item = usize> {
        (self.first..=self.last).filter_map(|offset| usize::try_from(offset).ok())
    }
}

/// A time for which a consumer owns a partition.
#[derive(Debug, Clone, Copy)]
struct Tenure {
    consumer: ConsumerIndex,
    from: Duration,
    end: Option<(Duration, Ending)>,
}

impl Tenure {
    fn to(&self) -> Duration {
        self.end.map_or(Duration::MAX, |(at, _)| at)
    }
}

impl Ledger {
    /// The account of these reports. `arrivals` has the time of arrival of each record, by
    /// partition and offset.
    #[must_use]
    pub fn new(arrivals: Vec<Vec<Option<Duration>>>, mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.at);
        let partitions = arrivals.into_iter().map(|arrivals| History {
            arrivals,
            ..History::default()
        });
        let mut ledger = Self {
            partitions: partitions.collect(),
            rebalanced: Vec::new(),
        };
        for entry in entries {
            ledger.enter(entry);
        }
        ledger
    }

    fn enter(&mut self, entry: Entry) {
        let Entry {
            at,
            consumer,
            event,
        } = entry;
        match event {
            Event::Rebalanced => self.rebalanced.push((at, consumer)),
            Event::Assigned(partitions) => {
                for partition in partitions {
                    self.of(partition).begin(at, consumer);
                }
            }
            Event::Revoked(partitions) => self.end(&partitions, at, consumer, Ending::Revoked),
            Event::Lost(partitions) => self.end(&partitions, at, consumer, Ending::Lost),
            Event::Closed => {
                for history in &mut self.partitions {
                    history.end(at, consumer, Ending::Closed);
                }
            }
            Event::Processed {
                partition,
                first,
                last,
                since,
            } => self.of(partition).processed.push(Processed {
                consumer,
                since,
                at,
                first,
                last,
            }),
            Event::Committed { partition, next } => self.of(partition).commits.push((at, next)),
        }
    }

    fn of(&mut self, partition: PartitionIndex) -> &mut History {
        if self.partitions.len() <= partition.get() {
            let size = partition.get() + 1;
            self.partitions.resize_with(size, History::default);
        }
        &mut self.partitions[partition.get()]
    }

    fn end(
        &mut self,
        partitions: &[PartitionIndex],
        at: Duration,
        consumer: ConsumerIndex,
        ending: Ending,
    ) {
        for partition in partitions {
            self.of(*partition).end(at, consumer, ending);
        }
    }

    fn histories(&self) -> impl Iterator<Item = (PartitionIndex, &History)> {
        PartitionIndex::all(self.partitions.len()).zip(&self.partitions)
    }

    /// The records that arrived and that no consumer has processed.
    #[must_use]
    pub fn lost(&self) -> Vec<(PartitionIndex, usize)> {
        let mut lost = Vec::new();
        for (partition, history) in self.histories() {
            let processed = history.processed_offsets();
            let arrived = history.arrivals.iter().enumerate();
            let missing = arrived.filter(|(offset, arrival)| {
                arrival.is_some() && !processed.get(*offset).is_some_and(|is| *is)
            });
            lost.extend(missing.map(|(offset, _)| (partition, offset)));
        }
        lost
    }

    /// The number of records that arrived.
    #[must_use]
    pub fn arrived(&self) -> usize {
        let arrivals = self.partitions.iter().flat_map(|history| &history.arrivals);
        arrivals.flatten().count()
    }

    /// The records that were processed again within the window.
    #[must_use]
    pub fn duplicates(&self, window: Window) -> Duplicates {
        let mut duplicates = Duplicates::default();
        for history in &self.partitions {
            history.count_duplicates(window, &mut duplicates);
        }
        duplicates
    }

    /// The times for which two consumers processed records of one partition: one began before the
    /// other had processed its last record.
    #[must_use]
    pub fn processed_by_two(&self) -> Vec<Overlap> {
        let all = self.histories();
        all.flat_map(|(partition, history)| overlaps(partition, history.stints()))
            .collect()
    }

    /// The times for which two consumers owned one partition, by their callbacks.
    #[must_use]
    pub fn owned_by_two(&self) -> Vec<Overlap> {
        let all = self.histories();
        let tenures = all.map(|(partition, history)| {
            let tenures = history.tenures.iter();
            let spans = tenures.map(|tenure| Stint {
                consumer: tenure.consumer,
                window: Window {
                    from: tenure.from,
                    to: tenure.to(),
                },
            });
            (partition, spans.collect())
        });
        tenures
            .flat_map(|(partition, stints)| overlaps(partition, stints))
            .collect()
    }

    /// The commits of offsets whose records had not all been processed.
    #[must_use]
    pub fn early_commits(&self) -> Vec<EarlyCommit> {
        let all = self.histories();
        all.flat_map(|(partition, history)| history.early_commits(partition))
            .collect()
    }

    /// The pause of each partition within the window.
    #[must_use]
    pub fn pauses(&self, window: Window) -> Vec<Pause> {
        let all = self.histories();
        let pause = |(partition, history): (PartitionIndex, &History)| Pause {
            partition,
            unowned: history.unowned(window),
            waited: history.waited(window),
        };
        all.map(pause).collect()
    }

    /// The number of rebalances within the window: the largest number in which one consumer took
    /// part.
    #[must_use]
    pub fn rebalances(&self, window: Window) -> usize {
        let within = self
            .rebalanced
            .iter()
            .filter(|(at, _)| window.contains(*at));
        let mut counts = std::collections::BTreeMap::new();
        for (_, consumer) in within {
            *counts.entry(consumer).or_insert(0_usize) += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }

    /// The partitions that a consumer lost within the window, because the group had removed it.
    #[must_use]
    pub fn lost_partitions(&self, window: Window) -> BTreeSet<PartitionIndex> {
        let all = self.histories();
        let lost = all.filter(|(_, history)| {
            let ends = history.tenures.iter().filter_map(|tenure| tenure.end);
            ends.into_iter()
                .any(|(at, ending)| ending == Ending::Lost && window.contains(at))
        });
        lost.map(|(partition, _)| partition).collect()
    }

    /// The last time within the window at which a partition got an owner.
    #[must_use]
    pub fn last_assigned(&self, window: Window) -> Option<Duration> {
        let tenures = self.partitions.iter().flat_map(|history| &history.tenures);
        let begins = tenures.map(|tenure| tenure.from);
        begins.filter(|from| window.contains(*from)).max()
    }

    /// The owner of each partition at a time; the first one if there are two.
    #[must_use]
    pub fn owners(&self, at: Duration) -> Vec<Option<ConsumerIndex>> {
        let owner = |history: &History| {
            let mut tenures = history.tenures.iter();
            let current = tenures.find(|tenure| (tenure.from..tenure.to()).contains(&at));
            current.map(|tenure| tenure.consumer)
        };
        self.partitions.iter().map(owner).collect()
    }
}

impl History {
    fn begin(&mut self, at: Duration, consumer: ConsumerIndex) {
        if self.open(consumer).is_none() {
            self.tenures.push(Tenure {
                consumer,
                from: at,
                end: None,
            });
        }
    }

    fn end(&mut self, at: Duration, consumer: ConsumerIndex, ending: Ending) {
        if let Some(tenure) = self.open(consumer) {
            tenure.end = Some((at, ending));
        }
    }

    fn open(&mut self, consumer: ConsumerIndex) -> Option<&mut Tenure> {
        let mut tenures = self.tenures.iter_mut();
        tenures.find(|tenure| tenure.consumer == consumer && tenure.end.is_none())
    }

    /// Whether each offset has been processed.
    fn processed_offsets(&self) -> Vec<bool> {
        let mut processed = Vec::new();
        for one in &self.processed {
            for offset in one.offsets() {
                mark(&mut processed, offset);
            }
        }
        processed
    }

    fn count_duplicates(&self, window: Window, duplicates: &mut Duplicates) {
        let mut last_by: Vec<Option<(ConsumerIndex, Duration)>> = Vec::new();
        for one in &self.processed {
            for offset in one.offsets() {
                if last_by.len() <= offset {
                    last_by.resize(offset + 1, None);
                }
                let before = last_by[offset].replace((one.consumer, one.at));
                let Some((consumer, at)) = before else {
                    continue;
                };
                if !window.contains(one.at) {
                    continue;
                }
                let count = match self.ending(consumer, at, one.since) {
                    Some(Ending::Revoked) => &mut duplicates.revoked,
                    Some(Ending::Lost) => &mut duplicates.lost,
                    Some(Ending::Closed) => &mut duplicates.closed,
                    None => &mut duplicates.owned,
                };
                *count += 1;
            }
        }
    }

    /// How the ownership of the consumer at a time had ended before another time; `None` if it had
    /// not.
    fn ending(&self, consumer: ConsumerIndex, at: Duration, before: Duration) -> Option<Ending> {
        let tenures = self.tenures.iter().rev();
        let mut own = tenures.filter(|tenure| tenure.consumer == consumer && tenure.from <= at);
        let (end, ending) = own.next()?.end?;
        (end <= before).then_some(ending)
    }

    /// The spans from the first to the last record that a consumer processed while it owned the
    /// partition.
    fn stints(&self) -> Vec<Stint> {
        let mut stints: Vec<(Option<usize>, Stint)> = Vec::new();
        for one in &self.processed {
            let of = |(_, tenure): &(usize, &Tenure)| {
                tenure.consumer == one.consumer && tenure.from <= one.since
            };
            let tenures = self.tenures.iter().enumerate();
            let tenure = tenures.rev().find(of).map(|(index, _)| index);
            let mut known = stints.iter_mut();
            let same = known
                .find(|(of, stint)| *of == tenure && stint.consumer == one.consumer)
                .map(|(_, stint)| stint);
            match same {
                Some(stint) => stint.window.to = one.at,
                None => stints.push((
                    tenure,
                    Stint {
                        consumer: one.consumer,
                        window: Window {
                            from: one.since,
                            to: one.at,
                        },
                    },
                )),
            }
        }
        stints.into_iter().map(|(_, stint)| stint).collect()
    }

    fn early_commits(&self, partition: PartitionIndex) -> Vec<EarlyCommit> {
        let mut early = Vec::new();
        let mut processed = Vec::new();
        let mut events = self.processed.iter().peekable();
        let mut first_unprocessed = 0;
        for (at, next) in &self.commits {
            while let Some(one) = events.next_if(|one| one.at <= *at) {
                for offset in one.offsets() {
                    mark(&mut processed, offset);
                }
            }
            while processed.get(first_unprocessed).is_some_and(|is| *is) {
                first_unprocessed += 1;
            }
            let unprocessed = i64::try_from(first_unprocessed).unwrap_or(i64::MAX);
            if *next > unprocessed {
                early.push(EarlyCommit {
                    partition,
                    next: *next,
                    unprocessed,
                });
            }
        }
        early
    }

    fn unowned(&self, window: Window) -> Duration {
        let mut tenures: Vec<&Tenure> = self.tenures.iter().collect();
        tenures.sort_by_key(|tenure| tenure.from);
        let (mut longest, mut owned_until) = (Duration::ZERO, window.from);
        for tenure in tenures {
            let begin = tenure.from.min(window.to);
            longest = longest.max(begin.saturating_sub(owned_until));
            owned_until = owned_until.max(tenure.to());
        }
        longest.max(window.to.saturating_sub(owned_until))
    }

    fn waited(&self, window: Window) -> Duration {
        let mut longest = Duration::ZERO;
        let mut processed = Vec::new();
        let mut last: Option<Duration> = None;
        for one in &self.processed {
            let is_new = |offset: &usize| !processed.get(*offset).is_some_and(|is| *is);
            let new = one.offsets().find(is_new);
            let arrived = new.and_then(|offset| self.arrivals.get(offset).copied().flatten());
            if let Some(arrived) = arrived
                && window.contains(one.since)
            {
                let since = last
                    .map_or(arrived, |last| last.max(arrived))
                    .max(window.from);
                longest = longest.max(one.since.saturating_sub(since));
            }
            for offset in one.offsets() {
                mark(&mut processed, offset);
            }
            last = Some(one.at);
        }
        longest
    }
}

fn mark(processed: &mut Vec<bool>, offset: usize) {
    if processed.len() <= offset {
        processed.resize(offset + 1, false);
    }
    processed[offset] = true;
}

/// A time for which a consumer had a partition.
#[derive(Debug, Clone, Copy)]
struct Stint {
    consumer: ConsumerIndex,
    window: Window,
}

fn overlaps(partition: PartitionIndex, stints: Vec<Stint>) -> Vec<Overlap> {
    let mut found = Vec::new();
    for (index, one) in stints.iter().enumerate() {
        for other in stints.iter().skip(index + 1) {
            let from = one.window.from.max(other.window.from);
            let to = one.window.to.min(other.window.to);
            if one.consumer != other.consumer && from < to {
                found.push(Overlap {
                    partition,
                    consumers: [one.consumer, other.consumer],
                    window: Window { from, to },
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PartitionIndex = PartitionIndex::new(0);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn window(from: u64, to: u64) -> Window {
        Window {
            from: ms(from),
            to: ms(to),
        }
    }

    fn entry(at: u64, consumer: usize, event: Event) -> Entry {
        Entry {
            at: ms(at),
            consumer: ConsumerIndex(consumer),
            event,
        }
    }

    fn assigned(at: u64, consumer: usize) -> Entry {
        entry(at, consumer, Event::Assigned(vec![P]))
    }

    fn revoked(at: u64, consumer: usize) -> Entry {
        entry(at, consumer, Event::Revoked(vec![P]))
    }

    fn processed(at: u64, consumer: usize, first: i64, last: i64) -> Entry {
        let event = Event::Processed {
            partition: P,
            first,
            last,
            since: ms(at),
        };
        entry(at, consumer, event)
    }

    /// A partition with a record every 100 ms, from 0 ms on.
    fn ledger(records: u64, entries: Vec<Entry>) -> Ledger {
        let arrivals = (0..records).map(|record| Some(ms(record * 100)));
        Ledger::new(vec![arrivals.collect()], entries)
    }

    const ALL: Window = Window {
        from: Duration::ZERO,
        to: Duration::from_secs(3600),
    };

    #[test]
    fn records_that_no_consumer_processed_are_lost() {
        let ledger = ledger(
            5,
            vec![
                assigned(0, 0),
                processed(150, 0, 0, 1),
                processed(450, 0, 3, 3),
            ],
        );
        assert_eq!(ledger.lost(), [(P, 2), (P, 4)]);
        assert_eq!(ledger.arrived(), 5);
    }

    #[test]
    fn records_whose_arrival_is_unknown_are_not_lost() {
        let ledger = Ledger::new(vec![vec![None, Some(ms(5))]], vec![processed(10, 0, 1, 1)]);
        assert_eq!(ledger.lost(), []);
    }

    #[test]
    fn duplicates_are_counted_by_the_end_of_the_first_ownership() {
        let ledger = ledger(
            10,
            vec![
                assigned(0, 0),
                processed(400, 0, 0, 3),
                revoked(410, 0),
                assigned(450, 1),
                // Two records were not committed.
                processed(460, 1, 2, 4),
                entry(500, 1, Event::Lost(vec![P])),
                assigned(600, 1),
                processed(610, 1, 4, 6),
                entry(700, 1, Event::Closed),
                assigned(800, 2),
                processed(810, 2, 6, 8),
                // The consumer itself reads a record again.
                processed(910, 2, 8, 9),
            ],
        );
        let expected = Duplicates {
            revoked: 2,
            lost: 1,
            closed: 1,
            owned: 1,
        };
        assert_eq!(ledger.duplicates(ALL), expected);
        assert_eq!(expected.total(), 5);
        let revoked_only = Duplicates {
            revoked: 2,
            ..Duplicates::default()
        };
        assert_eq!(ledger.duplicates(window(420, 500)), revoked_only);
        assert_eq!(ledger.lost(), []);
        assert_eq!(ledger.processed_by_two(), []);
        assert_eq!(ledger.owned_by_two(), []);
        assert_eq!(ledger.lost_partitions(ALL), BTreeSet::from([P]));
        assert!(ledger.lost_partitions(window(0, 400)).is_empty());
    }

    #[test]
    fn processing_by_two_consumers_is_found() {
        let ledger = ledger(
            4,
            vec![
                assigned(0, 0),
                processed(100, 0, 0, 0),
                assigned(150, 1),
                processed(200, 1, 0, 1),
                processed(300, 0, 1, 2),
                revoked(350, 0),
                processed(400, 1, 2, 3),
            ],
        );
        let overlap = |from, to| Overlap {
            partition: P,
            consumers: [ConsumerIndex(0), ConsumerIndex(1)],
            window: window(from, to),
        };
        assert_eq!(ledger.processed_by_two(), [overlap(200, 300)]);
        assert_eq!(ledger.owned_by_two(), [overlap(150, 350)]);
        assert_eq!(ledger.duplicates(ALL).owned, 2);
    }

    #[test]
    fn partition_may_return_to_a_former_owner() {
        let ledger = ledger(
            3,
            vec![
                assigned(0, 0),
                processed(50, 0, 0, 0),
                revoked(60, 0),
                assigned(70, 1),
                processed(150, 1, 1, 1),
                revoked(160, 1),
                assigned(170, 0),
                processed(250, 0, 2, 2),
            ],
        );
        assert_eq!(ledger.processed_by_two(), []);
        assert_eq!(ledger.owned_by_two(), []);
        let owner = |at| ledger.owners(ms(at))[0];
        assert_eq!(owner(50), Some(ConsumerIndex(0)));
        assert_eq!(owner(65), None);
        assert_eq!(owner(100), Some(ConsumerIndex(1)));
        assert_eq!(owner(500), Some(ConsumerIndex(0)));
        assert_eq!(ledger.last_assigned(window(0, 100)), Some(ms(70)));
    }

    #[test]
    fn pauses_leave_out_the_time_without_records() {
        let ledger = ledger(
            10,
            vec![
                assigned(0, 0),
                // Each record is processed 5 ms after its arrival.
                processed(5, 0, 0, 0),
                processed(105, 0, 1, 1),
                revoked(110, 0),
                assigned(430, 1),
                // Record 2 has waited since 200 ms.
                processed(440, 1, 2, 4),
                processed(505, 1, 5, 5),
            ],
        );
        let pause = |unowned, waited| Pause {
            partition: P,
            unowned: ms(unowned),
            waited: ms(waited),
        };
        assert_eq!(ledger.pauses(window(0, 600)), [pause(320, 240)]);
        assert_eq!(ledger.pauses(window(450, 600)), [pause(0, 5)]);
        // Only the part within the window counts.
        assert_eq!(ledger.pauses(window(0, 300)), [pause(190, 5)]);
        assert_eq!(ledger.pauses(window(300, 600)), [pause(130, 140)]);
    }

    #[test]
    fn records_that_are_processed_again_do_not_wait() {
        let ledger = ledger(
            3,
            vec![
                assigned(0, 0),
                processed(205, 0, 0, 2),
                revoked(210, 0),
                assigned(900, 1),
                processed(910, 1, 1, 2),
            ],
        );
        let pauses = ledger.pauses(window(206, 1000));
        assert_eq!(pauses[0].waited, Duration::ZERO);
        assert_eq!(pauses[0].unowned, ms(690));
    }

    #[test]
    fn partition_without_an_owner_pauses_for_the_whole_window() {
        let ledger = ledger(3, Vec::new());
        assert_eq!(ledger.pauses(window(100, 400))[0].unowned, ms(300));
    }

    #[test]
    fn commits_do_not_pass_unprocessed_records() {
        let committed = |at, next| entry(at, 0, Event::Committed { partition: P, next });
        let ledger = ledger(
            5,
            vec![
                assigned(0, 0),
                committed(1, 0),
                processed(150, 0, 0, 1),
                committed(160, 2),
                processed(350, 0, 3, 3),
                committed(360, 4),
                processed(370, 0, 2, 2),
                committed(380, 4),
            ],
        );
        let early = EarlyCommit {
            partition: P,
            next: 4,
            unprocessed: 2,
        };
        assert_eq!(ledger.early_commits(), [early]);
    }

    #[test]
    fn rebalances_are_those_of_the_consumer_that_took_part_in_most() {
        let rebalanced = |at, consumer| entry(at, consumer, Event::Rebalanced);
        let ledger = ledger(
            0,
            vec![
                rebalanced(10, 0),
                rebalanced(11, 1),
                rebalanced(20, 0),
                rebalanced(30, 0),
                rebalanced(31, 1),
            ],
        );
        assert_eq!(ledger.rebalances(ALL), 3);
        assert_eq!(ledger.rebalances(window(11, 25)), 1);
        assert_eq!(ledger.rebalances(window(40, 50)), 0);
    }
}
