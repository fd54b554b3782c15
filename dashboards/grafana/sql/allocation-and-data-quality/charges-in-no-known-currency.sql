-- Charges that no dated exchange rate puts into USD: they are in no sum here.
SELECT sumIf(r.unconverted, price_status != 'unpriced') AS charges
FROM spend_by_minute AS r
WHERE $__timeFilter(minute)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
