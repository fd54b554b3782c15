SELECT
    $__timeInterval(minute) AS time, if(team = '', 'no owner', team) AS team,
    toFloat64(sum(r.effective_cost_usd)) * 3600 / greatest($__interval_s, 60) AS usd_per_hour
FROM spend_by_minute AS r
WHERE meter != 'line_item' AND $__timeFilter(minute) AND minute < toStartOfMinute($__toTime)
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY time, team
ORDER BY time, team
