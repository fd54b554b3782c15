SELECT provider, service, model, sum(events) AS unpriced_events, toFloat64(sum(estimated_cost)) AS estimated_usd
FROM unpriced_usage
WHERE $__timeFilter(hour)
GROUP BY provider, service, model
ORDER BY estimated_usd DESC
LIMIT 20
