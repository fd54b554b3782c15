-- The spend of one series in steps of {step} seconds: what its finding watched. `series` is JSON of {dimension: value}; an
-- unpriced finding is about estimated cost, an idle one about what was paid for and unused.
WITH JSONExtract({series:String}, 'Map(String, String)') AS s
SELECT
    toDateTime(intDiv(toUnixTimestamp(if(meter = 'line_item', period_start, time)), {step:UInt32}) * {step:UInt32}, 'UTC') AS at,
    sum(multiIf(
        {kind:String} = 'unpriced', c.estimated_cost,
        {kind:String} = 'unallocated', if(allocation = 'unallocated', c.effective_cost_usd, NULL),
        {kind:String} = 'idle', c.effective_cost_usd * toDecimal128(1 - ifNull(utilization, 1), 6),
        c.effective_cost_usd)) AS usd
FROM charges AS c
WHERE meter = {meter:String}
    AND time >= {begin:DateTime64(6, 'UTC')} - INTERVAL 2 DAY AND time < {end:DateTime64(6, 'UTC')} + INTERVAL 2 DAY
    AND type = concat('spendstream.', {meter:String}, '.v1')
    AND at >= {begin:DateTime64(6, 'UTC')} AND at < {end:DateTime64(6, 'UTC')}
    AND (NOT mapContains(s, 'provider') OR provider = s['provider'])
    AND (NOT mapContains(s, 'model') OR model = s['model'])
    AND (NOT mapContains(s, 'service') OR service = s['service'])
    AND (NOT mapContains(s, 'account') OR account = s['account'])
    AND (NOT mapContains(s, 'region') OR region = s['region'])
    AND (NOT mapContains(s, 'team') OR team = s['team'])
    AND (NOT mapContains(s, 'project') OR project = s['project'])
    AND (NOT mapContains(s, 'environment') OR environment = s['environment'])
    AND (NOT mapContains(s, 'feature') OR feature = s['feature'])
    AND (NOT mapContains(s, 'principal') OR principal = s['principal'])
    AND (NOT mapContains(s, 'cluster') OR cluster = s['cluster'])
    AND (NOT mapContains(s, 'accelerator') OR accelerator = s['accelerator'])
    AND (NOT mapContains(s, 'capacity_type') OR capacity_type = s['capacity_type'])
GROUP BY at
ORDER BY at
