-- Counts the charges of many calls, each as core/counting.py says, and holds nothing.
--
-- Uses base, algorithms, turns.
-- KEYS  each counter, once, and its holds. Where slots are enforced all lie in one slot.
-- ARGV  the time; the number of caps, then each (lib/turns); for each counter the place of its
--       cap; then, for each call in turn:
--         counting      'every', 'only_over' or 'strict'
--         n             how many charges follow, each as four arguments, in 'strict' as seven:
--           counter     its place, from 1
--           amount      above 0 counts, below 0 gives back, 0 looks and writes nothing
--           asks        how much more must fit under the limit
--           limit
--           always      1 if it counts even where the call is refused
--           refuses     1 if the call is refused where it does not fit
--           quota       the number of its quota; 0 is none
-- Returns the time, numbers and views. Numbers are, for each charge in turn, what its counter's
-- usage is after it and the microseconds until its window ends; the latter is -1 where a view
-- says more, -2 where a calendar's window is over, so that nothing of the call is counted.
-- A view is the charge's place, a state, 1 if the charge fits, and holds that give back
-- (lib/turns), in the order of the charges.
-- Slot  all keys lie in one slot where slots are enforced.

local READ_AT_ONCE = 1000 -- unpack can take no more than some 8000

-- Their windows end at a time that is known, and what is held of former ones changes nothing.
local PLAIN = {fixed_window = true, first_hit = true, calendar = true}
local WINDOWLESS = {lifetime = true, token_bucket = true}

-- Begins with a counter by its value. Holds are looked at where any can matter.
local function begin_by(place, cap, value)
  local state = value and read_state(value)
  local simple = PLAIN[cap.algorithm] or WINDOWLESS[cap.algorithm]
  if not simple or (state and state.held > 0) then
    local turn = begin(place, cap)
    sweep(turn)
    return turn
  end
  state = roll(cap, state)
  return {
    counter = KEYS[2 * place - 1], holds = KEYS[2 * place], cap = cap, due = {},
    state = state, rolled = copy(state), bare = true,
  }
end

local function store(turn)
  if not turn.bare then
    keep(turn)
  elseif turn.touched and (turn.begun or not same(turn.state, turn.rolled)) then
    local until_us = needed_until(turn.cap, turn.state)
    redis.call('SET', turn.counter, state_text(turn.state), 'PX', ttl(until_us))
  end
end

local caps = take_caps()
local turns = {}
for first = 1, #KEYS / 2, READ_AT_ONCE do
  local last = math.min(first + READ_AT_ONCE - 1, #KEYS / 2)
  local counters = {}
  for place = first, last do
    counters[#counters + 1] = KEYS[2 * place - 1]
  end
  local values = redis.call('MGET', unpack(counters))
  for place = first, last do
    turns[place] = begin_by(place, caps[take_number()], values[place - first + 1])
  end
end

local function take_charge(strict)
  local item = {turn = turns[take_number()], amount = take_number(), asks = take_number()}
  item.limit = take_number()
  if strict then
    item.always, item.refuses = take() == '1', take() == '1'
    item.quota = take_number()
  end
  return item
end

-- Says of each charge whether it fits, weighed with those before it, and whether all do.
local function weigh(charges)
  local running, all = {}, true
  for i = 1, #charges do
    local item = charges[i]
    local turn = item.turn
    local before = running[turn] or usage(turn.cap, turn.state)
    item.fits = clamp(before + item.asks) <= item.limit
    all = all and item.fits
    running[turn] = clamp(before + item.amount)
  end
  return all
end

-- Marks what is counted where only what goes over is.
local function count_over(charges)
  local over = {}
  for i = 1, #charges do
    over[charges[i].turn] = over[charges[i].turn] or not charges[i].fits
  end
  for i = 1, #charges do
    charges[i].skipped = not over[charges[i].turn]
  end
end

-- Marks what is counted where a refused call charges nothing but what counts always.
local function count_strictly(charges)
  local quotas, over, refused, any = {}, {}, false, false
  for i = 1, #charges do
    local item = charges[i]
    local stops = item.refuses and not item.fits
    if item.quota > 0 then
      any, quotas[item.quota] = true, true
      over[item.quota] = over[item.quota] or stops
    elseif stops then
      refused = true
    end
  end
  for quota in pairs(quotas) do
    any = any and over[quota]
  end
  refused = refused or any
  for i = 1, #charges do
    local item = charges[i]
    item.skipped = not item.always
      and (refused or (item.refuses and not item.fits))
  end
end

local function apply(item)
  local turn, amount = item.turn, item.amount
  if amount > 0 and not item.skipped then
    charge(turn, amount)
  elseif amount < 0 then
    correct(turn.cap, turn.state, turn.state.at, amount)
    turn.touched = true
  end
end

local numbers, views = {}, {}

local function tell(item)
  local turn, place = item.turn, #numbers / 2 + 1
  local state = turn.state
  numbers[2 * place - 1] = usage(turn.cap, state)
  if item.fits and PLAIN[turn.cap.algorithm] then
    numbers[2 * place] = needed_until(turn.cap, state) - math.max(now, state.at)
    return
  end
  numbers[2 * place] = -1
  local found = {}
  if not item.fits then
    found = refusal(turn)[8]
  end
  views[#views + 1] = {
    place, state.at, state.counted, state.carry, state.held, item.fits and 1 or 0, found,
  }
end

local function count(counting, charges)
  if not weigh(charges) then
    if counting == 'only_over' then
      count_over(charges)
    elseif counting == 'strict' then
      count_strictly(charges)
    end
  end
  for i = 1, #charges do
    apply(charges[i])
    tell(charges[i])
  end
end

local function all_known(charges)
  for i = 1, #charges do
    if not knows(charges[i].turn.cap) then
      return false
    end
  end
  return true
end

local counting = take()
while counting do
  local charges = {}
  for i = 1, take_number() do
    charges[i] = take_charge(counting == 'strict')
  end
  if all_known(charges) then
    count(counting, charges)
  else
    for _ = 1, #charges do
      numbers[#numbers + 1], numbers[#numbers + 2] = 0, -2
    end
  end
  counting = take()
end

for place = 1, #turns do
  store(turns[place])
end
return {now, numbers, views}
