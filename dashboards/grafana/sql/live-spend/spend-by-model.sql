SELECT
    provider, model, toFloat64(sum(r.effective_cost_usd)) AS usd, sum(r.requests) AS requests, sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens
FROM spend_by_minute AS r
WHERE $__timeFilter(minute) AND model != ''
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY provider, model
ORDER BY usd DESC
LIMIT 50
