-- USD an hour: the median of the minutes within half an hour of this time on the seven days before.
SELECT quantileOrNull(0.5)(usd) * 60 AS usd_per_hour
FROM
(
    SELECT minute, toFloat64(sum(r.effective_cost_usd)) AS usd
    FROM spend_by_minute AS r
    WHERE meter != 'line_item' AND minute >= $__toTime - INTERVAL 7 DAY - INTERVAL 30 MINUTE
        AND minute < $__toTime - INTERVAL 12 HOUR
        AND abs(modulo(dateDiff('minute', minute, $__toTime) + 720, 1440) - 720) <= 30
        AND $__conditionalAll(team IN (${team:singlequote}), $team)
        AND $__conditionalAll(project IN (${project:singlequote}), $project)
        AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
        AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
        AND $__conditionalAll(model IN (${model:singlequote}), $model)
    GROUP BY minute
)
