-- Charges counters of fixed windows, all in one step, and says what each then holds.
--
-- KEYS  the counters, each once. Where slots are enforced all lie in one slot.
-- ARGV  1               the time in microseconds since the epoch; '' takes the server's
--       2 .. #KEYS + 1  the window of each counter, in microseconds
--       then, for each operation in turn:
--         counting      'every' counts all charges of the operation. 'only_over' does so
--                       unless some counter would go above its limit: then only the charges
--                       of such counters are counted, and what is given back
--         n             how many charges follow, each as three arguments:
--           counter     its place in KEYS, from 1
--           amount      above 0 counts, below 0 gives back, 0 looks and writes nothing
--           limit       matters to 'only_over' alone
-- Returns, for each charge in turn, two integers: what the counter holds after it, from 0 to
-- 2^53 - 1, and the microseconds until its window ends.
--
-- A counter's value is the text "<start of its window in microseconds> <count>". A window
-- begins at a multiple of its length since the epoch, and none comes back once a later one
-- was written. core/algorithms.py and core/counting.py say the same in Python.
--
-- Numbers are written by %.0f, since tostring keeps 14 digits only.

local MAX_AMOUNT = 9007199254740991
local GRACE_MS = 10000 -- a counter outlives its window by this, should the clock step back
local READ_AT_ONCE = 1000 -- unpack can take no more than some 8000

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- A window, with all that is written of it. The number of microseconds is given and as text.
local function window_of(start, text, length)
  local reset = start + length - math.max(now, start)
  local ttl_ms = math.ceil(reset / 1000) + GRACE_MS
  return {start = start, text = text, reset = reset, ttl = string.format('%.0f', ttl_ms)}
end

-- The windows that hold now, by length: most counters of a call share one.
local current = setmetatable({}, {__index = function(windows, length)
  local start = now - math.fmod(now, length)
  windows[length] = window_of(start, string.format('%.0f', start), length)
  return windows[length]
end})

local window, counted, changed = {}, {}, {}

local function read(counter, value)
  local length = tonumber(ARGV[counter + 1])
  window[counter], counted[counter] = current[length], 0
  if not value then
    return
  end
  local start_text, count = string.match(value, '^(%d+) (%d+)$')
  if start_text == window[counter].text then
    counted[counter] = tonumber(count)
  elseif start_text and tonumber(start_text) > window[counter].start then
    window[counter] = window_of(tonumber(start_text), start_text, length)
    counted[counter] = tonumber(count)
  end
end

local function write(counter)
  local value = window[counter].text .. ' ' .. string.format('%.0f', counted[counter])
  redis.call('SET', KEYS[counter], value, 'PX', window[counter].ttl)
end

local function add(count, amount)
  return math.max(0, math.min(count + amount, MAX_AMOUNT))
end

-- The counters that the charges from first to last would leave above their limits; nil if none.
local function counters_over(first, last)
  local running, over = {}, nil
  for i = first, last, 3 do
    local counter = tonumber(ARGV[i])
    local count = add(running[counter] or counted[counter], tonumber(ARGV[i + 1]))
    running[counter] = count
    if count > tonumber(ARGV[i + 2]) then
      over = over or {}
      over[counter] = true
    end
  end
  return over
end

for first = 1, #KEYS, READ_AT_ONCE do
  local last = math.min(first + READ_AT_ONCE - 1, #KEYS)
  local values = redis.call('MGET', unpack(KEYS, first, last))
  for counter = first, last do
    read(counter, values[counter - first + 1])
  end
end

local answers, answered = {}, 0
local at = #KEYS + 2
while ARGV[at] do
  local first, last = at + 2, at + 1 + 3 * ARGV[at + 1]
  local over = ARGV[at] == 'only_over' and counters_over(first, last) or nil
  for i = first, last, 3 do
    local counter, amount = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
    if amount < 0 or amount > 0 and (not over or over[counter]) then
      counted[counter] = add(counted[counter], amount)
      changed[counter] = true
    end
    answers[answered + 1] = counted[counter]
    answers[answered + 2] = window[counter].reset
    answered = answered + 2
  end
  at = last + 1
end

for counter in pairs(changed) do
  write(counter)
end
return answers
