-- Time, numbers and arguments.
--
-- ARGV[1] is the time in microseconds since the epoch; '' takes the server's.
-- Numbers are doubles, exact below 2^53. They are written by %.0f, since tostring keeps 14
-- digits only.

local MAX_AMOUNT = 9007199254740991
local LATE = 3600000000 -- how long what has expired can still be settled, in microseconds
local GRACE_MS = 10000 -- everything outlives its use by this, should the clock step back

local function text(number)
  return string.format('%.0f', number)
end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local taken = 1

-- The next argument.
local function take()
  taken = taken + 1
  return ARGV[taken]
end

local function take_number()
  taken = taken + 1
  return tonumber(ARGV[taken])
end

-- The time to live of a key that is needed until a time, as PX takes it.
local function ttl(until_us)
  local ms = math.ceil(math.max(until_us - now, 0) / 1000) + GRACE_MS
  return text(math.min(ms, MAX_AMOUNT))
end

local function clamp(amount)
  return math.max(0, math.min(amount, MAX_AMOUNT))
end

-- The quotient and the remainder of a * b / c, exactly, for a up to c, c up to 2^51 and b and
-- the quotient below 2^53. Long multiplication: b is taken in digits so small that no
-- product of one leaves the exact range.
local function muldiv(a, b, c)
  local product = a * b
  if product <= MAX_AMOUNT then
    local quotient = math.floor(product / c)
    return quotient, product - quotient * c
  end
  local base = math.floor(4503599627370496 / c)
  local high = math.floor(b / base)
  local quotient, remainder = muldiv(a, high, c)
  local rest = remainder * base + a * (b - high * base)
  local more = math.floor(rest / c)
  return quotient * base + more, rest - more * c
end
