-- Sums by minute, for live views. The target has a window of its own: without it a retried insert would count twice here.
CREATE TABLE IF NOT EXISTS spend_by_minute
(
    minute                  DateTime('UTC'),
    meter                   LowCardinality(String),
    provider                LowCardinality(String),
    service                 LowCardinality(String),
    model                   LowCardinality(String),
    team                    LowCardinality(String),
    project                 LowCardinality(String),
    environment             LowCardinality(String),
    feature                 LowCardinality(String),
    price_status            LowCardinality(String),
    allocated               Bool,
    events                  SimpleAggregateFunction(sum, Int64),
    charges                 SimpleAggregateFunction(sum, Int64),
    unconverted             SimpleAggregateFunction(sum, Int64),  -- charges whose cost in USD is not known
    requests                SimpleAggregateFunction(sum, Int64),
    input_tokens            SimpleAggregateFunction(sum, Int64),
    output_tokens           SimpleAggregateFunction(sum, Int64),
    cache_read_input_tokens SimpleAggregateFunction(sum, Int64),
    gpu_minutes             SimpleAggregateFunction(sum, Decimal(38, 18)),
    effective_cost_usd      SimpleAggregateFunction(sum, Decimal(38, 18)),
    estimated_cost          SimpleAggregateFunction(sum, Decimal(38, 18))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, meter, team, provider, service, model, project, environment, feature, price_status, allocated)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_minute_mv TO spend_by_minute AS
SELECT
    toStartOfMinute(time) AS minute,
    meter, provider, service, model, team, project, environment, feature, price_status,
    allocation != 'unallocated' AS allocated,
    sumIf(sign, part = 0) AS events,
    sum(sign) AS charges,
    sumIf(sign, isNull(charges.effective_cost_usd)) AS unconverted,
    sum(charges.requests) AS requests,
    sum(charges.input_tokens) AS input_tokens,
    sum(charges.output_tokens) AS output_tokens,
    sum(charges.cache_read_input_tokens) AS cache_read_input_tokens,
    sum(ifNull(charges.gpu_minutes, toDecimal128(0, 18))) AS gpu_minutes,
    sum(ifNull(charges.effective_cost_usd, toDecimal128(0, 18))) AS effective_cost_usd,
    sum(ifNull(charges.estimated_cost, toDecimal128(0, 18))) AS estimated_cost
FROM charges
GROUP BY minute, meter, provider, service, model, team, project, environment, feature, price_status, allocated;
