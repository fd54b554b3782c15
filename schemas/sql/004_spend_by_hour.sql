-- Sums by hour in every dimension, the four costs in their own currency: for long ranges and chargeback.
CREATE TABLE IF NOT EXISTS spend_by_hour
(
    hour                        DateTime('UTC'),
    meter                       LowCardinality(String),
    provider                    LowCardinality(String),
    service                     LowCardinality(String),
    model                       LowCardinality(String),
    account                     LowCardinality(String),
    region                      LowCardinality(String),
    cluster                     LowCardinality(String),
    accelerator                 LowCardinality(String),
    capacity_type               LowCardinality(String),
    charge_category             LowCardinality(String),
    team                        LowCardinality(String),
    project                     LowCardinality(String),
    environment                 LowCardinality(String),
    feature                     LowCardinality(String),
    cost_center                 LowCardinality(String),
    principal                   String,
    allocation                  LowCardinality(String),
    price_status                LowCardinality(String),
    currency                    LowCardinality(String),
    events                      SimpleAggregateFunction(sum, Int64),
    charges                     SimpleAggregateFunction(sum, Int64),
    unconverted                 SimpleAggregateFunction(sum, Int64),
    requests                    SimpleAggregateFunction(sum, Int64),
    input_tokens                SimpleAggregateFunction(sum, Int64),
    output_tokens               SimpleAggregateFunction(sum, Int64),
    cache_read_input_tokens     SimpleAggregateFunction(sum, Int64),
    cache_creation_input_tokens SimpleAggregateFunction(sum, Int64),
    reasoning_output_tokens     SimpleAggregateFunction(sum, Int64),
    gpu_minutes                 SimpleAggregateFunction(sum, Decimal(38, 18)),
    list_cost                   SimpleAggregateFunction(sum, Decimal(38, 18)),
    contracted_cost             SimpleAggregateFunction(sum, Decimal(38, 18)),
    effective_cost              SimpleAggregateFunction(sum, Decimal(38, 18)),
    billed_cost                 SimpleAggregateFunction(sum, Decimal(38, 18)),
    effective_cost_usd          SimpleAggregateFunction(sum, Decimal(38, 18)),
    unconverted_cost            SimpleAggregateFunction(sum, Decimal(38, 18)),  -- effective, in its currency, not in USD
    estimated_cost              SimpleAggregateFunction(sum, Decimal(38, 18))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, meter, team, provider, service, model, account, region, cluster, accelerator, capacity_type,
          charge_category, project, environment, feature, cost_center, principal, allocation, price_status, currency)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_hour_mv TO spend_by_hour AS
SELECT
    toStartOfHour(time) AS hour,
    meter, provider, service, model, account, region, cluster, accelerator, capacity_type, charge_category,
    team, project, environment, feature, cost_center, principal, allocation, price_status, currency,
    sumIf(sign, part = 0) AS events,
    sum(sign) AS charges,
    sumIf(sign, isNull(charges.effective_cost_usd)) AS unconverted,
    sum(charges.requests) AS requests,
    sum(charges.input_tokens) AS input_tokens,
    sum(charges.output_tokens) AS output_tokens,
    sum(charges.cache_read_input_tokens) AS cache_read_input_tokens,
    sum(charges.cache_creation_input_tokens) AS cache_creation_input_tokens,
    sum(charges.reasoning_output_tokens) AS reasoning_output_tokens,
    sum(ifNull(charges.gpu_minutes, toDecimal128(0, 18))) AS gpu_minutes,
    sum(ifNull(charges.list_cost, toDecimal128(0, 18))) AS list_cost,
    sum(ifNull(charges.contracted_cost, toDecimal128(0, 18))) AS contracted_cost,
    sum(ifNull(charges.effective_cost, toDecimal128(0, 18))) AS effective_cost,
    sum(ifNull(charges.billed_cost, toDecimal128(0, 18))) AS billed_cost,
    sum(ifNull(charges.effective_cost_usd, toDecimal128(0, 18))) AS effective_cost_usd,
    sumIf(ifNull(charges.effective_cost, toDecimal128(0, 18)), isNull(charges.effective_cost_usd)) AS unconverted_cost,
    sum(ifNull(charges.estimated_cost, toDecimal128(0, 18))) AS estimated_cost
FROM charges
GROUP BY hour, meter, provider, service, model, account, region, cluster, accelerator, capacity_type, charge_category,
         team, project, environment, feature, cost_center, principal, allocation, price_status, currency;
