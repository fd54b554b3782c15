SELECT toFloat64(sum(effective_cost_usd)) AS usd
FROM spend_per_minute_by_team
WHERE minute >= now() - INTERVAL 1 HOUR
