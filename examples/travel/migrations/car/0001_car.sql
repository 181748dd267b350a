create table car (
    trip uuid not null primary key,
    hold uuid not null unique,
    cents bigint not null,
    status text not null default 'held' check (status in ('held', 'booked', 'released')),
    held_at timestamptz not null
);
