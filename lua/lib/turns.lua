-- Counters with their holds, and what one message does to them, as core/holds.py says.
--
-- KEYS[2 * place - 1] is a counter, KEYS[2 * place] the sorted set of its holds: the members
-- are "<kind>:<id>:<amount>:<time of the window that was charged>", the scores their expiry.
-- ARGV has the number of counters, then a cap for each: algorithm, limit, window, refill,
-- start and end of a calendar's window.

local SWEEP_BOUND = 200
local LOOKED_AT = 100
local OPEN = {t = true, k = true, r = true, l = true}
local GIVES_BACK = {t = true, r = true, l = true}
local LEAVES = {k = 'K', r = 'R'}

local function read_hold(member)
  local kind, id, amount, charged_at = string.match(member, '^(.):([^:]*):(%d+):(%d+)$')
  return {
    kind = kind, id = id, amount = tonumber(amount), charged_at = tonumber(charged_at),
    member = member,
  }
end

-- What a hold becomes when its kind changes.
local function as_kind(kind, member)
  return kind .. string.sub(member, 2)
end

-- What a hold has charged is no longer held.
local function let_go(turn, held)
  if OPEN[held.kind] then
    hold(turn.cap, turn.state, held.charged_at, -held.amount)
  end
end

-- Ends holds that are due in the state alone.
local function end_due(turn)
  turn.due = redis.call(
    'ZRANGEBYSCORE', turn.holds, '-inf', text(now), 'WITHSCORES', 'LIMIT', 0, SWEEP_BOUND)
  for i = 1, #turn.due, 2 do
    local held = read_hold(turn.due[i])
    if GIVES_BACK[held.kind] then
      correct(turn.cap, turn.state, held.charged_at, -held.amount)
    end
    let_go(turn, held)
  end
  turn.state = roll(turn.cap, turn.state)
end

-- Reads a counter as it is now. Writes nothing.
local function begin(place, cap)
  local turn = {
    counter = KEYS[2 * place - 1], holds = KEYS[2 * place], cap = cap, due = {},
  }
  local value = redis.call('GET', turn.counter)
  local state = value and read_state(value)
  local first = redis.call('ZRANGE', turn.holds, 0, 0, 'WITHSCORES')[2]
  if state and not first then
    -- Holds may have been lost: nothing is held, and nothing is in flight.
    state.held = 0
    state.counted = cap.algorithm ~= 'concurrency' and state.counted or 0
  end
  turn.exists, turn.has_holds = state and true, first and true
  turn.state = roll(cap, state)
  turn.rolled = copy(turn.state)
  if first and tonumber(first) <= now then
    end_due(turn)
  end
  return turn
end

-- Removes the holds that were due, and stores what they gave back. No key lives longer for it.
local function sweep(turn)
  local due = turn.due
  if #due == 0 then
    return
  end
  for i = 1, #due, 2 do
    local left, until_us = LEAVES[string.sub(due[i], 1, 1)], tonumber(due[i + 1]) + LATE
    if left and until_us > now then
      -- Before the other goes: a key that was empty for a moment would have lost its expiry.
      redis.call('ZADD', turn.holds, text(until_us), as_kind(left, due[i]))
    end
    redis.call('ZREM', turn.holds, due[i])
  end
  turn.due = {}
  if turn.exists and not same(turn.state, turn.rolled) then
    redis.call('SET', turn.counter, state_text(turn.state), 'KEEPTTL')
    turn.rolled = copy(turn.state)
  end
end

-- Counts an amount. Even one of 0 makes the window begin.
local function charge(turn, amount)
  add(turn.cap, turn.state, amount)
  turn.begun, turn.touched = true, true
end

-- Adds a hold, or changes its expiry.
local function put(turn, member, lasts)
  redis.call('ZADD', turn.holds, text(now + lasts), member)
  turn.has_holds, turn.touched = true, true
end

-- Removes a hold, and tells whether it was there.
local function take_hold(turn, member)
  local was_there = redis.call('ZREM', turn.holds, member) == 1
  turn.touched = turn.touched or was_there
  return was_there
end

-- Stores what a message has changed by more than the passing of time. Both keys live as long
-- as the window, the holds and what expired holds leave.
local function keep(turn)
  if not turn.touched then
    return
  end
  local until_us = needed_until(turn.cap, turn.state)
  local last = turn.has_holds and redis.call('ZRANGE', turn.holds, -1, -1, 'WITHSCORES')[2]
  if last then
    local late = turn.cap.algorithm ~= 'concurrency' and LATE or 0
    until_us = math.max(until_us, tonumber(last) + late)
    redis.call('PEXPIRE', turn.holds, ttl(until_us))
  end
  if turn.begun or not same(turn.state, turn.rolled) then
    redis.call('SET', turn.counter, state_text(turn.state), 'PX', ttl(until_us))
  else
    redis.call('PEXPIRE', turn.counter, ttl(until_us))
  end
end

local function keep_all(turns)
  for place = 1, #turns do
    keep(turns[place])
  end
end

local function take_caps()
  local caps = {}
  for place = 1, take_number() do
    caps[place] = take_cap()
  end
  return caps
end

-- Whether the decision can be made now for every cap.
local function know_all(caps)
  for place = 1, #caps do
    if not knows(caps[place]) then
      return false
    end
  end
  return true
end

-- Begins with every counter, and ends the holds that are due.
local function begin_all(caps)
  local turns = {}
  for place = 1, #caps do
    turns[place] = begin(place, caps[place])
    sweep(turns[place])
  end
  return turns
end

-- What is answered of a counter: its state, what was granted, whether that fits (1 or 0), what
-- could not be given back, and of each hold that will give back its expiry, its window, its amount.
local function view(turn, granted, missing)
  local state = turn.state
  return {state.at, state.counted, state.carry, state.held, granted, 1, missing or 0, {}}
end

-- The view of a counter where something does not fit, and its state without tentative holds.
local function refusal(turn)
  local releases, decided = {}, copy(turn.state)
  local skipped = #turn.due / 2
  local found = redis.call(
    'ZRANGE', turn.holds, skipped, skipped + LOOKED_AT - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local held = read_hold(found[i])
    if GIVES_BACK[held.kind] and held.amount > 0 then
      local last = #releases
      releases[last + 1] = tonumber(found[i + 1])
      releases[last + 2], releases[last + 3] = held.charged_at, held.amount
    end
    if held.kind == 't' then
      correct(turn.cap, decided, held.charged_at, -held.amount)
    end
  end
  local refused = view(turn, 0)
  refused[6], refused[8] = 0, releases
  return refused, decided
end

-- How much of an amount fits; nil where even the minimum does not.
local function offer(turn, amount, minimum)
  local used = usage(turn.cap, turn.state)
  if fits(turn.cap, used, amount) then
    return amount
  end
  return fits(turn.cap, used, minimum) and turn.cap.limit - used or nil
end
