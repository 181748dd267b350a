-- The time in microseconds since the Unix epoch, as it is stored everywhere: by the clock that all instances have in common.
-- Compared with in a subquery, so that an index can be used.
create or replace function pavane_now() returns bigint language sql volatile as
    $$ select (extract(epoch from clock_timestamp()) * 1000000)::bigint $$;

-- Events that left with a committed state change: those that wait to be published, and those published not long ago.
-- Never updated, so that a large event is written once.
create table pavane_outbox (
    seq bigint generated always as identity primary key,
    event_id uuid not null,
    subject text not null,
    -- JSON: [[name, value], …]
    headers text not null,
    payload bytea not null,
    emitted_at bigint not null,
    -- Set when the broker will never take it.
    refused text
);
create index pavane_outbox_refused on pavane_outbox (seq) where refused is not null;

-- Which of them wait to be published.
-- Its rows come and go: vacuum it often, it is small.
create table pavane_unsent (
    seq bigint primary key
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);

-- What the broker has acknowledged, a row for each batch, until the durability horizon has passed.
create table pavane_sent (
    id bigint generated always as identity primary key,
    sent_at bigint not null,
    stream_created bigint not null,
    stream_first bigint not null,
    stream_last bigint not null,
    -- JSON: [[outbox sequence, stream sequence], …]
    acknowledged text not null
);
create index pavane_sent_at on pavane_sent (sent_at);
create index pavane_sent_stream on pavane_sent (stream_last);

-- Events whose time has not come. They move to the outbox when it has.
create table pavane_timer (
    event_id uuid primary key,
    saga uuid not null,
    -- The event's name: what a saga cancels is found by it.
    event text not null,
    subject text not null,
    headers text not null,
    payload bytea not null,
    due_at bigint not null
);
create index pavane_timer_due on pavane_timer (due_at);
create index pavane_timer_saga on pavane_timer (saga, event);

-- One row per saga that has an outcome. The primary key is the guarantee: the first one committed wins.
create table pavane_outcome (
    saga uuid primary key,
    event text not null,
    decided_at bigint not null
);
create index pavane_outcome_decided on pavane_outcome (decided_at);

-- Questions to people, each with its answer. The primary key is the guarantee: a saga asks once at an entry point. An answer locks
-- the row: of two at once, the second waits, and finds the first one's.
create table pavane_question (
    saga uuid not null,
    -- The entry point that answers.
    entry text not null,
    -- The event that asks, as in the outbox.
    event_id uuid not null,
    headers text not null,
    payload bytea not null,
    asked_at bigint not null,
    answered_at bigint,
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
    expires_at bigint not null
);
