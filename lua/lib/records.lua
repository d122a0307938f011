-- What is remembered of reservations, as core/records.py says: a hash for each.
--
-- The record's key, and after it that of its list of due records where there is one, come
-- after all counters and holds in KEYS. A list is a sorted set of names by when they are due.

local FIELDS = {
  'revision', 'state', 'payload', 'secret', 'expires', 'body', 'admitted', 'states',
}

-- The record, as the values of its fields in that order; nil if none or at its end.
local function find_record(key)
  local record = redis.call('HMGET', key, unpack(FIELDS))
  if not record[1] or tonumber(record[5]) + LATE <= now then
    return nil
  end
  return record
end

-- ARGV has, where a record is to be written: its name, the revision expected, the new state,
-- payload, secret and body, how long the reservation lasts, when it is due, and states of
-- counters.
local function take_swap(key, list)
  if not key then
    return nil
  end
  return {
    key = key, list = list, before = find_record(key),
    name = take(), expected = take_number(), state = take(), payload = take(),
    secret = take(), body = take(), lasts = take_number(), due = take_number(),
    states = take(),
  }
end

local function conflicts(swap)
  return swap and swap.expected ~= (swap.before and tonumber(swap.before[1]) or 0)
end

local function list_due(swap, until_us)
  if not swap.list then
    return
  end
  if swap.due == 0 then
    redis.call('ZREM', swap.list, swap.name)
    return
  end
  redis.call('ZADD', swap.list, text(now + swap.due), swap.name)
  if redis.call('PTTL', swap.list) < tonumber(ttl(until_us)) then
    redis.call('PEXPIRE', swap.list, ttl(until_us))
  end
end

-- Writes the record, and returns it. The states given are kept, else those of the swap, else
-- the former ones.
local function write_record(swap, states)
  if not swap then
    return {}
  end
  local before = swap.before
  local expires = text(now + swap.lasts)
  if before and swap.lasts == 0 then
    expires = before[5]
  end
  states = states and states ~= '' and states or swap.states
  local admitted = states ~= '' and text(now) or '0'
  if before and states == '' then
    admitted, states = before[7], before[8]
  end
  local record = {
    text(swap.expected + 1), swap.state, swap.payload, swap.secret, expires, swap.body,
    admitted, states,
  }
  local arguments = {}
  for i = 1, #FIELDS do
    arguments[2 * i - 1], arguments[2 * i] = FIELDS[i], record[i]
  end
  redis.call('HSET', swap.key, unpack(arguments))
  local until_us = tonumber(expires) + LATE
  redis.call('PEXPIRE', swap.key, ttl(until_us))
  list_due(swap, until_us)
  return record
end

-- What every message answers: a verdict, the time, a view of each item, the record as the
-- values of its fields or nothing, and names.
local function answer(verdict, views, record, names)
  return {verdict, now, views or {}, record or {}, names or {}}
end
