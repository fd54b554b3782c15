-- A re-price writes its corrections down here before anything of them is claimed or landed, so that one that was cut off
-- is completed as it was meant, whatever prices and rules have become since.
CREATE TABLE IF NOT EXISTS reprice_staged
(
    batch    UInt64,                    -- land_intents.batch
    number   UInt32,
    value    String CODEC(ZSTD(3)),     -- schemas.records.Correction
    noted_at DateTime('UTC') DEFAULT now()
)
ENGINE = MergeTree
ORDER BY (batch, number)
TTL noted_at + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000;

-- Who re-priced what, when and why. The rows it landed carry the reprice_id.
CREATE TABLE IF NOT EXISTS reprices
(
    reprice_id   String,
    asked_by     String,
    reason       String,
    period_start DateTime64(6, 'UTC'),
    period_end   DateTime64(6, 'UTC'),
    begun_at     DateTime64(6, 'UTC'),
    finished_at  Nullable(DateTime64(6, 'UTC')),  -- NULL: under way, or cut off
    events       UInt64,                          -- read
    corrected    UInt64                           -- of them
)
ENGINE = ReplacingMergeTree
ORDER BY reprice_id
SETTINGS non_replicated_deduplication_window = 10000;

-- Charges as they stand: what no correction took back.
CREATE OR REPLACE VIEW charges_current AS
SELECT *, meter
FROM charges
WHERE sign = 1
    AND (time, source, id, revision + 1) NOT IN (SELECT time, source, id, revision FROM charges WHERE sign = -1);

-- The old and the new value of each re-priced event, and who changed it, when and why.
CREATE OR REPLACE VIEW repriced_events AS
SELECT
    c.source AS source, c.id AS id, c.revision AS revision, c.time AS time, c.meter AS meter,
    anyIf(c.currency, c.sign < 0) AS currency_before,
    anyIf(c.currency, c.sign > 0) AS currency_after,
    -sumIf(c.effective_cost, c.sign < 0) AS effective_cost_before,
    sumIf(c.effective_cost, c.sign > 0) AS effective_cost_after,
    anyIf(c.price_status, c.sign < 0) AS price_status_before,
    anyIf(c.price_status, c.sign > 0) AS price_status_after,
    anyIf(c.price_source, c.sign < 0) AS price_source_before,
    anyIf(c.price_source, c.sign > 0) AS price_source_after,
    anyIf(c.price_version, c.sign < 0) AS price_version_before,
    anyIf(c.price_version, c.sign > 0) AS price_version_after,
    arraySort(groupUniqArrayIf(toString(c.team), c.sign < 0)) AS teams_before,
    arraySort(groupUniqArrayIf(toString(c.team), c.sign > 0)) AS teams_after,
    c.reprice_id AS reprice_id,
    any(r.asked_by) AS asked_by, any(r.reason) AS reason, max(c.landed_at) AS landed_at
FROM charges AS c
LEFT JOIN (SELECT reprice_id, any(asked_by) AS asked_by, any(reason) AS reason FROM reprices GROUP BY reprice_id) AS r
    ON r.reprice_id = c.reprice_id
WHERE c.revision > 0
GROUP BY source, id, revision, time, meter, reprice_id;
