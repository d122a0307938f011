-- Names the records of a list that are due, the longest due first.
--
-- Uses base, records.
-- KEYS  the list
-- ARGV  the time; the most names to return
-- Returns an answer (lib/records): 'done' with names.
-- Slot  there is one key.

local names = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, take())
return answer('done', nil, nil, names)
