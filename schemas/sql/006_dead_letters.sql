-- Events that could not be charged: where they stand and why, never their content.
CREATE TABLE IF NOT EXISTS dead_letters
(
    dead_letter_id String,
    topic          LowCardinality(String),
    partition      Int32,
    offset         Int64,
    `index`        Nullable(Int64),
    reason         LowCardinality(String),
    field          LowCardinality(String),
    problem        String,
    event_source   String,
    event_id       String,
    event_type     LowCardinality(String),
    payload_bytes  UInt64,
    payload_sha256 String,
    received_at    DateTime64(6, 'UTC'),
    landed_at      DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(received_at)
ORDER BY (received_at, dead_letter_id)
SETTINGS non_replicated_deduplication_window = 10000;
