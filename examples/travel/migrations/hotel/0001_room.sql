create table room (
    trip uuid not null primary key,
    hold uuid not null unique,
    hotel text not null,
    cents bigint not null,
    status text not null default 'held' check (status in ('held', 'booked', 'released')),
    held_until timestamptz not null
);
