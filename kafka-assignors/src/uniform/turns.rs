//! The turns in which subscribers of a topic receive and give partitions.

use crate::MemberIndex;

/// The subscribers of a topic, those with the fewest partitions first.
///
/// The receivers are a prefix of the list that takes turns. When all of them own as many
/// partitions as the next subscribers, these join. The givers are a range at the end of the list,
/// extended in the same way downwards.
pub(super) struct Turns {
    /// By the count at the start, then by index.
    sorted: Vec<MemberIndex>,
    /// The count of each receiver at the start of the current round.
    low: Option<usize>,
    low_end: usize,
    low_next: usize,
    /// The count of each giver, whose range is `high_start..high_end`.
    high: usize,
    high_start: usize,
    high_end: usize,
    /// The position after the next giver.
    high_next: usize,
}

impl Turns {
    /// Starts with `subscribers`, of which there is at least one.
    pub(super) fn new(subscribers: &[MemberIndex], counts: &[usize]) -> Self {
        let mut sorted = subscribers.to_vec();
        sorted.sort_unstable_by_key(|member| (counts[*member], *member));
        let most = sorted.last().map_or(0, |member| counts[*member]);
        Self {
            low: None,
            low_end: 0,
            low_next: 0,
            high: most + 1,
            high_start: sorted.len(),
            high_end: sorted.len(),
            high_next: sorted.len(),
            sorted,
        }
    }

    /// The next member to receive a partition.
    pub(super) fn next_receiver(&mut self, counts: &[usize]) -> Option<MemberIndex> {
        if self.low_next >= self.low_end {
            let first = *self.sorted.first()?;
            let low = self.low.map_or(counts[first], |low| low + 1);
            let joining = self.sorted[self.low_end..].iter();
            self.low_end += joining.take_while(|member| counts[**member] == low).count();
            self.low = Some(low);
            self.low_next = 0;
        }
        self.low_next += 1;
        self.sorted.get(self.low_next - 1).copied()
    }

    /// The next member to give a partition. `None` if no member has one to give.
    pub(super) fn next_giver(&mut self, counts: &[usize]) -> Option<MemberIndex> {
        if self.high_next <= self.high_start {
            self.high = match self.high_start.checked_sub(1) {
                // All givers were removed.
                Some(next) if self.high_end <= self.high_start => counts[self.sorted[next]],
                Some(_) | None => self.high.saturating_sub(1),
            };
            let joining = self.sorted[..self.high_start].iter().rev();
            self.high_start -= joining
                .take_while(|member| counts[**member] == self.high)
                .count();
            self.high_next = self.high_end;
        }
        self.high_next = self.high_next.checked_sub(1)?;
        self.sorted.get(self.high_next).copied()
    }

    /// Removes the member that [`Self::next_giver`] returned last.
    pub(super) fn remove_giver(&mut self) {
        self.high_end -= 1;
        self.sorted.swap(self.high_next, self.high_end);
    }

    /// Whether givers and receivers differ by at most one partition.
    pub(super) fn are_even(&self) -> bool {
        self.low.is_some_and(|low| self.high <= low + 1)
    }
}
