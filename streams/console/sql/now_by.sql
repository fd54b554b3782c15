-- What each team, model, ... spends now, and what it spent in each of the last 30 minutes.
-- `tokens_usd`: since the beginning of the minute before. `gpu_usd`: of the last five whole minutes, for GPUs report by the
-- minute, and a part of one would be none or too much.
SELECT
    multiIf({by:String} = 'team', team, {by:String} = 'model', model, {by:String} = 'project', project,
            {by:String} = 'provider', provider, {by:String} = 'environment', environment, feature) AS name,
    sumIf(r.effective_cost_usd, meter = 'token_call'
        AND minute >= toStartOfMinute({now:DateTime64(6, 'UTC')}) - INTERVAL 1 MINUTE) AS tokens_usd,
    sumIf(r.effective_cost_usd, meter = 'gpu_usage'
        AND minute >= toStartOfMinute({now:DateTime64(6, 'UTC')}) - INTERVAL 5 MINUTE
        AND minute < toStartOfMinute({now:DateTime64(6, 'UTC')})) AS gpu_usd,
    sumMap(map(dateDiff('minute', minute, toStartOfMinute({now:DateTime64(6, 'UTC')})), r.effective_cost_usd)) AS usd_by_age,
    sum(r.effective_cost_usd) AS usd
FROM spend_by_minute AS r
WHERE meter != 'line_item' AND (name != '' OR {by:String} = 'team')
    AND minute > toStartOfMinute({now:DateTime64(6, 'UTC')}) - INTERVAL 31 MINUTE AND minute <= {now:DateTime64(6, 'UTC')}
GROUP BY name
ORDER BY 5 * tokens_usd + gpu_usd DESC, usd DESC, name  -- tokens of one minute, GPUs of five
LIMIT {most:UInt16}
