-- Tells what counters hold and what would fit. Writes nothing, and no key lives longer for it.
--
-- Uses base, algorithms, turns, records.
-- KEYS  each counter and its holds
-- ARGV  the time; caps (lib/turns); for each counter the amount, and the least that must fit
-- Returns an answer (lib/records): 'done' with views, or 'need_boundaries'.
-- Slot  all keys lie in one slot where slots are enforced.

local caps = take_caps()
if not know_all(caps) then
  return answer('need_boundaries')
end
local views = {}
for place = 1, #caps do
  local turn = begin(place, caps[place])
  local granted = offer(turn, take_number(), take_number())
  views[place] = granted and view(turn, granted) or refusal(turn)
end
return answer('done', views)
