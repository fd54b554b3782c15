-- Tags, the directory of owners, or a rule by its name.
SELECT if(allocation = '', 'unallocated', allocation) AS allocation, meter, toFloat64(sum(r.effective_cost_usd)) AS usd, sum(r.charges) AS charges
FROM spend_by_hour AS r
WHERE hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY allocation, meter
ORDER BY usd DESC
LIMIT 50
