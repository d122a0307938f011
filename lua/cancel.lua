-- Gives back what is held, or was kept when it expired, under some ids.
--
-- Uses base, algorithms, turns, records.
-- KEYS  each counter and its holds
-- ARGV  the time; caps (lib/turns); what the ids begin with
-- Returns an answer (lib/records): 'done'.
-- Slot  all keys lie in one slot where slots are enforced.

local turns = begin_all(take_caps())
local ids_from = take()
for place = 1, #turns do
  local turn = turns[place]
  local members = redis.call('ZRANGE', turn.holds, 0, -1)
  for i = 1, #members do
    -- The id begins after the kind and a colon.
    if string.sub(members[i], 3, 2 + #ids_from) == ids_from then
      local held = read_hold(members[i])
      take_hold(turn, held.member)
      if held.kind ~= 'R' then
        correct(turn.cap, turn.state, held.charged_at, -held.amount)
      end
      let_go(turn, held)
    end
  end
end
keep_all(turns)
return answer('done')
