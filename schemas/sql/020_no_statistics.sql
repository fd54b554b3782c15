-- ClickHouse 26.4 and later make statistics of every column at each merge, to plan queries by. That took a seventh of what
-- merging charges takes, and what our queries look for is found by the table's order and its index.
ALTER TABLE charges MODIFY SETTING auto_statistics_types = '';
ALTER TABLE seen MODIFY SETTING auto_statistics_types = '';
