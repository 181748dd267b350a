-- Events that left with a committed state change: those that wait to be published, and those published not long ago.
-- Never updated, so that a large event is written once.
create table pavane_outbox (
    seq integer primary key autoincrement,
    event_id text not null,
    subject text not null,
    -- JSON: [[name, value], …]
    headers text not null,
    payload blob not null,
    emitted_at integer not null,
    -- Set when the broker will never take it.
    refused text
);
create index pavane_outbox_refused on pavane_outbox (seq) where refused is not null;

-- Which of them wait to be published.
create table pavane_unsent (
    seq integer primary key
);
-- A statement can't insert into two tables here.
create trigger pavane_outbox_unsent after insert on pavane_outbox begin
    insert into pavane_unsent (seq) values (new.seq);
end;

-- What the broker has acknowledged, a row for each batch, until the durability horizon has passed.
create table pavane_sent (
    id integer primary key autoincrement,
    sent_at integer not null,
    stream_created integer not null,
    stream_first integer not null,
    stream_last integer not null,
    -- JSON: [[outbox sequence, stream sequence], …]
    acknowledged text not null
);
create index pavane_sent_at on pavane_sent (sent_at);
create index pavane_sent_stream on pavane_sent (stream_last);

-- Events whose time has not come. They move to the outbox when it has.
create table pavane_timer (
    event_id text primary key,
    saga text not null,
    -- The event's name: what a saga cancels is found by it.
    event text not null,
    subject text not null,
    headers text not null,
    payload blob not null,
    due_at integer not null
);
create index pavane_timer_due on pavane_timer (due_at);
create index pavane_timer_saga on pavane_timer (saga, event);

-- One row per saga that has an outcome. The primary key is the guarantee: the first one committed wins.
create table pavane_outcome (
    saga text primary key,
    event text not null,
    decided_at integer not null
);
create index pavane_outcome_decided on pavane_outcome (decided_at);

-- Questions to people, each with its answer. The primary key is the guarantee: a saga asks once at an entry point. Of two
-- answers at once the second waits for the first, as for any writer, and finds it.
create table pavane_question (
    saga text not null,
    -- The entry point that answers.
    entry text not null,
    -- The event that asks, as in the outbox.
    event_id text not null,
    headers text not null,
    payload blob not null,
    asked_at integer not null,
    answered_at integer,
    -- A person, as the service names them.
    answered_by text,
    -- The name of the event that answers.
    answer text,
    primary key (saga, entry)
);
create index pavane_question_asked on pavane_question (asked_at);
create index pavane_question_open on pavane_question (entry, asked_at) where answered_at is null;

-- Which instance's relay is the one that publishes.
create table pavane_relay_lease (
    id integer primary key check (id = 1),
    owner text not null,
    expires_at integer not null
);
