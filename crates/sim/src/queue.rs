//! What will happen, in order of true time; what is planned for one instant happens in the order in which it was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use leasehold_history::Nanos;

/// Planned events.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: BinaryHeap<Reverse<Planned<E>>>,
    next: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at: Nanos,
    number: u64,
    event: E,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), next: 0 }
    }

    pub(crate) fn plan(&mut self, at: Nanos, event: E) {
        self.heap.push(Reverse(Planned { at, number: self.next, event }));
        self.next += 1;
    }

    /// The next event, unless it comes after `end`.
    pub(crate) fn pop_until(&mut self, end: Nanos) -> Option<(Nanos, E)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        self.heap.pop().map(|Reverse(planned)| (planned.at, planned.event))
    }
}

impl<E> Planned<E> {
    fn key(&self) -> (Nanos, u64) {
        (self.at, self.number)
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Planned<E> {}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_keeps_the_order_of_planning() {
        let mut queue = Queue::new();
        queue.plan(Nanos(5), "late");
        queue.plan(Nanos(1), "first");
        queue.plan(Nanos(1), "second");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop_until(Nanos(4))).collect();
        assert_eq!(order, [(Nanos(1), "first"), (Nanos(1), "second")]);
    }
}
