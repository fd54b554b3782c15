-- A batch of charges is one file instead of two for each column: 20,000 rows are more than ClickHouse's 10 MiB beyond which
-- it parts the columns, and making and removing some 150 files took more than half of what a batch cost. Of what is merged
-- beyond 256 MiB (before compression) the columns lie apart again.
ALTER TABLE charges MODIFY SETTING min_bytes_for_wide_part = 268435456;
