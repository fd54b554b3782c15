SELECT provider, model, toFloat64(sum(effective_cost_usd)) AS usd, sum(requests) AS requests,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
FROM spend_by_minute
WHERE $__timeFilter(minute) AND model != ''
GROUP BY provider, model
ORDER BY usd DESC
LIMIT 20
