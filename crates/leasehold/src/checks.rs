//! What checks of the candidate's health find, as somebody else makes them.

use std::future::pending;

use leasehold_election::Health;
use tokio::sync::watch;

/// Where the health comes from; nowhere, if nobody checks.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    source: Option<watch::Receiver<Health>>,
}

impl Checks {
    pub(crate) fn of(source: Option<watch::Receiver<Health>>) -> Self {
        Self { source }
    }

    /// What was found last.
    pub(crate) fn now(&mut self) -> Health {
        self.source.as_mut().map(|source| source.borrow_and_update().clone()).unwrap_or_default()
    }

    /// Waits for what is found next. If nobody is left to check, nobody knows whether the last word still holds.
    pub(crate) async fn changed(&mut self) -> Health {
        let Some(source) = &mut self.source else { return pending().await };
        if source.changed().await.is_ok() {
            return source.borrow_and_update().clone();
        }
        self.source = None;
        Health::unhealthy("nobody checks the health any more: its sender was dropped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_not_checked_is_healthy() {
        assert_eq!(Checks::default().now(), Health::Healthy);
    }

    #[tokio::test]
    async fn a_checker_that_is_gone_leaves_no_healthy_candidate_behind() {
        let (sender, receiver) = watch::channel(Health::unhealthy("no check yet"));
        let mut checks = Checks::of(Some(receiver));
        assert!(!checks.now().is_healthy());
        sender.send_replace(Health::Healthy);
        assert_eq!(checks.changed().await, Health::Healthy);
        drop(sender);
        assert!(!checks.changed().await.is_healthy());
    }
}
