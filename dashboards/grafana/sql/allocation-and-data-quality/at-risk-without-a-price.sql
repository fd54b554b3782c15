-- An estimate: usage that no price is known for is not zero.
SELECT toFloat64(sumIf(r.estimated_cost, price_status = 'unpriced')) AS usd
FROM spend_by_minute AS r
WHERE $__timeFilter(minute)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
