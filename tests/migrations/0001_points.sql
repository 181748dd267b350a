create table points (order_id text primary key, email text not null, points bigint not null);
