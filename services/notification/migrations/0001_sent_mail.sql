-- What was sent, for whoever asks; nothing depends on it. Times are microseconds since the Unix epoch.
create table sent_mail (
    message_id text primary key,
    order_id text not null,
    kind text not null,
    recipient text not null,
    sent_at bigint not null
);

create index sent_mail_by_order on sent_mail (order_id);
