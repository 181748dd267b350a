-- One parcel for each order. It is handed over or cancelled, never both: the order's outcome excludes one of them.
create table shipment (
    order_id text not null primary key,
    country text not null,
    carrier text not null,
    tracking text not null,
    status text not null check (status in ('created', 'dispatched', 'cancelled'))
);

create index shipment_status on shipment (status);
