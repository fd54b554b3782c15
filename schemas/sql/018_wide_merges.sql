-- What is merged of charges is merged column by column: by rows, as parts of one file are, it takes more than twice the CPU,
-- and merging was a third of all that landing took. An insert of `land.batch_rows` (50,000) stays one file (017).
ALTER TABLE charges MODIFY SETTING min_bytes_for_wide_part = 10485760, min_rows_for_wide_part = 65536,
    vertical_merge_algorithm_min_rows_to_activate = 65536;
