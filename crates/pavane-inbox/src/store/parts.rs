//! The SQL of joins: which events each has so far.

use std::collections::HashMap;

use pavane_choreography::{JoinPart, ledger::State};
use pavane_contract::{EventId, Item, RawEnvelope, SagaId, codec};
use pavane_outbox::{Arg, Database, Error, Statement, Tx, Values};

use super::{Step, decode, parsed, set, step_row, text};

/// An event that a join has, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The event's name.
    event: String,
    /// Which item it is about, where the join waits for the event of every item.
    pub(crate) item: Option<Item>,
    pub(crate) event_id: EventId,
}

impl Part {
    pub(crate) fn of(event: &RawEnvelope, item: Option<Item>) -> Self {
        Self { event: event.meta.event.name.clone(), item, event_id: event.meta.id }
    }

    /// Whether it is an event of a part.
    pub(crate) fn is_of(&self, part: &JoinPart) -> bool {
        part.events().iter().any(|event| event.name == self.event)
    }

    /// The item as it is stored: with how many there are, so that a join knows when it has all without reading the events.
    fn item(&self) -> String {
        self.item.map(|item| format!("{}/{}", item.number(), item.count())).unwrap_or_default()
    }
}

/// Locks the rows of a join for some sagas, and returns them. Where there is none, the join is gathering from now on.
///
/// Two events of one join meet here: the second waits for the first to end, and then finds its part.
pub(crate) async fn gather<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashMap<SagaId, Step>, Error> {
    const GATHER: Statement = Statement {
        postgres: "insert into pavane_ledger (saga, step, state, changed_at) \
                   select distinct id, $1, 'gathering', (select pavane_now()) from unnest($2::uuid[]) as ids (id) order by id \
                   on conflict (saga, step, item) do update set changed_at = case pavane_ledger.state \
                   when 'gathering' then excluded.changed_at else pavane_ledger.changed_at end \
                   returning saga::text, state, event_id::text, kept",
        sqlite: "insert into pavane_ledger (saga, step, state, changed_at) \
                 select distinct value, $1, 'gathering', $3 from json_each($2) where true order by value \
                 on conflict (saga, step, item) do update set changed_at = case pavane_ledger.state \
                 when 'gathering' then excluded.changed_at else pavane_ledger.changed_at end \
                 returning saga, state, event_id, kept",
    };
    let args = tx.db().timed(vec![step.into(), set(sagas)]);
    let sql = GATHER.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, args).await?;
    rows.iter().map(step_row::<DB>).collect()
}

/// Keeps events as parts of their joins, whose rows are locked. Of which part an event is, the wiring table says each time: one
/// that waits for more alternatives than before finds what it has.
pub(crate) async fn keep_parts<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    parts: &[(Part, &RawEnvelope)],
) -> Result<(), Error> {
    const KEEP: Statement = Statement {
        postgres: "insert into pavane_part (saga, step, part, item, event_id, event, arrived_at) \
                   select saga, $1, part, item, event_id, event, (select pavane_now()) \
                   from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::bytea[]) \
                   as parts (saga, part, item, event_id, event) order by saga, part, item on conflict do nothing",
        sqlite: "insert into pavane_part (saga, step, part, item, event_id, event, arrived_at) \
                 select value ->> 0, $1, value ->> 1, value ->> 2, value ->> 3, unhex(value ->> 4), $3 from json_each($2) where true \
                 on conflict do nothing",
    };
    let sagas = parts.iter().map(|(_, event)| event.meta.cause.saga.as_uuid()).collect();
    let names = parts.iter().map(|(part, _)| part.event.clone()).collect();
    let items = parts.iter().map(|(part, _)| part.item()).collect();
    let ids = parts.iter().map(|(part, _)| part.event_id.as_uuid()).collect();
    let json = |event: &RawEnvelope| Ok(codec::to_json(event)?.into());
    let bodies = parts.iter().map(|(_, event)| json(event)).collect::<Result<_, codec::Error>>()?;
    let columns =
        vec![Values::Ids(sagas), Values::Texts(names), Values::Texts(items), Values::Ids(ids), Values::Bytes(bodies)];
    let args = tx.db().timed(vec![step.into(), Arg::Rows(columns)]);
    let sql = KEEP.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, args).await?;
    Ok(())
}

/// Which events joins have, by saga.
pub(crate) async fn parts<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashMap<SagaId, Vec<Part>>, Error> {
    const PARTS: Statement = Statement {
        postgres: "select saga::text, part, item, event_id::text from pavane_part where step = $1 and saga = any ($2::uuid[])",
        sqlite: "select saga, part, item, event_id from pavane_part \
                 where step = $1 and saga in (select value from json_each($2))",
    };
    let sql = PARTS.on(tx.db().dialect());
    let mut parts: HashMap<SagaId, Vec<Part>> = HashMap::new();
    for row in &DB::fetch(tx.conn(), sql, vec![step.into(), set(sagas)]).await? {
        let item = text::<DB>(row, 2)?;
        let part = Part { event: text::<DB>(row, 1)?, item: read_item(&item)?, event_id: parsed::<DB, _>(row, 3)? };
        parts.entry(parsed::<DB, _>(row, 0)?).or_default().push(part);
    }
    Ok(parts)
}

fn read_item(stored: &str) -> Result<Option<Item>, Error> {
    if stored.is_empty() {
        return Ok(None);
    }
    let numbers = stored.split_once('/').and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
    let item = numbers.and_then(|(number, count)| Item::new(number, count));
    item.map(Some).ok_or_else(|| decode(format!("unknown item {stored:?}")))
}

/// The events that joins have, by saga.
pub(crate) async fn part_events<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashMap<SagaId, Vec<RawEnvelope>>, Error> {
    const EVENTS: Statement = Statement {
        postgres: "select saga::text, event from pavane_part where step = $1 and saga = any ($2::uuid[])",
        sqlite: "select saga, event from pavane_part where step = $1 and saga in (select value from json_each($2))",
    };
    let sql = EVENTS.on(tx.db().dialect());
    let mut events: HashMap<SagaId, Vec<RawEnvelope>> = HashMap::new();
    for row in &DB::fetch(tx.conn(), sql, vec![step.into(), set(sagas)]).await? {
        let event = codec::from_json(&DB::bytes(row, 1)?.unwrap_or_default())?;
        events.entry(parsed::<DB, _>(row, 0)?).or_default().push(event);
    }
    Ok(events)
}

/// Moves joins on of which nothing is missing any more, each with the event that came last.
pub(crate) async fn complete<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    joins: &[(SagaId, EventId)],
    state: State,
) -> Result<(), Error> {
    // The condition names the sagas although the join does: without statistics, the planner would read the whole table instead.
    const COMPLETE: Statement = Statement {
        postgres: "update pavane_ledger set state = $2, event_id = last.event_id, changed_at = pavane_now() \
                   from unnest($3::uuid[], $4::uuid[]) as last (saga, event_id) \
                   where step = $1 and item = '' and pavane_ledger.saga = any ($3::uuid[]) \
                   and pavane_ledger.saga = last.saga",
        sqlite: "update pavane_ledger set state = $2, event_id = last.event_id, changed_at = $4 \
                 from (select value ->> 0 as saga, value ->> 1 as event_id from json_each($3)) as last \
                 where step = $1 and item = '' and pavane_ledger.saga = last.saga",
    };
    let sagas = Values::Ids(joins.iter().map(|(saga, _)| saga.as_uuid()).collect());
    let events = Values::Ids(joins.iter().map(|(_, event)| event.as_uuid()).collect());
    let args = tx.db().timed(vec![step.into(), state.as_str().into(), Arg::Rows(vec![sagas, events])]);
    let sql = COMPLETE.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, args).await?;
    Ok(())
}

/// Bars a join that gave up. `false` when it has run, or was barred, before.
pub(crate) async fn bar_join<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    saga: SagaId,
    event: EventId,
) -> Result<bool, Error> {
    const BAR: Statement = Statement {
        postgres: "update pavane_ledger set state = 'barred', event_id = $3::uuid, changed_at = pavane_now() \
                   where saga = $1::uuid and step = $2 and item = '' and state in ('gathering', 'running')",
        sqlite: "update pavane_ledger set state = 'barred', event_id = $3, changed_at = $4 \
                 where saga = $1 and step = $2 and item = '' and state in ('gathering', 'running')",
    };
    let args = tx.db().timed(vec![saga.to_string().into(), step.into(), event.to_string().into()]);
    let sql = BAR.on(tx.db().dialect());
    Ok(DB::execute(tx.conn(), sql, args).await? == 1)
}

/// Lets a join gather again whose effect is known not to have happened, as if the event that completed it had not come: its undo
/// then bars the join, and a redrive of that event may run it.
pub(crate) async fn gather_again<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    saga: SagaId,
    event: EventId,
) -> Result<(), Error> {
    const AGAIN: Statement = Statement {
        postgres: "update pavane_ledger set state = 'gathering', event_id = null \
                   where saga = $1::uuid and step = $2 and item = '' and state = 'running'",
        sqlite: "update pavane_ledger set state = 'gathering', event_id = null \
                 where saga = $1 and step = $2 and item = '' and state = 'running'",
    };
    const TAKE_BACK: Statement = Statement {
        postgres: "delete from pavane_part where saga = $1::uuid and step = $2 and event_id = $3::uuid",
        sqlite: "delete from pavane_part where saga = $1 and step = $2 and event_id = $3",
    };
    let dialect = tx.db().dialect();
    let join = || vec![saga.to_string().into(), step.into()];
    if DB::execute(tx.conn(), AGAIN.on(dialect), join()).await? == 1 {
        DB::execute(tx.conn(), TAKE_BACK.on(dialect), [join(), vec![event.to_string().into()]].concat()).await?;
    }
    Ok(())
}
