-- Ends holds, corrects what they charged to what was really used, and writes a record.
--
-- Uses base, algorithms, turns, records.
-- KEYS  each counter and its holds; then, if a record is written, its key, and its list's if any
-- ARGV  the time; caps (lib/turns); how many payments; for each the place of its counter, its
--       hold and the actual amount; then the record (lib/records)
-- Returns an answer (lib/records): 'done' with a view for each payment, or 'conflict' with the
-- record that is there.
-- Slot  all keys lie in one slot where slots are enforced.

local caps = take_caps()
local payments = {}
for i = 1, take_number() do
  payments[i] = {place = take_number(), held = read_hold(take()), actual = take_number()}
end
local swap = take_swap(KEYS[2 * #caps + 1], KEYS[2 * #caps + 2])
if conflicts(swap) then
  return answer('conflict', nil, swap.before)
end

-- Takes a hold, or what it left when it expired, and says what is charged and by how much
-- that changes the sum; nothing where there is neither.
local function redeem(turn, held, actual)
  if take_hold(turn, held.member) then
    actual = held.kind == 'l' and 0 or actual
    let_go(turn, held)
    return actual, actual - held.amount
  elseif take_hold(turn, as_kind('K', held.member)) then
    return actual, actual - held.amount
  elseif take_hold(turn, as_kind('R', held.member)) then
    return actual, actual
  end
  return nil
end

local turns, views = begin_all(caps), {}
for i = 1, #payments do
  local turn, held = turns[payments[i].place], payments[i].held
  local actual, difference = redeem(turn, held, payments[i].actual)
  local missing = actual and correct(turn.cap, turn.state, held.charged_at, difference)
  views[i] = view(turn, actual or 0, missing)
end
keep_all(turns)
return answer('done', views, write_record(swap))
