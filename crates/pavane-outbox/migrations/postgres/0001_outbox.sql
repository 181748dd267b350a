-- Events that left with a committed state change and wait to be published, and those published not long ago.
create table pavane_outbox (
    seq bigint generated always as identity primary key,
    event_id uuid not null unique,
    subject text not null,
    headers text not null,
    payload text not null,
    emitted_at bigint not null,
    -- Set when the broker has acknowledged it: when, and where it stands in which stream.
    sent_at bigint,
    stream_created bigint,
    stream_seq bigint,
    -- Set when the broker will never take it.
    refused text
);
create index pavane_outbox_unsent on pavane_outbox (seq) where sent_at is null and refused is null;
create index pavane_outbox_sent on pavane_outbox (sent_at) where sent_at is not null;
create index pavane_outbox_stream on pavane_outbox (stream_seq) where stream_seq is not null;

-- Events whose time has not come. They move to the outbox when it has.
create table pavane_timer (
    event_id uuid primary key,
    subject text not null,
    headers text not null,
    payload text not null,
    due_at bigint not null
);
create index pavane_timer_due on pavane_timer (due_at);

-- One row per saga that has a verdict. The primary key is the guarantee: the first one committed wins.
create table pavane_verdict (
    saga uuid primary key,
    event text not null,
    decided_at bigint not null
);
create index pavane_verdict_decided on pavane_verdict (decided_at);

-- Which instance's relay is the one that publishes.
create table pavane_relay_lease (
    id integer primary key check (id = 1),
    owner text not null,
    expires_at bigint not null
);
