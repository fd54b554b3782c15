-- Today so far (UTC), bills included; and what of it is not known: usage without a price, spend without an owner.
SELECT
    sum(r.effective_cost_usd) AS today_usd,
    sumIf(r.effective_cost_usd, meter = 'line_item') AS billed_usd,
    sumIf(r.effective_cost_usd, NOT r.allocated) AS unowned_usd,
    sumIf(r.estimated_cost, price_status = 'unpriced') AS at_risk_usd,
    sum(r.events) AS events
FROM spend_by_minute AS r
WHERE minute >= toStartOfDay({now:DateTime64(6, 'UTC')}) AND minute <= {now:DateTime64(6, 'UTC')}
