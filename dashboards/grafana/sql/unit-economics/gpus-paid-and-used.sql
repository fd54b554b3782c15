SELECT
    cluster, accelerator, sum(r.metered_gpu_minutes) / 60 AS hours_paid, sum(r.used_gpu_minutes) / 60 AS hours_used,
    if(hours_paid = 0, NULL, hours_used / hours_paid) AS utilization,
    if(hours_used = 0, NULL, sum(r.metered_usd) / hours_used) AS usd_per_hour_used, sum(r.idle_usd) AS idle_usd
FROM unit_economics_by_hour AS r
WHERE meter = 'gpu_usage' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
GROUP BY cluster, accelerator
ORDER BY idle_usd DESC
LIMIT 50
