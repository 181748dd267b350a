//! `pavane watch`: the deployment live, on the whole screen.

mod keys;
mod screen;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use pavane_observe::{
    Feed, Limits, SagaSummary, View,
    report::{Flow, Overview},
};
use ratatui::DefaultTerminal;
use serde::Serialize;
use tokio::{
    sync::mpsc::Receiver,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    deployment::Deployment,
    output::{Exit, Output},
};
use keys::Key;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often to refresh, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..))]
    every: u64,
    /// Stop after so many refreshes. With --json, which writes one line for each.
    #[arg(long, value_name = "LOOKS", requires = "json")]
    looks: Option<u64>,
}

/// Pause before a feed that failed is read again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// One refresh.
#[derive(Debug, Serialize)]
struct Look {
    overview: Overview,
    flow: Flow,
    stuck: Vec<SagaSummary>,
    /// Why no updates come, while that is so.
    trouble: Option<String>,
    /// How many stuck sagas are above the first one that is shown.
    #[serde(skip)]
    scrolled: usize,
}

pub(crate) async fn run(deployment: &Deployment, arguments: &Arguments, output: Output) -> anyhow::Result<Exit> {
    let mut watcher = Watcher::new(deployment);
    if output.is_json() {
        return watcher.write(arguments).await;
    }
    if !output.is_terminal() {
        bail!("nobody would see the screen: this is no terminal; use --json to get one line for each look");
    }
    let terminal = ratatui::try_init()?;
    let (keys, stop) = keys::listen();
    let drawn = watcher.draw(terminal, keys, arguments).await;
    stop.cancel();
    ratatui::restore();
    drawn
}

/// Follows the feed.
struct Watcher {
    feed: Feed,
    view: View,
    trouble: Option<String>,
    scrolled: usize,
}

impl Watcher {
    fn new(deployment: &Deployment) -> Self {
        let (feed, view) = (Feed::new(deployment.bus.clone()), View::new(Limits::default()));
        Self { feed, view, trouble: None, scrolled: 0 }
    }

    /// Applies the next updates, or notes why none come. Cancel-safe.
    async fn turn(&mut self) {
        if self.trouble.is_some() {
            sleep(TRY_AGAIN_AFTER).await;
        }
        match self.feed.next().await {
            Ok(updates) => {
                self.trouble = None;
                self.view.apply(updates);
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    fn look(&self) -> Look {
        Look {
            overview: self.view.overview(),
            flow: self.view.flow(),
            stuck: self.view.stuck(),
            trouble: self.trouble.clone(),
            scrolled: self.scrolled,
        }
    }

    /// Writes one line for each refresh, the first one when everything that was there has been read.
    async fn write(&mut self, arguments: &Arguments) -> anyhow::Result<Exit> {
        let mut looks = interval(Duration::from_millis(arguments.every));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut written = 0;
        while arguments.looks.is_none_or(|looks| written < looks) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => break,
                _ = looks.tick(), if self.feed.is_loaded() => {
                    Output::line(&self.look())?;
                    written += 1;
                }
                () = self.turn() => {}
            }
        }
        Ok(Exit::Fine)
    }

    /// Draws until the user quits.
    async fn draw(
        &mut self,
        mut terminal: DefaultTerminal,
        mut keys: Receiver<Key>,
        arguments: &Arguments,
    ) -> anyhow::Result<Exit> {
        let mut looks = interval(Duration::from_millis(arguments.every));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let key = tokio::select! {
                key = keys.recv() => key.unwrap_or(Key::Quit),
                _ = looks.tick() => Key::Other,
                () = self.turn() => continue,
            };
            match key {
                Key::Quit => return Ok(Exit::Fine),
                Key::Up => self.scrolled = self.scrolled.saturating_sub(1),
                Key::Down => self.scrolled = (self.scrolled + 1).min(self.view.stuck().len().saturating_sub(1)),
                Key::Other => {}
            }
            let look = self.look();
            terminal.draw(|frame| screen::draw(frame, &look))?;
        }
    }
}
