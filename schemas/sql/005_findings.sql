-- Every revision of every finding and alert, each once. The newest of each: views findings_current, alerts_current.
CREATE TABLE IF NOT EXISTS findings
(
    finding_id                       String,
    revision                         UInt32,
    status                           LowCardinality(String),
    kind                             LowCardinality(String),
    meter                            LowCardinality(String),
    series                           Map(LowCardinality(String), String),
    cadence_seconds                  UInt32,
    opened_at                        DateTime64(6, 'UTC'),
    detected_at                      DateTime64(6, 'UTC'),
    last_seen_at                     DateTime64(6, 'UTC'),
    closed_at                        Nullable(DateTime64(6, 'UTC')),
    expected_usd_per_hour            Decimal(38, 18),
    observed_usd_per_hour            Decimal(38, 18),
    excess_usd                       Decimal(38, 18),
    projected_usd_24h                Decimal(38, 18),
    score                            Float64,
    severity                         LowCardinality(String),
    drivers                          Array(Tuple(series Map(String, String), excess_usd Decimal(38, 18), share Float64)),
    decomposition_volume             Nullable(Decimal(38, 18)),
    decomposition_tokens_per_request Nullable(Decimal(38, 18)),
    decomposition_unit_price         Nullable(Decimal(38, 18)),
    decomposition_mix                Nullable(Decimal(38, 18)),
    cause                            LowCardinality(String),
    explanation                      String,
    remedies                         Array(String),
    landed_at                        DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(opened_at)
ORDER BY (finding_id, revision)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS alerts
(
    alert_id                         String,
    revision                         UInt32,
    status                           LowCardinality(String),
    finding_id                       String,
    kind                             LowCardinality(String),
    meter                            LowCardinality(String),
    series                           Map(LowCardinality(String), String),
    opened_at                        DateTime64(6, 'UTC'),
    detected_at                      DateTime64(6, 'UTC'),
    updated_at                       DateTime64(6, 'UTC'),
    resolved_at                      Nullable(DateTime64(6, 'UTC')),
    severity                         LowCardinality(String),
    title                            String,
    explanation                      String,
    excess_usd                       Decimal(38, 18),
    expected_usd_per_hour            Decimal(38, 18),
    observed_usd_per_hour            Decimal(38, 18),
    projected_usd_24h                Decimal(38, 18),
    drivers                          Array(Tuple(series Map(String, String), excess_usd Decimal(38, 18), share Float64)),
    decomposition_volume             Nullable(Decimal(38, 18)),
    decomposition_tokens_per_request Nullable(Decimal(38, 18)),
    decomposition_unit_price         Nullable(Decimal(38, 18)),
    decomposition_mix                Nullable(Decimal(38, 18)),
    cause                            LowCardinality(String),
    remedies                         Array(String),
    findings                         Array(String),
    landed_at                        DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(opened_at)
ORDER BY (alert_id, revision)
SETTINGS non_replicated_deduplication_window = 10000;
