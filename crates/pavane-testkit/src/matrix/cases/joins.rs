//! A join's events, in every other order than this one last.

use pavane::database::Database;

use super::{Cell, Contents};

impl<S: Send + Sync + 'static, DB: Database> Cell<'_, S, DB> {
    pub(super) async fn joined(&mut self, clean: &Contents) {
        let join = self.reaction.name.as_str();
        let first = self.play_after(&[], async |trial| {
            for example in [self.example].into_iter().chain(self.others.iter().copied()) {
                let event = trial.envelope(example);
                trial.deliver(&event);
                trial.rest(&[join]).await?;
            }
            Ok(())
        });
        let first = first.await;
        self.expect("before the others of the join", clean, first);
        let at_once = self.play_after(&[], async |trial| {
            for example in self.others.iter().copied().chain([self.example]) {
                let event = trial.envelope(example);
                trial.deliver(&event);
            }
            trial.rest(&[join]).await
        });
        let at_once = at_once.await;
        self.expect("at once with the others of the join", clean, at_once);
        for (fault, is_last) in
            [("twice, before the others of the join", false), ("twice, as the last of the join", true)]
        {
            let (before, after) = if is_last { (&self.others[..], &[][..]) } else { (&[][..], &self.others[..]) };
            let twice = self.play_after(before, async |trial| {
                // Each time under an id of its own.
                for example in [self.example, self.example].into_iter().chain(after.iter().copied()) {
                    let event = trial.envelope(example);
                    trial.deliver(&event);
                    trial.rest(&[join]).await?;
                }
                Ok(())
            });
            let twice = twice.await;
            self.expect_dead(fault, clean, twice);
        }
    }
}
