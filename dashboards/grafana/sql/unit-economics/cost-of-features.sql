SELECT
    feature, toFloat64(sum(r.effective_cost_usd)) AS usd, sum(r.requests) AS requests, if(sum(r.requests) = 0, NULL, toFloat64(sum(r.effective_cost_usd)) / sum(r.requests)) AS usd_per_request,
    if(sum(r.input_tokens + r.output_tokens) = 0, NULL, toFloat64(sum(r.effective_cost_usd)) / sum(r.input_tokens + r.output_tokens) * 1e6) AS usd_per_million_tokens
FROM spend_by_hour AS r
WHERE meter = 'token_call' AND price_status != 'unpriced' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY feature
ORDER BY usd DESC
LIMIT 50
