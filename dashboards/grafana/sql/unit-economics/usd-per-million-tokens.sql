-- Input, cached input included, and output together; of what has a price.
SELECT
    if(sum(r.input_tokens + r.output_tokens) = 0, NULL, toFloat64(sum(r.effective_cost_usd)) / sum(r.input_tokens + r.output_tokens) * 1e6) AS usd
FROM spend_by_hour AS r
WHERE meter = 'token_call' AND price_status != 'unpriced' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
