-- `cached_share` of the input tokens came from the cache.
SELECT
    provider, model, if(sum(r.input_tokens) = 0, NULL, sum(r.cache_read_input_tokens) / sum(r.input_tokens)) AS cached_share,
    sum(r.cache_saved_usd) AS saved_usd
FROM unit_economics_by_hour AS r
WHERE meter = 'token_call' AND hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
    AND $__conditionalAll(team IN (${team:singlequote}), $team)
    AND $__conditionalAll(project IN (${project:singlequote}), $project)
    AND $__conditionalAll(environment IN (${environment:singlequote}), $environment)
    AND $__conditionalAll(provider IN (${provider:singlequote}), $provider)
    AND $__conditionalAll(model IN (${model:singlequote}), $model)
GROUP BY provider, model
ORDER BY saved_usd DESC
LIMIT 50
