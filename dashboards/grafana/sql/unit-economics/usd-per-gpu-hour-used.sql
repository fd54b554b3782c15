-- What was paid for GPUs whose utilization is known, over the hours in which they did something.
SELECT if(sum(r.used_gpu_minutes) = 0, NULL, sum(r.metered_usd) / sum(r.used_gpu_minutes) * 60) AS usd
FROM unit_economics_by_hour AS r
WHERE meter = 'gpu_usage' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
