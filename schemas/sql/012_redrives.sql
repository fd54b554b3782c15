-- Which dead letters were put on their topic again, by whom and why, and where their events stand now. The dead letter
-- itself stays: it is what came of the first reading.
CREATE TABLE IF NOT EXISTS redrives
(
    redrive_id     String,              -- one run of `spendstream dead-letters redrive`
    dead_letter_id String,
    redriven_at    DateTime64(6, 'UTC'),
    redriven_by    String,
    why            String,
    to_topic       LowCardinality(String),
    to_partition   Int32,
    to_offset      Int64
)
ENGINE = MergeTree
ORDER BY (dead_letter_id, redriven_at)
SETTINGS non_replicated_deduplication_window = 10000;

-- Each dead letter once, and whether it was redriven. Open: redrives = 0.
CREATE OR REPLACE VIEW dead_letter_states AS
SELECT
    d.dead_letter_id AS dead_letter_id,
    d.topic AS topic,
    d.partition AS partition,
    d.offset AS offset,
    d.index AS index,
    d.reason AS reason,
    d.field AS field,
    d.problem AS problem,
    d.event_source AS event_source,
    d.event_id AS event_id,
    d.event_type AS event_type,
    d.payload_bytes AS payload_bytes,
    d.payload_sha256 AS payload_sha256,
    d.received_at AS received_at,
    d.landed_at AS landed_at,
    r.redrives AS redrives,
    r.last.1 AS redrive_id,
    r.last.2 AS redriven_at,
    r.last.3 AS redriven_by,
    r.last.4 AS why,
    r.last.5 AS to_topic,
    r.last.6 AS to_partition,
    r.last.7 AS to_offset
FROM (SELECT * FROM dead_letters ORDER BY landed_at LIMIT 1 BY dead_letter_id) AS d
LEFT JOIN
(
    SELECT
        dead_letter_id,
        count() AS redrives,
        argMax((redrive_id, redriven_at, redriven_by, why, to_topic, to_partition, to_offset), redriven_at) AS last
    FROM redrives
    GROUP BY dead_letter_id
) AS r ON r.dead_letter_id = d.dead_letter_id
SETTINGS join_use_nulls = 0;
