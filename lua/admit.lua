-- Charges every counter or none, holds what is charged, and writes a record.
--
-- Uses base, algorithms, turns, records.
-- KEYS  each counter and its holds; then, if a record is written, its key, and its list's if any
-- ARGV  the time; caps (lib/turns); the id of the holds; for each counter the amount, the least
--       that must fit, the kind of hold or '' for none, and how long it lasts in microseconds;
--       then the record (lib/records)
-- Returns an answer (lib/records): 'done', 'over' or 'contended' with views, the last without
-- holds that will give back; 'conflict' with the record that is there, or 'need_boundaries'.
-- Slot  all keys lie in one slot where slots are enforced.

local caps = take_caps()
local hold_id = take()
local lines = {}
for place = 1, #caps do
  lines[place] = {
    amount = take_number(), minimum = take_number(), kind = take(), lasts = take_number(),
  }
end
local swap = take_swap(KEYS[2 * #caps + 1], KEYS[2 * #caps + 2])
if conflicts(swap) then
  return answer('conflict', nil, swap.before)
end
if not know_all(caps) then
  return answer('need_boundaries')
end

local turns, views = begin_all(caps), {}
local verdict = 'done'
for place = 1, #turns do
  local turn, line = turns[place], lines[place]
  local granted, decided = offer(turn, line.amount, line.minimum), nil
  if granted then
    views[place] = view(turn, granted)
  else
    views[place], decided = refusal(turn)
    local contended = fits(turn.cap, usage(turn.cap, decided), line.minimum)
    verdict = (not contended or verdict == 'over') and 'over' or 'contended'
  end
end
if verdict == 'contended' then
  -- Who comes back does so at once, and need not know of holds.
  for place = 1, #views do
    views[place][8] = {}
  end
end
if verdict ~= 'done' then
  return answer(verdict, views)
end

local states = {}
for place = 1, #turns do
  local turn, line, granted = turns[place], lines[place], views[place][5]
  if line.kind ~= '' then
    charge(turn, granted)
    hold(turn.cap, turn.state, turn.state.at, granted)
    local charge_text = text(granted) .. ':' .. text(turn.state.at)
    put(turn, line.kind .. ':' .. hold_id .. ':' .. charge_text, line.lasts)
  elseif granted > 0 then
    charge(turn, granted)
  end
  states[place] = state_text(turn.state)
  views[place] = view(turn, granted)
end
keep_all(turns)
return answer('done', views, write_record(swap, table.concat(states, ';')))
