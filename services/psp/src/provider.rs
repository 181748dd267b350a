//! Carries out commands: once per idempotency key, and with the faults that the test cards ask for.

use std::sync::Arc;
use std::time::Duration;

use pavane_contract::Clock;
use tokio::time;

use crate::answer::Answer;
use crate::domain::{Card, Intent, NewIntent, Refusal, Status};
use crate::idempotency::{Key, RETENTION_SECONDS, Running};
use crate::store::{self, Error, Store, Tx};
use crate::wire::{CreateRefund, PaymentIntent, Refund};

/// How long the faults take.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// How long `pm_card_slow` takes to authorise.
    pub slow: Duration,
    /// How long the first answer for `pm_card_timeout_after_charge` is held back: longer than its client waits.
    pub hold: Duration,
}

/// Something that a client wants done.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Create(NewIntent),
    Capture { id: String },
    Cancel { id: String },
    Refund(CreateRefund),
}

/// A command and how the client calls it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) key: Option<Key>,
    /// What must be the same whenever the key is.
    pub(crate) fingerprint: String,
}

/// An answer and what is special about sending it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// It was given before.
    pub(crate) replayed: bool,
    /// Send it only after this time.
    pub(crate) hold: Duration,
}

/// The payment provider.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    pub(crate) store: Store,
    clock: Arc<dyn Clock>,
    faults: Faults,
    running: Running,
}

impl Provider {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, faults: Faults) -> Self {
        Self { store, clock, faults, running: Running::default() }
    }

    /// Carries out a request, unless its key has an answer already.
    pub(crate) async fn execute(&self, request: Request) -> Result<Reply, Error> {
        let mut claim = None;
        if let Some(key) = &request.key {
            // Claimed first: the holder of the claim sees every answer that an earlier holder saved.
            claim = self.running.claim(key);
            if claim.is_none() {
                return Ok(Reply::new(Answer::key_in_use()));
            }
            match self.store.saved_answer(key).await? {
                Some((fingerprint, answer)) if fingerprint == request.fingerprint => {
                    return Ok(Reply { replayed: true, ..Reply::new(answer) });
                }
                Some(_) => return Ok(Reply::new(Answer::key_of_another_request())),
                None => {}
            }
        }
        let reply = self.execute_new(request).await;
        drop(claim);
        reply
    }

    async fn execute_new(&self, Request { command, key, fingerprint }: Request) -> Result<Reply, Error> {
        let card = if let Command::Create(new) = &command { Some(new.card) } else { None };
        if let (Some(Card::ErrorOnce), Some(key)) = (card, &key)
            && self.store.fail_once(key, self.now()).await?
        {
            return Ok(Reply::new(Answer::internal()));
        }
        if card == Some(Card::Slow) {
            time::sleep(self.faults.slow).await;
        }
        let mut tx = self.store.begin().await?;
        let answer = self.apply(&mut tx, command).await?;
        if let Some(key) = &key {
            store::save_answer(&mut tx, key, &fingerprint, &answer, self.now()).await?;
            store::forget_keys(&mut tx, self.now() - RETENTION_SECONDS).await?;
        }
        tx.commit().await?;
        let hold = if card == Some(Card::TimeoutAfterCharge) { self.faults.hold } else { Duration::ZERO };
        Ok(Reply { hold, ..Reply::new(answer) })
    }

    async fn apply(&self, tx: &mut Tx, command: Command) -> Result<Answer, Error> {
        match command {
            Command::Create(new) => self.create(tx, new).await,
            Command::Capture { id } => change(tx, &id, Intent::capture).await,
            Command::Cancel { id } => change(tx, &id, Intent::cancel).await,
            Command::Refund(request) => self.refund(tx, request).await,
        }
    }

    async fn create(&self, tx: &mut Tx, new: NewIntent) -> Result<Answer, Error> {
        let intent = Intent::authorize(new, self.id("pi"), self.now());
        store::insert_intent(tx, &intent).await?;
        Ok(match intent.status {
            Status::RequiresPaymentMethod => Answer::refused(Refusal::Declined, &intent),
            Status::RequiresCapture | Status::Canceled | Status::Succeeded => Answer::ok(&PaymentIntent::from(&intent)),
        })
    }

    async fn refund(
        &self,
        tx: &mut Tx,
        CreateRefund { payment_intent, amount }: CreateRefund,
    ) -> Result<Answer, Error> {
        let Some(mut intent) = store::intent(tx, &payment_intent).await? else {
            return Ok(Answer::no_such_intent(400, "payment_intent", &payment_intent));
        };
        let amount = match intent.refund(amount) {
            Ok(amount) => amount,
            Err(refusal) => return Ok(Answer::refused(refusal, &intent)),
        };
        let refund = Refund {
            id: self.id("re"),
            object: "refund".to_owned(),
            amount,
            currency: intent.currency.clone(),
            payment_intent,
            status: "succeeded".to_owned(),
            created: self.now(),
        };
        store::update_intent(tx, &intent).await?;
        store::insert_refund(tx, &refund).await?;
        Ok(Answer::ok(&refund))
    }

    fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{:016x}{:016x}", self.clock.random(), self.clock.random())
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }
}

impl Reply {
    const fn new(answer: Answer) -> Self {
        Self { answer, replayed: false, hold: Duration::ZERO }
    }
}

async fn change(tx: &mut Tx, id: &str, rule: impl FnOnce(&mut Intent) -> Result<(), Refusal>) -> Result<Answer, Error> {
    let Some(mut intent) = store::intent(tx, id).await? else {
        return Ok(Answer::no_such_intent(404, "intent", id));
    };
    if let Err(refusal) = rule(&mut intent) {
        return Ok(Answer::refused(refusal, &intent));
    }
    store::update_intent(tx, &intent).await?;
    Ok(Answer::ok(&PaymentIntent::from(&intent)))
}
