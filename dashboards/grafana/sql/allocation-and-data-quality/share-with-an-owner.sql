SELECT if(sum(r.effective_cost_usd) = 0, NULL,
       toFloat64(sumIf(r.effective_cost_usd, r.allocated)) / toFloat64(sum(r.effective_cost_usd))) AS share
FROM spend_by_minute AS r
WHERE $__timeFilter(minute)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
