-- By remedies, as measured after them: the rate before less the rate after, for as long as it is known.
SELECT toFloat64(sum(avoided_usd)) AS usd
FROM dollars_avoided
WHERE $__timeFilter(at)
