-- What usage was worth, by the hour: savings by cached input, GPU time paid for and used, and what came late. It counts from
-- when it was made: earlier charges are in the other rollups only. Estimates of what would have been are Float64.
CREATE TABLE IF NOT EXISTS unit_economics_by_hour
(
    hour                    DateTime('UTC'),
    meter                   LowCardinality(String),
    provider                LowCardinality(String),
    model                   LowCardinality(String),
    cluster                 LowCardinality(String),
    accelerator             LowCardinality(String),
    team                    LowCardinality(String),
    project                 LowCardinality(String),
    environment             LowCardinality(String),
    charges                 SimpleAggregateFunction(sum, Int64),
    late_charges            SimpleAggregateFunction(sum, Int64),    -- on Kafka more than a minute after their time
    input_tokens            SimpleAggregateFunction(sum, Int64),
    cache_read_input_tokens SimpleAggregateFunction(sum, Int64),
    cache_saved_usd         SimpleAggregateFunction(sum, Float64),  -- cached input at the full price of input, less its own
    metered_gpu_minutes     SimpleAggregateFunction(sum, Float64),  -- of GPUs whose utilization is known
    used_gpu_minutes        SimpleAggregateFunction(sum, Float64),
    metered_usd             SimpleAggregateFunction(sum, Float64),
    idle_usd                SimpleAggregateFunction(sum, Float64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, meter, team, provider, model, cluster, accelerator, project, environment)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS unit_economics_by_hour_mv TO unit_economics_by_hour AS
SELECT
    toStartOfHour(time) AS hour, meter, provider, model, cluster, accelerator, team, project, environment,
    sum(sign) AS charges,
    sumIf(sign, received_at > time + INTERVAL 1 MINUTE) AS late_charges,
    sum(c.input_tokens) AS input_tokens,
    sum(c.cache_read_input_tokens) AS cache_read_input_tokens,
    -- The price book's prices are before discounts, so the saving is discounted as the whole call is.
    sum(if(c.cache_read_input_tokens != 0 AND mapContains(unit_prices, 'cache_read_mtok'),
           c.cache_read_input_tokens * toFloat64(unit_prices['input_mtok'] - unit_prices['cache_read_mtok']) / 1e6
           * if(ifNull(list_cost, 0) = 0 OR isNull(effective_cost_usd), 1, toFloat64(assumeNotNull(effective_cost_usd)) / toFloat64(assumeNotNull(list_cost))),
           0)) AS cache_saved_usd,
    sum(if(isNull(utilization), 0, toFloat64(ifNull(gpu_minutes, 0)))) AS metered_gpu_minutes,
    sum(toFloat64(ifNull(gpu_minutes, 0)) * ifNull(utilization, 0)) AS used_gpu_minutes,
    sum(if(isNull(utilization), 0, toFloat64(ifNull(effective_cost_usd, 0)))) AS metered_usd,
    sum(toFloat64(ifNull(effective_cost_usd, 0)) * (1 - ifNull(utilization, 1))) AS idle_usd
FROM charges AS c
WHERE meter != 'line_item'
GROUP BY hour, meter, provider, model, cluster, accelerator, team, project, environment;
