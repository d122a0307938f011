-- Writes a record if its revision is as expected.
--
-- Uses base, records.
-- KEYS  the record, and its list if any
-- ARGV  the time; the record (lib/records)
-- Returns an answer (lib/records): 'done' with the record, or 'conflict' with the one there.
-- Slot  all keys lie in one slot where slots are enforced.

local swap = take_swap(KEYS[1], KEYS[2])
if conflicts(swap) then
  return answer('conflict', nil, swap.before)
end
return answer('done', nil, write_record(swap))
