-- Puts holds in the place of others, and writes a record.
--
-- Uses base, algorithms, turns, records.
-- KEYS  each counter and its holds; then, if a record is written, its key, and its list's if any
-- ARGV  the time; caps (lib/turns); 'all' to exchange all or, if one is gone, none, or 'open'
--       to exchange those that are there; how many; for each the place of its counter, the
--       old hold, the new one, and how long that lasts in microseconds; then the record
--       (lib/records)
-- Returns an answer (lib/records): 'done', for 'all' with views; 'gone'; or 'conflict' with
-- the record that is there.
-- Slot  all keys lie in one slot where slots are enforced.

local caps = take_caps()
local mode = take()
local exchanges = {}
for i = 1, take_number() do
  exchanges[i] = {place = take_number(), old = take(), new = take(), lasts = take_number()}
end
local swap = take_swap(KEYS[2 * #caps + 1], KEYS[2 * #caps + 2])
if conflicts(swap) then
  return answer('conflict', nil, swap.before)
end

local turns, views = begin_all(caps), {}
for i = 1, #exchanges do
  local exchange = exchanges[i]
  exchange.is_open = redis.call('ZSCORE', turns[exchange.place].holds, exchange.old)
  if mode == 'all' and not exchange.is_open then
    return answer('gone')
  end
end
for i = 1, #exchanges do
  local exchange = exchanges[i]
  if exchange.is_open then
    local turn = turns[exchange.place]
    local old, new = read_hold(exchange.old), read_hold(exchange.new)
    correct(turn.cap, turn.state, old.charged_at, new.amount - old.amount)
    hold(turn.cap, turn.state, old.charged_at, new.amount - old.amount)
    take_hold(turn, exchange.old)
    put(turn, exchange.new, exchange.lasts)
    if mode == 'all' then
      views[i] = view(turn, new.amount)
    end
  end
end
keep_all(turns)
return answer('done', views, write_record(swap))
