-- Gives back what is held, or was kept when it expired, under some ids.
--
-- Uses base, algorithms, turns, records.
-- KEYS  each counter and its holds
-- ARGV  the time; caps (lib/turns); what the ids begin with
-- Returns an answer (lib/records): 'done'.
-- Slot  all keys lie in one slot where slots are enforced.

local turns = begin_all(take_caps())
local ids_from = take()

local function give_back(turn, held)
  if not take_hold(turn, held.member) then
    return -- it was found twice
  end
  if held.kind ~= 'R' then
    correct(turn.cap, turn.state, held.charged_at, -held.amount)
  end
  let_go(turn, held)
end

for place = 1, #turns do
  local turn, cursor = turns[place], '0'
  repeat
    -- The server looks through the holds, many times faster than a script. Ids have no
    -- characters that a pattern gives a meaning.
    local found = redis.call(
      'ZSCAN', turn.holds, cursor, 'MATCH', '?:' .. ids_from .. '*', 'COUNT', 10000)
    cursor = found[1]
    for i = 1, #found[2], 2 do
      give_back(turn, read_hold(found[2][i]))
    end
  until cursor == '0'
end
keep_all(turns)
return answer('done')
