SELECT $__timeInterval(hour) AS time, cluster, sum(r.idle_usd) AS usd
FROM unit_economics_by_hour AS r
WHERE meter = 'gpu_usage' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
GROUP BY time, cluster
ORDER BY time, cluster
