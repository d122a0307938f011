-- Counts the charges of many calls, each as core/counting.py says, and holds nothing.
--
-- Uses base, algorithms, turns.
-- KEYS  each counter, once; unless they are bare, each followed by its holds. A script of one
--       key goes on while its slot moves to another node.
-- ARGV  the time; 1 if the counters are bare; the number of caps, then each (lib/turns); for
--       each counter the place of its cap; then, for each call in turn:
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
-- says more; where nothing of the call is counted, -2 if a calendar's window is over, and -3
-- if holds must be looked at that were not given.
-- A view is the charge's place, a state, 1 if the charge fits, and holds that give back
-- (lib/turns), in the order of the charges.
-- Slot  all keys lie in one slot where slots are enforced.

local bare = take() == '1'
local STEP = bare and 1 or 2
local READ_AT_ONCE = 1000 -- unpack can take no more than some 8000

-- Their windows end at a time that is known, and what is held of former ones changes nothing.
local PLAIN = {fixed_window = true, first_hit = true, calendar = true}
local WINDOWLESS = {lifetime = true, token_bucket = true}

-- Numbers as text, and times to live: most counters of a call share a few.
local texts = setmetatable({}, {__index = function(known, number)
  known[number] = text(number)
  return known[number]
end})
local ttls = setmetatable({}, {__index = function(known, until_us)
  known[until_us] = ttl(until_us)
  return known[until_us]
end})

local function read_value(value)
  local at, counted = string.match(value, '^(%d+) (%d+)$')
  if at then
    return {at = tonumber(at), counted = tonumber(counted), carry = 0, held = 0}
  end
  return read_state(value)
end

-- Begins with a counter by its value. Holds are looked at where any can matter. A turn whose
-- holds do not matter is bare; it says when its window ends, if that is known.
local function begin_by(place, cap, value)
  local state = value and read_value(value)
  local plain = PLAIN[cap.algorithm]
  if not (plain or WINDOWLESS[cap.algorithm]) or (state and state.held > 0) then
    if bare then
      return {blind = true, cap = cap}
    end
    local turn = begin(place, cap)
    sweep(turn)
    return turn
  end
  state = roll(cap, state)
  local turn = {
    counter = KEYS[STEP * (place - 1) + 1], holds = KEYS[2 * place], cap = cap, due = {},
    state = state, bare = true,
  }
  if plain then
    turn.ends = needed_until(cap, state)
    turn.rest = turn.ends - math.max(now, state.at)
  end
  return turn
end

local function store(turn)
  if turn.blind then
    return
  elseif not turn.bare then
    keep(turn)
  elseif turn.changed then
    local state = turn.state
    local value
    if state.carry > 0 then
      value = state_text(state)
    else
      value = texts[state.at] .. ' ' .. text(state.counted)
    end
    redis.call(
      'SET', turn.counter, value, 'PX', ttls[turn.ends or needed_until(turn.cap, state)])
  end
end

local caps = take_caps()
local doubtful = not know_all(caps)
local turns = {}
for first = 1, #KEYS / STEP, READ_AT_ONCE do
  local last = math.min(first + READ_AT_ONCE - 1, #KEYS / STEP)
  local counters = {}
  for place = first, last do
    counters[#counters + 1] = KEYS[STEP * (place - 1) + 1]
  end
  local values = redis.call('MGET', unpack(counters))
  for place = first, last do
    turns[place] = begin_by(place, caps[take_number()], values[place - first + 1])
    doubtful = doubtful or turns[place].blind
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

local function apply(turn, amount)
  local before = turn.state.counted
  if amount > 0 then
    charge(turn, amount)
    turn.changed = true
  elseif amount < 0 then
    correct(turn.cap, turn.state, turn.state.at, amount)
    turn.touched = true
    turn.changed = turn.changed or turn.state.counted ~= before
  end
end

local numbers, views, told = {}, {}, 0

local function tell(turn, fits_in)
  local state = turn.state
  told = told + 1
  if turn.rest and fits_in then
    numbers[2 * told - 1], numbers[2 * told] = state.counted, turn.rest
    return
  end
  numbers[2 * told - 1], numbers[2 * told] = 0, -1
  local found = {}
  if not fits_in and not bare then
    found = refusal(turn)[8]
  end
  views[#views + 1] = {
    told, state.at, state.counted, state.carry, state.held, fits_in and 1 or 0, found,
  }
end

-- Where every charge is counted each is weighed with what is there when its turn comes. Most
-- charges are of this kind, so that they take no detours.
local function count_every(count)
  local at = taken
  taken = taken + 4 * count
  for _ = 1, count do
    local turn = turns[tonumber(ARGV[at + 1])]
    local amount, limit = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 4])
    local state, rest = turn.state, turn.rest
    local used = rest and state.counted or usage(turn.cap, state)
    local over = used + tonumber(ARGV[at + 3])
    at = at + 4
    local fits_in = over <= limit or (limit == MAX_AMOUNT)
    if rest and amount > 0 then
      local sum = used + amount
      state.counted = sum < MAX_AMOUNT and sum or MAX_AMOUNT
      turn.changed, turn.touched = true, true
    elseif amount ~= 0 then
      apply(turn, amount)
    end
    if rest and fits_in then
      told = told + 1
      numbers[2 * told - 1], numbers[2 * told] = state.counted, rest
    else
      tell(turn, fits_in)
    end
  end
end

local function count_some(counting, charges)
  if not weigh(charges) then
    if counting == 'only_over' then
      count_over(charges)
    else
      count_strictly(charges)
    end
  end
  for i = 1, #charges do
    local item = charges[i]
    if item.amount < 0 or not item.skipped then
      apply(item.turn, item.amount)
    end
    tell(item.turn, item.fits)
  end
end

-- Why none of the charges from the next argument on can be made, if that is so.
local function obstacle(count, width)
  for i = 0, count - 1 do
    local turn = turns[tonumber(ARGV[taken + 1 + width * i])]
    if not knows(turn.cap) then
      return -2
    elseif turn.blind then
      return -3
    end
  end
  return nil
end

local function skip(count, width, why)
  taken = taken + width * count
  for _ = 1, count do
    told = told + 1
    numbers[2 * told - 1], numbers[2 * told] = 0, why
  end
end

local counting = take()
while counting do
  local strict = counting == 'strict'
  local count, width = take_number(), strict and 7 or 4
  local why = doubtful and obstacle(count, width)
  if why then
    skip(count, width, why)
  elseif counting == 'every' then
    count_every(count)
  else
    local charges = {}
    for i = 1, count do
      charges[i] = take_charge(strict)
    end
    count_some(counting, charges)
  end
  counting = take()
end

for place = 1, #turns do
  store(turns[place])
end
return {now, numbers, views}
