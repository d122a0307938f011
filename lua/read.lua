-- Tells what is remembered of a reservation; where that is nothing, it is due no more.
--
-- Uses base, records.
-- KEYS  the record, and its list if any
-- ARGV  the time; the name of the record
-- Returns an answer (lib/records): 'done' with the record, if there is one.
-- Slot  all keys lie in one slot where slots are enforced.

local record = find_record(KEYS[1])
if not record and KEYS[2] then
  redis.call('ZREM', KEYS[2], take())
end
return answer('done', nil, record)
