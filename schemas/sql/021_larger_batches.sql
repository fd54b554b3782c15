-- A batch of charges has up to 100,000 rows now (`land.batch_rows`), which 018 would part into a file for each column: with
-- these `land` took a third more. What is merged beyond 131,072 rows lies by column.
ALTER TABLE charges MODIFY SETTING min_rows_for_wide_part = 131072;
