-- As billed; never add up its currencies. What is not in USD has no dated exchange rate.
SELECT
    currency, toFloat64(sum(r.list_cost)) AS list_cost, toFloat64(sum(r.contracted_cost)) AS contracted_cost,
    toFloat64(sum(r.effective_cost)) AS effective_cost, toFloat64(sum(r.billed_cost)) AS billed_cost,
    toFloat64(sum(r.unconverted_cost)) AS not_in_usd
FROM spend_by_hour AS r
WHERE hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY currency
ORDER BY effective_cost DESC
