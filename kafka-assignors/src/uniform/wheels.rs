//! Whose turn it is to get a partition, and whose to give one, among the subscribers of a topic.

/// The subscribers of a topic, those that own least first. Two wheels turn over them: one from the
/// emptiest on, which takes in the next ones as soon as all on it own as many as these, and one
/// from the fullest on, likewise.
pub(super) struct Wheels {
    /// In the order of what they owned at the start, then of the walk.
    sorted: Vec<usize>,
    /// What those on the wheel of the emptiest own at the start of a turn.
    low: Option<usize>,
    low_end: usize,
    low_next: usize,
    /// The same for the fullest, whose wheel is the places from `high_start` to `high_end`.
    high: usize,
    high_start: usize,
    high_end: usize,
    /// One behind the next.
    high_next: usize,
}

impl Wheels {
    /// Wheels over `subscribers`, of which there is at least one.
    pub(super) fn new(subscribers: &[usize], counts: &[usize]) -> Self {
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

    /// Who is next to get one.
    pub(super) fn emptiest(&mut self, counts: &[usize]) -> Option<usize> {
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

    /// Who is next to give one; `None` when nobody has anything to give.
    pub(super) fn fullest(&mut self, counts: &[usize]) -> Option<usize> {
        if self.high_next <= self.high_start {
            self.high = match self.high_start.checked_sub(1) {
                // Everybody on the wheel was taken off it.
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

    /// Takes off the wheel whoever was just asked for by [`Self::fullest`].
    pub(super) fn take_off_fullest(&mut self) {
        self.high_end -= 1;
        self.sorted.swap(self.high_next, self.high_end);
    }

    /// The two wheels are within one of each other.
    pub(super) fn are_even(&self) -> bool {
        self.low.is_some_and(|low| self.high <= low + 1)
    }
}
