-- Against the stretch of the same length just before.
SELECT
    if(team = '', 'no owner', team) AS team, project,
    toFloat64(sumIf(r.effective_cost_usd, minute >= $__fromTime)) AS usd,
    toFloat64(sumIf(r.effective_cost_usd, minute < $__fromTime)) AS usd_before,
    if(usd_before = 0, NULL, usd / usd_before - 1) AS change
FROM spend_by_minute AS r
WHERE minute >= $__fromTime - ($__toTime - $__fromTime) AND minute <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY team, project
HAVING usd != 0 OR usd_before != 0
ORDER BY usd DESC
LIMIT 50
