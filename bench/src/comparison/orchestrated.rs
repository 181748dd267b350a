//! An orchestrated saga: a coordinator calls the services one after another, and logs each step.
//!
//! What is done in its favour: the services share one process; each of their local transactions is one statement in one round
//! trip; every step can be repeated, so one log record a step is enough; the customer has the answer before the
//! goods are taken out of the books, or before everything is undone; forgetting a saga doesn't wait for the disk.

pub(crate) mod services;
mod store;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Client;
use tokio::{join, time::sleep};

use self::{
    services::{Answer, Call, Step},
    store::Saga,
};
use super::{
    databases::Databases,
    door::{Coordinate, CrashPoint, Ending},
    order::Order,
};

/// The steps of a saga, in their order, with the undo of each.
const STEPS: [(Step, Option<Step>); 4] = [
    (Step::Authorize, Some(Step::Void)),
    (Step::Reserve, Some(Step::Release)),
    (Step::CreateShipment, None),
    (Step::Capture, None),
];
/// After which step the coordinator dies when it is told to: the goods are held, and the log doesn't know.
const CRASH_STEP: Step = Step::Reserve;
/// How often a service is asked that doesn't answer.
const ATTEMPTS_MAX: u32 = 30;
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How many sagas are carried on at once after a restart.
const RECOVERED_AT_ONCE: usize = 32;

/// The coordinator. There may be several; each carries on what it began itself.
#[derive(Debug, Clone)]
pub(crate) struct Orchestrator {
    id: String,
    databases: Databases,
    services_url: String,
    http: Client,
    crash_point: Arc<CrashPoint>,
}

impl Orchestrator {
    /// Opens the log and carries on what an earlier life of this orchestrator left behind.
    ///
    /// # Errors
    ///
    /// When a database or a service fails.
    pub(crate) async fn open(id: &str, databases: Databases, services_url: String) -> Result<Self> {
        store::create_log(&databases.order).await?;
        let http = Client::builder().timeout(Duration::from_mins(1)).no_proxy().build()?;
        let crash_point = Arc::default();
        let orchestrator = Self { id: id.to_owned(), databases, services_url, http, crash_point };
        orchestrator.recover().await.context("the recovery failed")?;
        Ok(orchestrator)
    }

    async fn recover(&self) -> Result<()> {
        let unfinished = store::unfinished(&self.databases.order, &self.id).await?;
        let carried_on = stream::iter(unfinished).map(async |mut saga| {
            self.carry_on(&mut saga).await?;
            self.finish(&saga).await
        });
        carried_on.buffer_unordered(RECOVERED_AT_ONCE).try_collect().await
    }

    /// Does and logs what is left to do until the order's end is certain.
    async fn carry_on(&self, saga: &mut Saga) -> Result<()> {
        while !saga.undoing
            && let Some((step, _)) = STEPS.get(saga.done)
        {
            let answer = self.ask(*step, saga).await?;
            if *step == CRASH_STEP {
                self.crash_point.reach();
            }
            if !answer.yes {
                store::cancel(&self.databases.order, &saga.order.id).await?;
                saga.undoing = true;
                break;
            }
            saga.done += 1;
            saga.intent_id = saga.intent_id.take().or(answer.intent_id);
            if saga.done == STEPS.len() {
                store::confirm(&self.databases.order, saga).await?;
            } else {
                store::log_step(&self.databases.order, saga).await?;
            }
        }
        Ok(())
    }

    /// Does what follows from how the order ended, and forgets the saga.
    async fn finish(&self, saga: &Saga) -> Result<()> {
        if saga.undoing {
            for undo in STEPS.iter().take(saga.done).rev().filter_map(|(_, undo)| *undo) {
                self.ask(undo, saga).await?;
            }
        } else {
            let (out, dispatched) = join!(self.ask(Step::TakeOut, saga), self.ask(Step::Dispatch, saga));
            out?;
            dispatched?;
        }
        Ok(store::end(&self.databases.order_unforced, &saga.order.id).await?)
    }

    /// Asks a service until it answers, or long enough that recovery had better try.
    async fn ask(&self, step: Step, saga: &Saga) -> Result<Answer> {
        let url = format!("{}/steps/{}", self.services_url, step.name());
        let call = Call { order: saga.order.clone(), intent_id: saga.intent_id.clone() };
        let mut pause = BACKOFF;
        for _ in 1..ATTEMPTS_MAX {
            let response = self.http.post(&url).json(&call).send().await;
            match response.and_then(reqwest::Response::error_for_status) {
                Ok(response) => return Ok(response.json().await?),
                Err(error) => tracing::debug!(%error, step = step.name(), "asks again"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
        let response = self.http.post(&url).json(&call).send().await?.error_for_status()?;
        Ok(response.json().await?)
    }
}

impl Coordinate for Orchestrator {
    async fn place(&self, order: Order) -> Result<Ending> {
        store::begin(&self.databases.order, &self.id, &order).await?;
        let mut saga = Saga { order, done: 0, intent_id: None, undoing: false };
        self.carry_on(&mut saga).await?;
        let ending = if saga.undoing { Ending::Cancelled } else { Ending::Confirmed };
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.finish(&saga).await {
                tracing::warn!("a saga is left for the next start: {error:#}");
            }
        });
        Ok(ending)
    }

    async fn ending(&self, order_id: &str) -> Result<Option<Ending>> {
        Ok(match store::status(&self.databases.order, order_id).await?.as_deref() {
            Some(store::CONFIRMED) => Some(Ending::Confirmed),
            Some(store::PLACED) => None,
            // Never accepted, or undone.
            _ => Some(Ending::Cancelled),
        })
    }

    fn crash_point(&self) -> &CrashPoint {
        &self.crash_point
    }
}
