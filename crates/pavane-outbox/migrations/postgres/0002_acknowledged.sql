-- It is written and read once, and deleted ten minutes later: not worth compressing.
alter table pavane_sent alter column acknowledged set storage external;
