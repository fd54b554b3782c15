-- USD an hour over the last five whole minutes: model calls and GPUs. Bills come by the hour or day and are no rate.
SELECT toFloat64(sum(r.effective_cost_usd)) * 12 AS usd_per_hour
FROM spend_by_minute AS r
WHERE meter != 'line_item'
    AND minute >= toStartOfMinute($__toTime) - INTERVAL 5 MINUTE AND minute < toStartOfMinute($__toTime)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
