-- A charge is merged less often: parts of one size by tens, where ClickHouse's own number is five. To merge a row takes some
-- 2 us of CPU, and how often it happens goes by the logarithm to this base. In turn a query has up to twice as many parts.
ALTER TABLE charges MODIFY SETTING merge_selector_base = 10;
