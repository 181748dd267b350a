-- How much there is of each thing. The constraint is the last guard against overselling: the statements never try.
create table stock (
    sku text not null primary key,
    on_hand bigint not null,
    reserved bigint not null,
    shipped bigint not null,
    check (reserved >= 0 and reserved <= on_hand),
    check (shipped >= 0)
);

-- What is held for each order, or was: releasing and shipping move exactly what was taken.
create table reservation (
    order_id text not null primary key,
    state text not null check (state in ('held', 'released', 'shipped'))
);

create table reservation_line (
    order_id text not null references reservation (order_id),
    sku text not null references stock (sku),
    quantity bigint not null check (quantity > 0),
    primary key (order_id, sku)
);
