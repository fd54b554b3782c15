-- USD an hour; usual is the median, low and high the 5th and 95th percentile, of steps as wide in the same quarter of an hour
-- of the seven days before the time chosen.
SELECT
    now.time AS time, now.spent AS spent,
    usual.band[2] AS usual, usual.band[1] AS low, usual.band[3] AS high
FROM
(
    SELECT
        $__timeInterval(minute) AS time,
        toFloat64(sum(r.effective_cost_usd)) * 3600 / greatest($__interval_s, 60) AS spent
    FROM spend_by_minute AS r
    WHERE meter != 'line_item' AND $__timeFilter(minute) AND minute < toStartOfMinute($__toTime)
        AND $__conditionalAll(team IN (${team:singlequote}), $team)
        AND $__conditionalAll(project IN (${project:singlequote}), $project)
        AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
        AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
        AND $__conditionalAll(model IN (${model:singlequote}), $model)
    GROUP BY time
) AS now
LEFT JOIN
(
    SELECT quarter, quantiles(0.05, 0.5, 0.95)(usd) AS band
    FROM
    (
        SELECT
            $__timeInterval(minute) AS step, intDiv(toHour(step, 'UTC') * 60 + toMinute(step), 15) AS quarter,
            toFloat64(sum(r.effective_cost_usd)) * 3600 / greatest($__interval_s, 60) AS usd
        FROM spend_by_minute AS r
        WHERE meter != 'line_item' AND minute >= $__fromTime - INTERVAL 7 DAY AND minute < $__fromTime
            AND $__conditionalAll(team IN (${team:singlequote}), $team)
            AND $__conditionalAll(project IN (${project:singlequote}), $project)
            AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
            AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
            AND $__conditionalAll(model IN (${model:singlequote}), $model)
        GROUP BY step
    )
    GROUP BY quarter
) AS usual ON usual.quarter = intDiv(toHour(now.time, 'UTC') * 60 + toMinute(now.time), 15)
ORDER BY time
