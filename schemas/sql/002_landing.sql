-- Who may count an event. Every batch claims the identities it holds, and the first claim in the table's commit order
-- (`_block_number`, kept through merges) owns it: a total order, so that of two claims one wins, whoever looks and when.
-- Small granules and blocks, because a batch looks up thousands of scattered hashes.
-- How long a claim stands, and so a duplicate is recognised, is the setting clickhouse.seen_days.
CREATE TABLE IF NOT EXISTS seen
(
    key        FixedString(16),       -- BLAKE2b of what identifies the record
    batch      UInt64,                -- land_intents.batch
    claimed_at DateTime('UTC') DEFAULT now()  -- by this clock, so that no worker's wrong clock ends a claim early
)
ENGINE = MergeTree
PARTITION BY toMonday(claimed_at)
ORDER BY key
TTL claimed_at + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000, enable_block_number_column = 1, ttl_only_drop_parts = 1,
         index_granularity = 512, min_compress_block_size = 8192, max_compress_block_size = 8192;

-- A batch is written down here before anything of it is inserted, and closed after all of it is. One that is open says:
-- repeat exactly these records under this number. The digest tells whether they still are these records.
CREATE TABLE IF NOT EXISTS land_intents
(
    topic        LowCardinality(String),
    partition    Int32,
    first_offset Int64,
    last_offset  Int64,
    batch        UInt64,
    digest       String,
    saved_at     DateTime64(6, 'UTC'),
    closed       UInt8,
    noted_at     DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(closed)
ORDER BY (topic, partition, batch)
TTL noted_at + toIntervalDay(35);
