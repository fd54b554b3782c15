SELECT meter, provider, if(principal = '', account, principal) AS who, service, model, toFloat64(sum(r.effective_cost_usd)) AS usd
FROM spend_by_hour AS r
WHERE allocation = 'unallocated' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY meter, provider, who, service, model
ORDER BY usd DESC
LIMIT 50
