-- Events that a reaction has handled. Written in the handler's own transaction.
create table pavane_inbox (
    reaction text not null,
    event_id text not null,
    handled_at integer not null,
    -- Not handled but given up on: which message that was. A redrive is another message, and forgets the row.
    given_up text,
    primary key (reaction, event_id)
) without rowid;
create index pavane_inbox_handled on pavane_inbox (handled_at);

-- Where each step of each saga stands. Written by reactions, and by entry points that are steps. A step that has items has a row for
-- each, and one for itself: gathering while items may come, barred after an undo.
create table pavane_ledger (
    saga text not null,
    step text not null,
    -- Which of the step's items it is; empty for the step itself.
    item text not null default '',
    -- A join that lacks events is gathering.
    state text not null check (state in ('running', 'done', 'undone', 'barred', 'gathering')),
    -- The event that made the step run; null when its undo came first, and of an entry point.
    event_id text,
    -- The event that the step emitted and that its undo is for, as CloudEvents JSON; null when it said no.
    kept blob,
    changed_at integer not null,
    primary key (saga, step, item)
);
-- For pruning, which never takes a running step: whether there is something to undo isn't known yet.
create index pavane_ledger_changed on pavane_ledger (changed_at) where state <> 'running';

-- The events that a join has so far. Written under the lock of its row in the ledger, and forgotten after it.
create table pavane_part (
    saga text not null,
    step text not null,
    -- The event's name. Of which part of the join it is, the wiring table says.
    part text not null,
    -- Where a part is an event of every item: which item this one is about, and of how many: 2/5. Empty otherwise.
    item text not null default '',
    event_id text not null,
    -- The event, as CloudEvents JSON.
    event blob not null,
    arrived_at integer not null,
    -- An event counts once, however often it is emitted.
    primary key (saga, step, part, item)
);
create index pavane_part_arrived on pavane_part (arrived_at);

-- How often a reaction failed on an event.
create table pavane_attempt (
    reaction text not null,
    event_id text not null,
    attempts integer not null,
    first_failed_at integer not null,
    last_failed_at integer not null,
    primary key (reaction, event_id)
);
create index pavane_attempt_failed on pavane_attempt (last_failed_at);

-- Dead letters that wait to be published. Written in the transaction that gives up on the event.
create table pavane_dead_letter (
    -- Never used again: another instance may still be about to delete the letter that had it.
    id integer primary key autoincrement,
    message_id text not null unique,
    reaction text not null,
    subject text not null,
    -- JSON: [[name, value], …]
    headers text not null,
    body blob not null,
    kept_at integer not null,
    -- How often publishing it failed, and why the last time.
    attempts integer not null default 0,
    failure text,
    -- When it was published without its body, which would not have fitted into a message.
    cut_at integer
);
create index pavane_dead_letter_waiting on pavane_dead_letter (attempts, id) where cut_at is null;
create index pavane_dead_letter_cut on pavane_dead_letter (cut_at) where cut_at is not null;

-- Undos that came while their step was running, or before another undo that comes first. They wait here, as they were
-- delivered, until the step's row says that they may go on. Never pruned.
create table pavane_waiting (
    reaction text not null,
    event_id text not null,
    saga text not null,
    step text not null,
    subject text not null,
    -- JSON: [[name, value], …]
    headers text not null,
    body blob not null,
    -- Where the event is in the stream.
    sequence integer not null,
    since integer not null,
    -- Not to be looked at before.
    next_at integer not null,
    taken integer not null default 0,
    -- 1: it waits until the step is undone or barred, as its own undo comes after that one. 0: until it is no longer running.
    after_undo integer not null default 0,
    primary key (reaction, event_id)
);
create index pavane_waiting_since on pavane_waiting (reaction, since);

-- When an effect that is no step was called: its provider may forget the key. A step's row in the ledger has that time.
create table pavane_call (
    reaction text not null,
    event_id text not null,
    first_called_at integer not null,
    last_called_at integer not null,
    primary key (reaction, event_id)
);
create index pavane_call_called on pavane_call (last_called_at);

-- How far each reaction has read the stream of events, to notice what expired before it was read. Never pruned.
create table pavane_read (
    reaction text primary key,
    -- When the stream was created: another time is another stream.
    stream integer not null,
    -- Up to this sequence nothing is left to read.
    read_to integer not null,
    -- At most so many events expired unread, and when that was noticed last.
    expired integer not null default 0,
    expired_at integer not null default 0
);
