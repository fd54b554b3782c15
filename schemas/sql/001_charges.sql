-- One row per usage event, or per owner's part of a split one. Exact without FINAL: the land stage inserts an event once.
-- A row is never changed. A re-price takes an event's rows back by rows of `sign` -1, whose costs and quantities are
-- negative, and adds the new ones: so every plain sum is right. Count by sum(sign), not by count().
-- Money is in `currency`; NULL means not known, never zero.
-- The window makes a retried insert (same token) add nothing: https://clickhouse.com/docs/guides/developer/deduplicating-inserts-on-retries
CREATE TABLE IF NOT EXISTS charges
(
    source                        String,
    id                            String,
    type                          LowCardinality(String),
    meter                         LowCardinality(String) MATERIALIZED extract(type, '^spendstream\\.(\\w+)\\.v'),
    time                          DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    received_at                   DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    landed_at                     DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    period_start                  DateTime64(6, 'UTC') CODEC(Delta, ZSTD),
    period_end                    DateTime64(6, 'UTC') CODEC(Delta, ZSTD),

    provider                      LowCardinality(String),
    service                       LowCardinality(String),
    model                         LowCardinality(String),
    sku                           LowCardinality(String),
    sku_id                        LowCardinality(String),
    region                        LowCardinality(String),
    account                       LowCardinality(String),
    account_name                  LowCardinality(String),
    resource                      String,
    resource_name                 String,
    commitment                    String,
    operation                     LowCardinality(String),
    cluster                       LowCardinality(String),
    namespace                     LowCardinality(String),
    workload                      String,
    accelerator                   LowCardinality(String),
    capacity_type                 LowCardinality(String),
    service_tier                  LowCardinality(String),
    batch                         Bool,
    charge_category               LowCardinality(String),
    charge_class                  LowCardinality(String),
    charge_description            String,

    requests                      Int64,
    input_tokens                  Int64,
    output_tokens                 Int64,
    cache_read_input_tokens       Int64,
    cache_creation_input_tokens   Int64,
    cache_creation_1h_input_tokens Int64,
    reasoning_output_tokens       Int64,
    counts                        Map(LowCardinality(String), Decimal(38, 18)),
    price_context                 Map(LowCardinality(String), String),
    gpu_minutes                   Nullable(Decimal(38, 18)),
    utilization                   Nullable(Float64),
    quantity                      Nullable(Decimal(38, 18)),
    unit                          LowCardinality(String),

    currency                      LowCardinality(String),
    list_cost                     Nullable(Decimal(38, 18)),
    contracted_cost               Nullable(Decimal(38, 18)),
    effective_cost                Nullable(Decimal(38, 18)),
    billed_cost                   Nullable(Decimal(38, 18)),
    effective_cost_usd            Nullable(Decimal(38, 18)),  -- what rollups sum
    estimated_cost                Nullable(Decimal(38, 18)),  -- USD at risk in an unpriced charge
    unit_prices                   Map(LowCardinality(String), Decimal(38, 18)),
    price_source                  LowCardinality(String),
    price_version                 LowCardinality(String),
    price_status                  LowCardinality(String),

    team                          LowCardinality(String),
    project                       LowCardinality(String),
    environment                   LowCardinality(String),
    feature                       LowCardinality(String),
    cost_center                   LowCardinality(String),
    principal                     String,
    tags                          Map(LowCardinality(String), String),
    allocation                    LowCardinality(String),
    part                          UInt32,
    parts                         UInt32,

    -- The usage record it came from.
    source_topic                  LowCardinality(String),
    source_partition              Int32,
    source_offset                 Int64,

    -- What a re-price did: `revision` 0 is the charge as it landed, n the n-th correction of the event.
    sign                          Int8 DEFAULT 1,
    revision                      UInt32 DEFAULT 0,
    reprice_id                    LowCardinality(String) DEFAULT '',

    INDEX event_id id TYPE bloom_filter GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)  -- event time: fixed for an event, whenever it lands
ORDER BY (toStartOfHour(time), type, team, model, time)
SETTINGS non_replicated_deduplication_window = 10000;
