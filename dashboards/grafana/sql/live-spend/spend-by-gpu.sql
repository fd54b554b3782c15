-- Whole hours.
SELECT cluster, accelerator, capacity_type, toFloat64(sum(r.effective_cost_usd)) AS usd, toFloat64(sum(r.gpu_minutes)) / 60 AS gpu_hours
FROM spend_by_hour AS r
WHERE meter = 'gpu_usage' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
GROUP BY cluster, accelerator, capacity_type
ORDER BY usd DESC
LIMIT 50
