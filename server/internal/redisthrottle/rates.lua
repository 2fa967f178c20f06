-- SPDX-License-Identifier: Apache-2.0
-- Copyright 2026 The watchword authors

-- The arithmetic of package throttle, run where the lanes are kept. Times are
-- whole milliseconds; every number stays far below 2^53. A test holds every
-- step equal to the Go code, so read the comments there.
--
-- Records, little-endian:
--   pool  B 1 I6 base I6 last I6 slow I6 repeat I2 fails B closed, then for each
--         guess I4 what I2 tag, where what is
--           base - at                                     if it was wrong,
--           2^31 + tagged * 2^30 + refs * 2^24 + base - at  if it is awaited,
--         and base is when the youngest was charged
--   list  B n, n times I4 id I2 day B closed
--   rate  decimal text
-- Every write sets a TTL. One run makes any number of decisions, each seeing
-- what those before it wrote. ARGV is the number of rule sets, the rule sets,
-- and then the decisions, each packed; a decision takes the next of the KEYS.
-- The answer is an array of packed strings.
--
-- A server does little else than this while it is guessed at, and it makes
-- every function anew for every run. So calls are few, numbers seldom become
-- text, what begin does not need is made on demand, and names in capitals are
-- put in as numbers before the script is sent:
--
--   TAG_LIFE = 86400000
--   QUIET_LIFE = 2592000000
--   QUIET_MOST = 13
--   CLOSED_LIFE = 315360000000
--   REPEAT_COST = 1000
--   REPEAT_ROOM = 100000
--   REPEAT_SHARE = 10
--   MAX_REFS = 63
--   PARALLEL = 1000
--   ENTRIES = 10
--   DEVICES = 8
--   DAY = 86400000
--   GRACE = 60000
--   HEAD = 28
--   ENTRY = 6
--   AWAITED = 2147483648
--   TAGGED = 1073741824
--   REF = 16777216
--   WAITS = 1
--   CLOSED = 2
--   TOO_PARALLEL = 4
--   SLOW = 8
--   CHARGED = 1
--   SHARED = 2
--   KNOWN = 3
--   SUCCESS = 1
--   BAD = 2
--   SECOND = 3
--   CANCELLED = 4
--   FLAG_TAGGED = 1
--   FLAG_CHALLENGED = 2
--   FLAG_ASKED = 4
--   FLAG_RATES = 8
--   FLAG_SHARE = 128

local call, pack, unstruct, format = redis.call, struct.pack, struct.unpack, string.format
local max, min, floor, remove = math.max, math.min, math.floor, table.remove
local KEYS, ARGV = KEYS, ARGV

-- What one decision is about: the rules of unknown devices and of a known one,
-- of the rates, and its packed numbers.
local U, K = {}, {}
local PAIR, NEAR, MIDDLE, FAR = {why = 128}, {why = 16}, {why = 32}, {why = 64}
local base, keys, now, channel, device, tag, flags, echo, packed, rest = 0

-- has reports whether the bit worth m is set in n.
local function has(n, m) return floor(n / m) % 2 == 1 end

-- put is SET with a TTL, which Redis itself would write with 17 digits.
local function put(key, value, ttl) call('SET', key, value, 'PX', format('%d', ttl)) end

-- lanesFrom returns the rate lanes of a decision, whose keys begin at the given one.
local function lanesFrom(first)
  local out, n, at = {}, 0, base + first
  for i = 1, 4 do
    if floor(flags / FLAG_RATES / 2 ^ (i - 1)) % 2 == 1 then
      local l = i == 1 and PAIR or i == 2 and NEAR or i == 3 and MIDDLE or FAR
      n, l.key, at = n + 1, KEYS[at], at + 1
      out[n] = l
    end
  end
  return out, n
end

local function cost(l, kind)
  if kind == CHARGED then return l.cost end
  return max(1, floor(l.cost / REPEAT_SHARE))
end

-- tryRates asks every rate lane, whose values are given from the second on,
-- and books on all of them if none refuses and go is true. A rate that is not
-- a number counts as full.
local function tryRates(lanes, values, kind, go)
  local why, retry, n, to = 0, 0, #lanes, {}
  for i = 1, n do
    local l, tat = lanes[i], values[i + 1]
    local full = now + l.room
    tat = tat and (tonumber(tat) or full) or 0
    if not (tat <= full) then -- the clock went back, or it is no number at all
      tat = full
      put(l.key, format('%d', full), l.room + GRACE)
    end
    tat = max(tat, now) + cost(l, kind)
    if tat > full then why, retry = why + l.why, max(retry, tat - full) end
    to[i] = tat
  end
  if why == 0 and go then
    for i = 1, n do put(lanes[i].key, format('%d', to[i]), to[i] - now + GRACE) end
  end
  return why, retry
end

local run = {}

run[3] = function() -- rates
  -- KEYS: rates; further: B kind. Books if none refuses.
  local lanes, n = lanesFrom(1)
  local values = {}
  for i = 1, n do values[i + 1] = call('GET', lanes[i].key) end
  return pack('<I4I4I6', echo, tryRates(lanes, values, unstruct('<B', packed, rest), true))
end

-- refunds makes what an outcome needs, and returns settleRates.
local function refunds()
  local function rateOf(l)
    local v = call('GET', l.key)
    return v and (tonumber(v) or now + l.room) or 0
  end

  local function setRate(key, tat)
    if tat <= now then call('DEL', key) else put(key, format('%d', tat), tat - now + GRACE) end
  end

  -- settleRates books an outcome on the rate lanes.
  local function settleRates(lanes, kind, o, reported)
    for _, l in ipairs(lanes) do
      if reported and (o == BAD or o == SECOND) and kind == CHARGED then
        local full = now + l.room
        setRate(l.key, min(max(min(rateOf(l), full), now) + l.cost, full))
      elseif o == SUCCESS or o == CANCELLED then
        if l == PAIR and o == SUCCESS then call('DEL', l.key)
        elseif not reported then
          local tat = rateOf(l)
          if tat > 0 then setRate(l.key, max(0, tat - cost(l, kind))) end
        end
      end
    end
  end

  run[4] = function() -- refund
    -- KEYS: rates; further: B kind B outcome B reported
    local kind, o, reported = unstruct('<BBB', packed, rest)
    settleRates(lanesFrom(1), kind, o, reported == 1)
    return pack('<I4', echo)
  end

  run[7] = function() -- booked
    -- KEYS: rates. Answers how much is booked on each.
    local out = {pack('<I4I6', echo, now)}
    for _, l in ipairs(lanesFrom(1)) do
      out[#out + 1] = pack('<I6', max(0, min(rateOf(l), now + l.room) - now))
    end
    return table.concat(out)
  end

  return settleRates
end

-- more makes the operations that run lacks.
local more = refunds
setmetatable(run, {__index = function(_, op) more() return rawget(run, op) end})
