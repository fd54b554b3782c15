-- As now_by.sql for clusters, which the rollup by the minute does not know. Only charges of GPUs are read.
SELECT
    cluster AS name,
    toDecimal128(0, 18) AS tokens_usd,
    sumIf(c.effective_cost_usd, time >= toStartOfMinute({now:DateTime64(6, 'UTC')}) - INTERVAL 5 MINUTE
        AND time < toStartOfMinute({now:DateTime64(6, 'UTC')})) AS gpu_usd,
    sumMap(map(dateDiff('minute', toStartOfMinute(time), toStartOfMinute({now:DateTime64(6, 'UTC')})),
               assumeNotNull(c.effective_cost_usd))) AS usd_by_age,
    sum(c.effective_cost_usd) AS usd
FROM charges AS c
WHERE type = 'spendstream.gpu_usage.v1' AND cluster != '' AND isNotNull(c.effective_cost_usd)
    AND time > toStartOfMinute({now:DateTime64(6, 'UTC')}) - INTERVAL 31 MINUTE AND time <= {now:DateTime64(6, 'UTC')}
GROUP BY name
ORDER BY gpu_usd DESC, usd DESC, name
LIMIT {most:UInt16}
