-- How counters count, as core/algorithms.py and core/waiting.py say. Times are microseconds.
--
-- A state has the fields at, counted, carry and held; its text is these four numbers, with
-- the last two left out where they and all after them are 0. A cap has those of core's Cap.

local function read_state(value)
  local at, counted, carry, held = string.match(value, '^(%d+) (%d+) ?(%d*) ?(%d*)$')
  if not at then
    return nil
  end
  return {
    at = tonumber(at), counted = tonumber(counted),
    carry = tonumber(carry) or 0, held = tonumber(held) or 0,
  }
end

local function state_text(state)
  local value = text(state.at) .. ' ' .. text(state.counted)
  if state.held > 0 then
    return value .. ' ' .. text(state.carry) .. ' ' .. text(state.held)
  end
  return state.carry > 0 and value .. ' ' .. text(state.carry) or value
end

local function copy(state)
  return {at = state.at, counted = state.counted, carry = state.carry, held = state.held}
end

local function same(a, b)
  return a.at == b.at and a.counted == b.counted and a.carry == b.carry and a.held == b.held
end

local function take_cap()
  return {
    algorithm = take(), limit = take_number(), window = take_number(),
    refill = take_number(), start_us = take_number(), end_us = take_number(),
  }
end

-- Whether a decision can be made now: the window of a calendar must be the present one.
local function knows(cap)
  return cap.algorithm ~= 'calendar' or (cap.start_us <= now and now < cap.end_us)
end

local function drain(cap, state)
  local elapsed = math.max(0, now - state.at)
  local whole = math.floor(elapsed / cap.window)
  local drained, carry = muldiv(elapsed - whole * cap.window, cap.refill, cap.window)
  drained, carry = drained + whole * cap.refill, carry + state.carry
  if carry >= cap.window then
    drained, carry = drained + 1, carry - cap.window
  end
  local at = math.max(now, state.at)
  if drained >= state.counted then
    return {at = at, counted = 0, carry = 0, held = state.held}
  end
  return {at = at, counted = state.counted - drained, carry = carry, held = state.held}
end

-- The state as it is now. Without a state it is an empty one.
local function roll(cap, state)
  local algorithm, start = cap.algorithm, now
  if algorithm == 'token_bucket' then
    return state and drain(cap, state) or {at = now, counted = 0, carry = 0, held = 0}
  elseif algorithm == 'concurrency' then
    return state or {at = 0, counted = 0, carry = 0, held = 0}
  elseif algorithm == 'lifetime' then
    if state and (state.held > 0 or state.counted > 0 and now <= state.at + cap.window) then
      return state
    end
  elseif algorithm == 'first_hit' then
    if state and now < state.at + cap.window then
      return state
    end
  elseif algorithm == 'calendar' then
    if state and state.at >= cap.start_us then
      return state
    end
    return {at = cap.start_us, counted = 0, carry = cap.end_us, held = 0}
  else
    start = now - math.fmod(now, cap.window)
    if state and state.at >= start then
      return state
    end
    if state and algorithm == 'sliding_window' and state.at == start - cap.window then
      return {at = start, counted = 0, carry = state.counted, held = 0}
    end
  end
  return {at = start, counted = 0, carry = 0, held = 0}
end

-- How much of the limit a rolled state takes.
local function usage(cap, state)
  if cap.algorithm ~= 'sliding_window' or state.carry == 0 then
    return state.counted
  end
  local left = math.max(0, state.at + cap.window - math.max(now, state.at))
  local part, rest = muldiv(left, state.carry, cap.window)
  return state.counted + part + (rest > 0 and 1 or 0)
end

local function fits(cap, used, amount)
  return used + math.max(amount, 1) <= cap.limit
end

-- Counts an amount in a rolled state.
local function add(cap, state, amount)
  if cap.algorithm == 'lifetime' then
    state.at = math.max(state.at, now)
  end
  state.counted = clamp(state.counted + amount)
end

local WITHOUT_WINDOWS = {lifetime = true, token_bucket = true, concurrency = true}

-- The field that counts what was charged in the window that began at a time; nil if it is gone.
local function field_of(cap, state, charged_at)
  if charged_at == state.at or WITHOUT_WINDOWS[cap.algorithm] then
    return 'counted'
  end
  if cap.algorithm == 'sliding_window' and charged_at == state.at - cap.window then
    return 'carry'
  end
  return nil
end

-- Changes what was counted in a window, and says how much of what it gives back was missing.
local function correct(cap, state, charged_at, difference)
  local field = field_of(cap, state, charged_at)
  if not field then
    return 0
  end
  local sum = state[field] + difference
  state[field] = clamp(sum)
  return cap.algorithm ~= 'token_bucket' and math.max(0, -sum) or 0
end

local function hold(cap, state, charged_at, difference)
  if field_of(cap, state, charged_at) == 'counted' then
    state.held = clamp(state.held + difference)
  end
end

-- Until when a rolled state without holds is needed.
local function needed_until(cap, state)
  local algorithm = cap.algorithm
  if algorithm == 'calendar' then
    return state.at < cap.end_us and cap.end_us or state.carry
  elseif algorithm == 'lifetime' then
    return state.counted > 0 and state.at + cap.window + 1 or state.at
  elseif algorithm == 'sliding_window' then
    return state.at + cap.window * (state.counted > 0 and 2 or 1)
  elseif algorithm == 'token_bucket' and cap.refill > 0 then
    -- Not exact for large products; what it lacks is less than the grace.
    return state.at + state.counted * cap.window / cap.refill
  end
  return state.at + cap.window
end
