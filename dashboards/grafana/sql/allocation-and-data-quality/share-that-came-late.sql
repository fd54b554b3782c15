-- Of the calls and GPU minutes: those that reached Kafka more than a minute after their time.
SELECT if(sum(r.charges) = 0, NULL, sum(r.late_charges) / sum(r.charges)) AS share
FROM unit_economics_by_hour AS r
WHERE hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
