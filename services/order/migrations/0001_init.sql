-- Runs on SQLite and PostgreSQL alike: only text and bigint. Times are microseconds since the Unix epoch.

create table orders (
    id text not null primary key,
    email text not null,
    currency text not null,
    total_minor bigint not null check (total_minor > 0),
    -- The lines as JSON: they are written once and only ever read as a whole.
    lines text not null,
    -- What is known about the order, one bit a fact. Only ever grows.
    facts bigint not null,
    -- What the facts amount to, kept beside them so that orders can be found by it.
    status text not null,
    -- Counts the facts.
    version bigint not null,
    -- Why it was cancelled; empty unless it was.
    cancel_reason text not null default '',
    placed_at bigint not null,
    deadline_at bigint not null
);

create index orders_by_status on orders (status, id);

create table order_history (
    order_id text not null references orders (id),
    version bigint not null,
    fact text not null,
    recorded_at bigint not null,
    primary key (order_id, version)
);

create table idempotency_keys (
    key text not null primary key,
    -- Tells the request that the key was first used for from others.
    fingerprint text not null,
    -- The order that it placed.
    order_id text not null,
    -- The answer, given again as it was.
    body text not null,
    created_at bigint not null
);

create index idempotency_keys_by_age on idempotency_keys (created_at);
