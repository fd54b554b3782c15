SELECT if(sum(effective_cost_usd) = 0, NULL,
          toFloat64(sumIf(effective_cost_usd, allocated)) / toFloat64(sum(effective_cost_usd))) AS share
FROM spend_by_minute
WHERE minute >= now() - INTERVAL 1 HOUR
