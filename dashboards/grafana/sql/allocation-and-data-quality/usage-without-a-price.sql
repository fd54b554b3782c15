SELECT
    provider, service, model, accelerator, sum(r.events) AS unpriced_events, toFloat64(sum(r.estimated_cost)) AS estimated_usd
FROM spend_by_hour AS r
WHERE price_status = 'unpriced' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY provider, service, model, accelerator
HAVING unpriced_events != 0
ORDER BY estimated_usd DESC, unpriced_events DESC
LIMIT 50
