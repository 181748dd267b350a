create table invoices (
    id bigint generated always as identity primary key,
    customer text not null,
    cents bigint not null,
    reminders timestamptz[] not null default '{}',
    is_paid boolean not null default false
);
