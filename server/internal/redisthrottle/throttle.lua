-- SPDX-License-Identifier: Apache-2.0
-- Copyright 2026 The watchword authors

-- The arithmetic of package throttle, run where the lanes are kept. Times are
-- whole milliseconds; every number stays far below 2^53. A test holds every
-- step equal to the Go code, so read the comments there.
--
-- Records, little-endian:
--   pool  I6 last I6 slow I6 repeat I2 fails B closed B n I2 pending I2 tagged, n times I6 at I2 tag B refs
--   list  B n, n times I4 id I2 day B closed
--   rate  decimal text
-- Every write sets a TTL. One run makes any number of decisions, each seeing
-- what those before it wrote: each ARGV is one, packed, and takes the next of
-- the KEYS. The answer is an array of packed strings.

local TAG_LIFE, QUIET_LIFE, QUIET_MOST, CLOSED_LIFE = 86400000, 2592000000, 13, 315360000000
local REPEAT_COST, REPEAT_ROOM, MAX_REFS, PARALLEL = 1000, 100000, 63, 1000
local ENTRIES, DEVICES, GRACE, ENTRY = 10, 8, 60000, 'I6I2B'
local WAITS, CLOSED, TOO_PARALLEL, SLOW = 1, 2, 4, 8
local RATE_WHY = {128, 16, 32, 64}
local CHARGED, SHARED, KNOWN = 1, 2, 3
local SUCCESS, BAD, SECOND, CANCELLED = 1, 2, 3, 4
local max, min, floor = math.max, math.min, math.floor
local call, pack, unstruct = redis.call, struct.pack, struct.unpack

local time
local function clock(given)
  if given > 0 then return given end
  if not time then
    local t = call('TIME')
    time = tonumber(t[1]) * 1000 + floor(tonumber(t[2]) / 1000)
  end
  return time
end

local function bit(n, i) return floor(n / 2 ^ i) % 2 == 1 end

local function load(s)
  local p = {last = 0, slow = 0, rep = 0, fails = 0, closed = 0, g = {}}
  if not s then return p, false end
  local n = string.byte(s, 22)
  if not n or n > ENTRIES or #s ~= 26 + 9 * n then
    -- Not what was written: the lane is closed until somebody looks at it.
    p.closed = 1
    return p, true
  end
  local pending, tagged, at
  p.last, p.slow, p.rep, p.fails, p.closed, n, pending, tagged, at = unstruct('<I6I6I6I2BBI2I2', s)
  for i = 1, n do
    local g = {}
    g.at, g.tag, g.refs, at = unstruct('<I6I2B', s, at)
    g.pending, g.tagged = bit(pending, i - 1), bit(tagged, i - 1)
    p.g[i] = g
  end
  return p, true
end

local function charged(p)
  local m = p.fails
  local all = p.g
  for i = 1, #all do local g = all[i] if g.pending then m = m + 1 end end
  return m
end

local function latest(p)
  local t = p.last
  local all = p.g
  for i = 1, #all do local g = all[i] if g.pending then t = max(t, g.at) end end
  return t
end

local function wait(r, m)
  if m < r.free then return 0 end
  local w = r.first
  while m > r.free and w < r.longest do w, m = w * 2, m - 1 end
  return min(w, r.longest)
end

local function expiry(p, now)
  if p.closed == 1 then return now + CLOSED_LIFE end
  local till, m = max(p.slow, p.rep), charged(p)
  if m > 0 then till = max(till, latest(p) + QUIET_LIFE * min(m + 1, QUIET_MOST)) end
  return till
end

local function fail(p, r, at)
  if p.fails < 65535 then p.fails = p.fails + 1 end
  p.last = max(p.last, at)
  if p.fails >= r.close then p.closed = 1 end
end

local function keepWrong(p, i)
  local g = p.g[i]
  if not g.tagged then table.remove(p.g, i) return false end
  g.pending, g.refs = false, 0
  return true
end

-- settle returns the pool brought up to now, and whether time has changed it.
local function settle(p, r, now)
  local moved = p.last > now or p.slow > now + r.slowRoom or p.rep > now + REPEAT_ROOM
  p.last, p.slow, p.rep = min(p.last, now), min(p.slow, now + r.slowRoom), min(p.rep, now + REPEAT_ROOM)
  for _, g in ipairs(p.g) do
    if g.at > now then g.at, moved = now, true end
  end
  local i = 1
  while i <= #p.g do
    local g = p.g[i]
    if g.pending and g.at + r.pending <= now then
      fail(p, r, g.at)
      moved = true
      if keepWrong(p, i) then i = i + 1 end
    elseif not g.pending and g.at + TAG_LIFE <= now then
      table.remove(p.g, i)
      moved = true
    else
      i = i + 1
    end
  end
  if expiry(p, now) <= now then
    p, moved = {last = 0, slow = 0, rep = 0, fails = 0, closed = 0, g = {}}, true
  end
  return p, moved
end

local function save(key, p, now)
  local all, n = p.g, #p.g
  if p.last == 0 and p.slow == 0 and p.rep == 0 and p.fails == 0 and p.closed == 0 and n == 0 then
    call('DEL', key)
    return
  end
  local pending, tagged, weight, out = 0, 0, 1, {}
  for i = 1, n do
    local g = all[i]
    if g.pending then pending = pending + weight end
    if g.tagged then tagged = tagged + weight end
    weight = weight * 2
    out[3 * i - 2], out[3 * i - 1], out[3 * i] = g.at, g.tag, g.refs
  end
  call('SET', key, pack('<I6I6I6I2BBI2I2' .. ENTRY:rep(n), p.last, p.slow, p.rep, p.fails, p.closed, n, pending, tagged, unpack(out)),
    'PX', max(expiry(p, now) - now, 0) + GRACE)
end

local function find(p, tag, tagged)
  local all = p.g
  for i = 1, #all do
    if all[i].tag == tag and all[i].tagged == tagged then return i end
  end
end

local function add(p, at, tag, tagged, pending)
  if #p.g == ENTRIES then
    local oldest
    for i, g in ipairs(p.g) do
      if not g.pending and (not oldest or g.at < p.g[oldest].at) then oldest = i end
    end
    if not oldest then return end
    table.remove(p.g, oldest)
  end
  p.g[#p.g + 1] = {at = at, tag = tag, refs = pending and 1 or 0, pending = pending, tagged = tagged}
end

local function admit(p, r, now, tag, tagged, same, challenged)
  if p.closed == 1 then return 0, CLOSED, r.longest end
  local i = same and find(p, tag, tagged)
  local late = max(p.rep, now) + REPEAT_COST - now - REPEAT_ROOM
  if i and p.g[i].pending then
    if p.g[i].refs == MAX_REFS then return 0, TOO_PARALLEL, PARALLEL end
    if late > 0 then return 0, TOO_PARALLEL, late end
    return SHARED, 0, 0
  end
  local m = charged(p)
  local till = latest(p) + wait(r, m)
  if till > now then return 0, WAITS, till - now end
  if i then
    if late > 0 then return 0, TOO_PARALLEL, late end
    return KNOWN, 0, 0
  end
  if m >= r.close or #p.g == ENTRIES and m - p.fails == ENTRIES then return 0, TOO_PARALLEL, PARALLEL end
  if r.slowCost > 0 and not challenged then
    late = max(p.slow, now) + r.slowCost - now - r.slowRoom
    if late > 0 then return 0, SLOW, late end
  end
  return CHARGED, 0, 0
end

local function charge(p, r, now, kind, tag, tagged)
  if kind == CHARGED then
    while not tagged and find(p, tag, false) do tag = (tag + 1) % 65536 end
    add(p, now, tag, tagged, true)
    p.slow = min(max(p.slow, now) + r.slowCost, now + r.slowRoom)
  else
    if kind == SHARED then
      local g = p.g[find(p, tag, tagged)]
      g.refs = g.refs + 1
    end
    p.rep = max(p.rep, now) + REPEAT_COST
  end
  return tag
end

local function finish(p, r, now, kind, tag, tagged, o)
  local i = find(p, tag, tagged)
  local open, wiped = i and p.g[i].pending, 0
  if o == SUCCESS or o == CANCELLED then
    if kind == CHARGED then p.slow = max(0, p.slow - r.slowCost)
    elseif kind ~= 0 then p.rep = max(0, p.rep - REPEAT_COST) end
  end
  if o == SUCCESS then
    if p.closed == 0 then
      wiped, p.fails, p.last = p.fails, 0, 0
    end
    if open then table.remove(p.g, i) end
    local k = 1
    while k <= #p.g do
      if p.g[k].pending then k = k + 1 else table.remove(p.g, k) end
    end
  elseif o == CANCELLED then
    if open and kind ~= KNOWN then
      local g = p.g[i]
      if g.refs > 1 then g.refs = g.refs - 1 else table.remove(p.g, i) end
    end
  elseif o == BAD then
    if open then
      fail(p, r, p.g[i].at)
      keepWrong(p, i)
    elseif kind ~= KNOWN and not i then
      fail(p, r, now)
      if tagged then add(p, now, tag, true, false) end
    end
  elseif o == SECOND then
    local at = now
    if open then at = p.g[i].at end
    if i then table.remove(p.g, i) end
    fail(p, r, at)
  end
  return wiped
end

local function report(p, r, now, tag, tagged, o)
  if o == SUCCESS then return KNOWN, finish(p, r, now, 0, tag, tagged, SUCCESS) end
  if o == CANCELLED then return KNOWN, 0 end
  if o == BAD then
    local i = tagged and find(p, tag, true)
    if i then
      if p.g[i].pending then
        fail(p, r, p.g[i].at)
        keepWrong(p, i)
        return CHARGED, 0
      end
      return KNOWN, 0
    end
    if tagged then add(p, now, tag, true, false) end
  end
  fail(p, r, now)
  p.slow = min(max(p.slow, now) + r.slowCost, now + r.slowRoom)
  return CHARGED, 0
end

-- Lists of known devices.

local function loadList(key)
  local s, l = call('GET', key), {}
  if not s then return l end
  local n, at = string.byte(s, 1), 2
  if not n or #s ~= 1 + 7 * n then return l end
  for i = 1, n do
    local d = {}
    d.id, d.day, d.closed, at = unstruct('<I4I2B', s, at)
    l[i] = d
  end
  return l
end

local function saveList(key, l, now)
  if #l == 0 then call('DEL', key) return end
  local out, last = {pack('<B', #l)}, 0
  for i, d in ipairs(l) do
    out[i + 1] = pack('<I4I2B', d.id, d.day, d.closed)
    last = max(last, d.day)
  end
  call('SET', key, table.concat(out), 'PX', max((last + 1) * 86400000 - now, 0) + GRACE)
end

local function today(now) return min(floor(now / 86400000), 65535) end

local function known(l, id, now)
  for _, d in ipairs(l) do
    if id ~= 0 and d.id == id and d.day >= today(now) then return d end
  end
end

local function anyOpen(l, channel, now)
  for _, d in ipairs(l) do
    if d.day >= today(now) and not bit(d.closed, channel) then return true end
  end
  return false
end

local function noneOpen(unknownKey, listKey, channel, now)
  local s = call('GET', unknownKey)
  if not s or string.byte(s, 21) ~= 1 then return 0 end
  return anyOpen(loadList(listKey), channel, now) and 0 or 1
end

-- Rates.

-- A rate that is not a number counts as full.
local function rateOf(l, now)
  local v = call('GET', l.key)
  return v and (tonumber(v) or now + l.room) or 0
end

local function setRate(key, tat, now)
  if tat <= now then call('DEL', key)
  else call('SET', key, tat, 'PX', tat - now + GRACE) end
end

local function cost(l, kind)
  if kind == CHARGED then return l.cost end
  return max(1, floor(l.cost / 10))
end

-- tryRates asks every rate lane, whose values are given from the second on,
-- and books on all of them if none refuses and go is true.
local function tryRates(lanes, values, kind, now, go)
  local why, retry = 0, 0
  for i = 1, #lanes do
    local l = lanes[i]
    local full, c = now + l.room, l.cost
    if kind ~= CHARGED then c = max(1, floor(c / 10)) end
    local v = values[i + 1]
    local tat = v and (tonumber(v) or full) or 0
    if not (tat <= full) then -- the clock went back, or it is no number at all
      tat = full
      setRate(l.key, tat, now)
    end
    tat = max(tat, now) + c
    if tat > full then why, retry = why + l.why, max(retry, tat - full) end
    l.tat = min(tat, full)
  end
  if why == 0 and go then
    for i = 1, #lanes do setRate(lanes[i].key, lanes[i].tat, now) end
  end
  return why, retry
end

-- settleRates books an outcome on the rate lanes.
local function settleRates(lanes, kind, o, reported, now)
  for _, l in ipairs(lanes) do
    if reported and (o == BAD or o == SECOND) and kind == CHARGED then
      local tat = rateOf(l, now)
      setRate(l.key, min(max(min(tat, now + l.room), now) + l.cost, now + l.room), now)
    elseif o == SUCCESS or o == CANCELLED then
      if l.why == 128 and o == SUCCESS then call('DEL', l.key)
      elseif not reported then
        local tat = rateOf(l, now)
        if tat > 0 then setRate(l.key, max(0, tat - cost(l, kind)), now) end
      end
    end
  end
end

-- What one decision is about. The packed numbers are: operation, number of
-- keys, now, channel, device, tag, flags, two ladders, four rates, echo, and
-- then what the operation alone needs. Flags: 1 tagged, 2 challenged, 4 a
-- challenge is asked for; 8 and the next three: pair and the three prefixes
-- are among the keys; 128 the guess may be shared.
local U, K, L = {}, {}, {{}, {}, {}, {}}
local base = 0
local now, channel, device, tag, flags, echo, rest

-- lanesFrom returns the rate lanes whose keys begin at the given one.
local function lanesFrom(first)
  local out = {}
  for i = 1, 4 do
    if bit(flags, 2 + i) then
      local l = L[i]
      l.key, l.why = KEYS[base + first], RATE_WHY[i]
      out[#out + 1], first = l, first + 1
    end
  end
  return out
end

local run = {}

run[1] = function(packed) -- begin
  -- KEYS: list, subject lane, device lane, rates; further: I2 spare
  local key, r, isKnown = KEYS[base + 2], U, false
  local tagged, challenged = bit(flags, 0), bit(flags, 1)
  if device ~= 0 and known(loadList(KEYS[base + 1]), device, now) then
    key, r, isKnown = KEYS[base + 3], K, true
  end
  local lanes, names = {}, {key}
  if not isKnown then
    lanes = lanesFrom(4)
    for i, l in ipairs(lanes) do names[i + 1] = l.key end
  end
  local values = call('MGET', unpack(names))
  local p, had = load(values[1])
  local moved
  p, moved = settle(p, r, now)
  local twin = 0
  if tagged and not bit(flags, 7) then
    local i = find(p, tag, true)
    if i and p.g[i].pending then
      twin, tag, tagged = 1, unstruct('<I2', packed, rest), false
    end
  end
  local kind, why, retry = admit(p, r, now, tag, tagged, tagged or bit(flags, 7), challenged or isKnown)
  local go = why == 0 and not (bit(flags, 2) and not challenged and not isKnown)
  if not isKnown then
    local rateWhy, rateRetry = tryRates(lanes, values, kind == 0 and CHARGED or kind, now, go)
    why, retry, go = why + rateWhy, max(retry, rateRetry), go and rateWhy == 0
  end
  local kept, firm = 0, 0
  if (bit(why, 0) or bit(why, 1)) and charged(p) == p.fails then firm = 1 end
  if go then
    kept = charge(p, r, now, kind, tag, tagged)
    save(key, p, now)
    twin = 0
  else
    kind, tagged = 0, false
    if had and moved then save(key, p, now) end
  end
  local none = 0
  if bit(why, 1) then none = noneOpen(KEYS[base + 2], KEYS[base + 1], channel, now) end
  return pack('<I4I4I6BI2BBI6BBB', echo, why, retry, kind, kept, tagged and 1 or 0, isKnown and 1 or 0, now, none, twin, firm)
end

run[2] = function(packed, keys) -- settle
  -- KEYS: list, subject lane, device lane, rates, nonce
  local granted, kind, o, onList, enrol, till, reported = unstruct('<I6BBBI4I2B', packed, rest)
  local tagged = bit(flags, 0)
  onList, reported = onList == 1, reported == 1
  -- A clock that went back by more than a reservation's life ends it as well.
  if not reported and (now >= granted + U.pending or now < granted - U.pending) then
    return pack('<I4BBBI4I4BB', echo, 0, 1, 0, 0, 0, 0, 0)
  end
  local nonce = KEYS[base + keys]
  if not call('SET', nonce, o, 'NX', 'PX', 2 * U.pending + GRACE) then
    return pack('<I4BBBI4I4BB', echo, tonumber(call('GET', nonce)), 0, 0, 0, 0, 0, 0)
  end
  local list = (reported or enrol ~= 0 or onList) and loadList(KEYS[base + 1]) or {}
  if reported then onList = known(list, device, now) ~= nil end
  local key, r = KEYS[base + 2], U
  if onList then key, r = KEYS[base + 3], K end
  local p = settle(load(call('GET', key)), r, now)
  local wasClosed, wiped = p.closed == 1, 0
  if reported then
    kind, wiped = report(p, r, now, tag, tagged, o)
  else
    wiped = finish(p, r, now, kind, tag, tagged, o)
  end
  local closedIt = p.closed == 1 and not wasClosed
  save(key, p, now)
  if not onList then settleRates(lanesFrom(4), kind, o, reported, now) end
  local enrolled = 0
  if enrol ~= 0 or closedIt and onList then
    local own = known(list, device, now)
    if own and closedIt and onList and not bit(own.closed, channel) then
      own.closed = own.closed + 2 ^ channel
    end
    if enrol ~= 0 then
      enrolled = enrol
      if own and onList then enrolled = device end
      local d = known(list, enrolled, now)
      if d then
        d.day = max(d.day, till)
      elseif #list < DEVICES then
        list[#list + 1] = {id = enrolled, day = till, closed = 0}
      else
        local first = 1
        for i, x in ipairs(list) do if x.day < list[first].day then first = i end end
        list[first] = {id = enrolled, day = till, closed = 0}
      end
    end
    saveList(KEYS[base + 1], list, now)
  end
  local none = 0
  if p.closed == 1 then none = noneOpen(KEYS[base + 2], KEYS[base + 1], channel, now) end
  return pack('<I4BBBI4I4BB', echo, 0, 0, onList and 1 or 0, enrolled, wiped, closedIt and 1 or 0, none)
end

run[3] = function(packed) -- rates
  -- KEYS: rates; further: B kind. Books if none refuses.
  local lanes, values = lanesFrom(1), {}
  for i, l in ipairs(lanes) do values[i + 1] = call('GET', l.key) end
  local why, retry = tryRates(lanes, values, unstruct('<B', packed, rest), now, true)
  return pack('<I4I4I6', echo, why, retry)
end

run[4] = function(packed) -- refund
  -- KEYS: rates; further: B kind B outcome B reported
  local kind, o, reported = unstruct('<BBB', packed, rest)
  settleRates(lanesFrom(1), kind, o, reported == 1, now)
  return pack('<I4', echo)
end

run[5] = function() -- list
  -- KEYS: list. Answers the numbers of the known devices.
  local out = {pack('<I4I6', echo, now)}
  for _, d in ipairs(loadList(KEYS[base + 1])) do
    if d.day >= today(now) then out[#out + 1] = pack('<I4', d.id) end
  end
  return table.concat(out)
end

run[6] = function() -- pool
  -- KEYS: one guess lane. Answers what is counted on it.
  local p = settle(load(call('GET', KEYS[base + 1])), U, now)
  local m = charged(p)
  local till = latest(p) + wait(U, m)
  if till <= now then till = 0 end
  return pack('<I4I6I2I2I6B', echo, now, m, m - p.fails, till, p.closed)
end

run[7] = function() -- booked
  -- KEYS: rates. Answers how much is booked on each.
  local out = {pack('<I4I6', echo, now)}
  for _, l in ipairs(lanesFrom(1)) do
    out[#out + 1] = pack('<I6', max(0, min(rateOf(l, now), now + l.room) - now))
  end
  return table.concat(out)
end

run[8] = function(_, keys) -- reset
  -- KEYS: list, then what is forgotten
  for i = 2, keys do call('DEL', KEYS[base + i]) end
  local l = loadList(KEYS[base + 1])
  for _, d in ipairs(l) do d.closed = 0 end
  if #l > 0 then saveList(KEYS[base + 1], l, now) end
  return pack('<I4', echo)
end

run[9] = function(_, keys) -- forget
  -- KEYS: what is forgotten
  for i = 1, keys do call('DEL', KEYS[base + i]) end
  return pack('<I4', echo)
end

local answers = {}
for i, packed in ipairs(ARGV) do
  local op, keys
  op, keys, now, channel, device, tag, flags,
    U.free, U.close, U.first, U.longest, U.slowCost, U.slowRoom, U.pending,
    K.free, K.close, K.first, K.longest, K.slowCost, K.slowRoom, K.pending,
    L[1].cost, L[1].room, L[2].cost, L[2].room, L[3].cost, L[3].room, L[4].cost, L[4].room,
    echo, rest = unstruct('<BBI6BI4I2BI2I2I6I6I6I6I6I2I2I6I6I6I6I6I6I6I6I6I6I6I6I6I4', packed)
  now = clock(now)
  answers[i] = run[op](packed, keys)
  base = base + keys
end
return answers
