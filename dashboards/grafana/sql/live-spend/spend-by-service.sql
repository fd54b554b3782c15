-- Lines of bills, whole hours.
SELECT provider, service, account, toFloat64(sum(r.effective_cost_usd)) AS usd
FROM spend_by_hour AS r
WHERE meter = 'line_item' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
GROUP BY provider, service, account
ORDER BY usd DESC
LIMIT 50
