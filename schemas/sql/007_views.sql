-- What dashboards and people ask for. Sums come from the rollups, states from the newest revision.
CREATE OR REPLACE VIEW findings_current AS
SELECT * FROM findings ORDER BY finding_id, revision DESC LIMIT 1 BY finding_id;

CREATE OR REPLACE VIEW alerts_current AS
SELECT * FROM alerts ORDER BY alert_id, revision DESC LIMIT 1 BY alert_id;

CREATE OR REPLACE VIEW spend_per_minute_by_team AS
SELECT
    minute, team,
    sum(r.effective_cost_usd) AS effective_cost_usd,
    sum(r.events) AS events,
    sum(r.requests) AS requests,
    sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens
FROM spend_by_minute AS r
GROUP BY minute, team;

CREATE OR REPLACE VIEW spend_per_hour_by_model AS
SELECT
    hour, provider, model,
    sum(r.effective_cost_usd) AS effective_cost_usd,
    sum(r.events) AS events,
    sum(r.requests) AS requests,
    sum(r.input_tokens) AS input_tokens,
    sum(r.cache_read_input_tokens) AS cache_read_input_tokens,
    sum(r.output_tokens) AS output_tokens
FROM spend_by_hour AS r
WHERE model != ''
GROUP BY hour, provider, model;

CREATE OR REPLACE VIEW spend_per_day_by_owner AS
SELECT
    toStartOfDay(hour) AS day, team, project, cost_center, meter,
    sum(r.effective_cost_usd) AS effective_cost_usd,
    sum(r.events) AS events
FROM spend_by_hour AS r
GROUP BY day, team, project, cost_center, meter;

-- The four costs of a day as billed, by currency: what to compare with the invoice. Never add up its currencies.
CREATE OR REPLACE VIEW costs_per_day_by_currency AS
SELECT
    toStartOfDay(hour) AS day, meter, provider, service, currency,
    sum(r.list_cost) AS list_cost,
    sum(r.contracted_cost) AS contracted_cost,
    sum(r.effective_cost) AS effective_cost,
    sum(r.billed_cost) AS billed_cost,
    sum(r.charges) AS charges
FROM spend_by_hour AS r
GROUP BY day, meter, provider, service, currency;

CREATE OR REPLACE VIEW totals_per_day_by_currency AS
SELECT
    toStartOfDay(hour) AS day, currency,
    sum(r.list_cost) AS list_cost,
    sum(r.contracted_cost) AS contracted_cost,
    sum(r.effective_cost) AS effective_cost,
    sum(r.billed_cost) AS billed_cost,
    sum(r.charges) AS charges,
    sum(r.effective_cost_usd) AS effective_cost_usd,
    sum(r.unconverted_cost) AS unconverted_cost  -- the part of effective_cost that no dated exchange rate puts into USD
FROM spend_by_hour AS r
GROUP BY day, currency;

-- A day in the reporting currency, and what is not in that sum: no rate is known for it, or no price.
CREATE OR REPLACE VIEW totals_per_day_in_usd AS
SELECT
    toStartOfDay(hour) AS day,
    sum(r.effective_cost_usd) AS effective_cost_usd,
    sum(r.charges) AS charges,
    sumIf(r.unconverted, price_status != 'unpriced') AS unconverted_charges,
    if(charges = 0, NULL, unconverted_charges / charges) AS unconverted_share,  -- of the charges: their costs can't be added
    mapFilter((currency, cost) -> cost != 0, sumMap(map(toString(r.currency), r.unconverted_cost))) AS unconverted_costs,
    sumIf(r.charges, price_status = 'unpriced') AS unpriced_charges,
    sum(r.estimated_cost) AS unpriced_estimate
FROM spend_by_hour AS r
GROUP BY day;

-- Which part of a day's spend a rule gave an owner, 0 to 1, by source of spend; NULL where nothing was spent.
CREATE OR REPLACE VIEW allocation_coverage AS
SELECT
    toStartOfDay(minute) AS day, meter, provider,
    sum(r.effective_cost_usd) AS effective_cost_usd,
    sumIf(r.effective_cost_usd, r.allocated) AS allocated_usd,
    if(effective_cost_usd = 0, NULL, toFloat64(allocated_usd) / toFloat64(effective_cost_usd)) AS coverage
FROM spend_by_minute AS r
GROUP BY day, meter, provider;

-- Whose a day's spend is, what decided that, and its share of the source's day; no team: nobody's.
CREATE OR REPLACE VIEW allocation_by_team AS
SELECT
    day, meter, team, allocation, effective_cost_usd,
    sum(effective_cost_usd) OVER (PARTITION BY day, meter) AS of_usd,
    if(of_usd = 0, NULL, toFloat64(effective_cost_usd) / toFloat64(of_usd)) AS share
FROM
(
    SELECT toStartOfDay(hour) AS day, meter, team, allocation, sum(r.effective_cost_usd) AS effective_cost_usd
    FROM spend_by_hour AS r
    GROUP BY day, meter, team, allocation
    HAVING sum(r.charges) != 0
);

-- Usage that no price is known for: how much of it there is, and an estimate of what it costs.
CREATE OR REPLACE VIEW unpriced_usage AS
SELECT
    toStartOfHour(minute) AS hour, meter, provider, service, model,
    sum(r.events) AS events,
    sum(r.estimated_cost) AS estimated_cost
FROM spend_by_minute AS r
WHERE price_status = 'unpriced'
GROUP BY hour, meter, provider, service, model
HAVING events != 0;  -- what a re-price has mended since

CREATE OR REPLACE VIEW dead_letters_per_hour AS
SELECT toStartOfHour(received_at) AS hour, topic, reason, uniqExact(dead_letter_id) AS dead_letters
FROM dead_letters
GROUP BY hour, topic, reason;
