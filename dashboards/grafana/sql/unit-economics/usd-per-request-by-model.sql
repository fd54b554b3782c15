SELECT $__timeInterval(hour) AS time, model, if(sum(r.requests) = 0, NULL, toFloat64(sum(r.effective_cost_usd)) / sum(r.requests)) AS usd
FROM spend_by_hour AS r
WHERE meter = 'token_call' AND price_status != 'unpriced' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY time, model
ORDER BY time, model
