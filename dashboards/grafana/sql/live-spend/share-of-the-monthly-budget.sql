-- Of the amount typed in above as the month's budget of what is chosen; empty while none is. Budgets that page are in
-- spendstream.toml, and those that burn stand among the alerts.
SELECT if(toFloat64OrZero('${monthly_budget:raw}') > 0,
          toFloat64(sum(r.effective_cost_usd)) / toFloat64OrZero('${monthly_budget:raw}'), NULL) AS share
FROM spend_by_hour AS r
WHERE hour >= toStartOfMonth($__toTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
