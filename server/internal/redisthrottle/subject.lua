-- SPDX-License-Identifier: Apache-2.0
-- Copyright 2026 The watchword authors

-- The lanes of a subject. It follows rates.lua, whose head says what all is about.

-- A pool's guesses are p.g, each with at, tag, tagged and refs; one whose
-- outcome is awaited has refs over 0.

local function load(s)
  local all = {}
  local p = {last = 0, slow = 0, rep = 0, fails = 0, closed = 0, g = all}
  if not s then return p, false end
  local n = (#s - HEAD) / ENTRY
  if n < 0 or n > ENTRIES or n % 1 ~= 0 or s:byte() ~= 1 then
    -- Not what was written: the lane is closed until somebody looks at it.
    p.closed = 1
    return p, true
  end
  local youngest, from
  youngest, p.last, p.slow, p.rep, p.fails, p.closed, from = unstruct('<I6I6I6I6I2B', s, 2)
  for i = 1, n do
    local what, kept
    what, kept, from = unstruct('<I4I2', s, from)
    if what < AWAITED then
      all[i] = {at = youngest - what, tag = kept, tagged = true, refs = 0}
    else
      what = what - AWAITED
      local tagged = what >= TAGGED
      if tagged then what = what - TAGGED end
      all[i] = {at = youngest - what % REF, tag = kept, tagged = tagged, refs = floor(what / REF)}
    end
  end
  return p, true
end

-- charged returns how many guesses count against the lane, and when the latest
-- of them was charged.
local function charged(p)
  local m, latest, all = p.fails, p.last, p.g
  for i = 1, #all do
    local g = all[i]
    if g.refs > 0 then
      m = m + 1
      if g.at > latest then latest = g.at end
    end
  end
  return m, latest
end

local function wait(r, m)
  if m < r.free then return 0 end
  local w = r.first
  while m > r.free and w < r.longest do w, m = w * 2, m - 1 end
  return min(w, r.longest)
end

local function expiry(p)
  if p.closed == 1 then return now + CLOSED_LIFE end
  local till = max(p.slow, p.rep)
  local m, latest = charged(p)
  if m > 0 then till = max(till, latest + QUIET_LIFE * min(m + 1, QUIET_MOST)) end
  return till
end

local function fail(p, r, at)
  if p.fails < 65535 then p.fails = p.fails + 1 end
  p.last = max(p.last, at)
  if p.fails >= r.close then p.closed = 1 end
end

local function keepWrong(p, i)
  local g = p.g[i]
  if g.tagged then g.refs = 0 else remove(p.g, i) end
end

-- settle returns the pool brought up to now, and whether time has changed it.
local function settle(p, r)
  local moved, slow, rep, all = false, now + r.slowRoom, now + REPEAT_ROOM, p.g
  if p.last > now or p.slow > slow or p.rep > rep then
    p.last, p.slow, p.rep, moved = min(p.last, now), min(p.slow, slow), min(p.rep, rep), true
  end
  local i = 1
  while i <= #all do
    local g = all[i]
    if g.at > now then g.at, moved = now, true end
    if g.refs > 0 and g.at + r.pending <= now then
      fail(p, r, g.at)
      keepWrong(p, i)
      moved = true
    elseif g.refs == 0 and g.at + TAG_LIFE <= now then
      remove(all, i)
      moved = true
    else
      i = i + 1
    end
  end
  if expiry(p) <= now then return load(), true end
  return p, moved
end

local function save(key, p)
  local all, youngest = p.g, 0
  local n = #all
  if n == 0 and p.last == 0 and p.slow == 0 and p.rep == 0 and p.fails == 0 and p.closed == 0 then
    call('DEL', key)
    return
  end
  for i = 1, n do if all[i].at > youngest then youngest = all[i].at end end
  local s = pack('<BI6I6I6I6I2B', 1, youngest, p.last, p.slow, p.rep, p.fails, p.closed)
  for i = 1, n do
    local g = all[i]
    local what = youngest - g.at
    if g.refs > 0 then
      what = what + AWAITED + g.refs * REF
      if g.tagged then what = what + TAGGED end
    end
    s = s .. pack('<I4I2', what, g.tag)
  end
  put(key, s, max(expiry(p) - now, 0) + GRACE)
end

local function find(p, number, tagged)
  local all = p.g
  for i = 1, #all do
    if all[i].tag == number and all[i].tagged == tagged then return i end
  end
end

local function add(p, at, number, tagged, refs)
  local all = p.g
  if #all == ENTRIES then
    local oldest
    for i = 1, ENTRIES do
      if all[i].refs == 0 and (not oldest or all[i].at < all[oldest].at) then oldest = i end
    end
    if not oldest then return end
    remove(all, oldest)
  end
  all[#all + 1] = {at = at, tag = number, tagged = tagged, refs = refs}
end

local function admit(p, r, number, tagged, same, challenged)
  if p.closed == 1 then return 0, CLOSED, r.longest end
  local i = same and find(p, number, tagged)
  local late = max(p.rep, now) + REPEAT_COST - now - REPEAT_ROOM
  if i and p.g[i].refs > 0 then
    if p.g[i].refs == MAX_REFS then return 0, TOO_PARALLEL, PARALLEL end
    if late > 0 then return 0, TOO_PARALLEL, late end
    return SHARED, 0, 0
  end
  local m, latest = charged(p)
  local till = latest + wait(r, m)
  if till > now then return 0, WAITS, till - now end
  if i then
    if late > 0 then return 0, TOO_PARALLEL, late end
    return KNOWN, 0, 0
  end
  if m >= r.close or m - p.fails == ENTRIES then return 0, TOO_PARALLEL, PARALLEL end
  if r.slowCost > 0 and not challenged then
    late = max(p.slow, now) + r.slowCost - now - r.slowRoom
    if late > 0 then return 0, SLOW, late end
  end
  return CHARGED, 0, 0
end

local function charge(p, r, kind, number, tagged)
  if kind == CHARGED then
    while not tagged and find(p, number, false) do number = (number + 1) % 65536 end
    add(p, now, number, tagged, 1)
    p.slow = min(max(p.slow, now) + r.slowCost, now + r.slowRoom)
  else
    if kind == SHARED then
      local g = p.g[find(p, number, tagged)]
      g.refs = g.refs + 1
    end
    p.rep = max(p.rep, now) + REPEAT_COST
  end
  return number
end

local function loadList(key)
  local s, l = call('GET', key), {}
  if not s then return l end
  local n, at = s:byte(1), 2
  if not n or #s ~= 1 + 7 * n then return l end
  for i = 1, n do
    local d = {}
    d.id, d.day, d.closed, at = unstruct('<I4I2B', s, at)
    l[i] = d
  end
  return l
end

local function known(l, id)
  for _, d in ipairs(l) do
    if id ~= 0 and d.id == id and d.day >= min(floor(now / DAY), 65535) then return d end
  end
end

run[1] = function() -- begin
  -- KEYS: subject lane, list, rates, device lane if any; further: I2 spare
  local key, r, isKnown = KEYS[base + 1], U, false
  local tagged, challenged, share = has(flags, FLAG_TAGGED), has(flags, FLAG_CHALLENGED), has(flags, FLAG_SHARE)
  if device ~= 0 and known(loadList(KEYS[base + 2]), device) then
    key, r, isKnown = KEYS[base + keys], K, true
  end
  local lanes, n, values = {}, 0
  if not isKnown then lanes, n = lanesFrom(3) end
  if n == 0 then
    values = {call('GET', key)}
  else
    local names = {key}
    for i = 1, n do names[i + 1] = lanes[i].key end
    values = call('MGET', unpack(names))
  end
  local p, had = load(values[1])
  local moved
  p, moved = settle(p, r)
  local number, twin = tag, 0
  if tagged and not share then
    local i = find(p, tag, true)
    if i and p.g[i].refs > 0 then
      twin, number, tagged = 1, unstruct('<I2', packed, rest), false
    end
  end
  local kind, why, retry = admit(p, r, number, tagged, tagged or share, challenged or isKnown)
  local go = why == 0 and (isKnown or challenged or not has(flags, FLAG_ASKED))
  local firm = (why == WAITS or why == CLOSED) and charged(p) == p.fails and 1 or 0
  if n > 0 then
    local rateWhy, rateRetry = tryRates(lanes, values, kind == 0 and CHARGED or kind, go)
    why, retry, go = why + rateWhy, max(retry, rateRetry), go and rateWhy == 0
  end
  local kept, none = 0, 0
  if go then
    kept = charge(p, r, kind, number, tagged)
    save(key, p)
    twin = 0
  else
    kind, tagged = 0, false
    if had and moved then save(key, p) end
    if has(why, CLOSED) then none = run.noneOpen(KEYS[base + 1], KEYS[base + 2]) end
  end
  return pack('<I4I4I6BI2BBI6BBB', echo, why, retry, kind, kept, tagged and 1 or 0, isKnown and 1 or 0, now, none, twin, firm)
end

more = function()
  local settleRates = refunds()

  local function finish(p, r, kind, tagged, o)
    local i = find(p, tag, tagged)
    local open, wiped = i and p.g[i].refs > 0, 0
    if o == SUCCESS or o == CANCELLED then
      if kind == CHARGED then p.slow = max(0, p.slow - r.slowCost)
      elseif kind ~= 0 then p.rep = max(0, p.rep - REPEAT_COST) end
    end
    if o == SUCCESS then
      if p.closed == 0 then
        wiped, p.fails, p.last = p.fails, 0, 0
      end
      if open then remove(p.g, i) end
      local k = 1
      while k <= #p.g do
        if p.g[k].refs > 0 then k = k + 1 else remove(p.g, k) end
      end
    elseif o == CANCELLED then
      if open and kind ~= KNOWN then
        local g = p.g[i]
        if g.refs > 1 then g.refs = g.refs - 1 else remove(p.g, i) end
      end
    elseif o == BAD then
      if open then
        fail(p, r, p.g[i].at)
        keepWrong(p, i)
      elseif kind ~= KNOWN and not i then
        fail(p, r, now)
        if tagged then add(p, now, tag, true, 0) end
      end
    elseif o == SECOND then
      local at = now
      if open then at = p.g[i].at end
      if i then remove(p.g, i) end
      fail(p, r, at)
    end
    return wiped
  end

  local function report(p, r, tagged, o)
    if o == SUCCESS then return KNOWN, finish(p, r, 0, tagged, SUCCESS) end
    if o == CANCELLED then return KNOWN, 0 end
    if o == BAD then
      local i = tagged and find(p, tag, true)
      if i then
        if p.g[i].refs > 0 then
          fail(p, r, p.g[i].at)
          keepWrong(p, i)
          return CHARGED, 0
        end
        return KNOWN, 0
      end
      if tagged then add(p, now, tag, true, 0) end
    end
    fail(p, r, now)
    p.slow = min(max(p.slow, now) + r.slowCost, now + r.slowRoom)
    return CHARGED, 0
  end

  local function saveList(key, l)
    if #l == 0 then call('DEL', key) return end
    local out, last = {pack('<B', #l)}, 0
    for i, d in ipairs(l) do
      out[i + 1] = pack('<I4I2B', d.id, d.day, d.closed)
      last = max(last, d.day)
    end
    put(key, table.concat(out), max((last + 1) * DAY - now, 0) + GRACE)
  end

  function run.noneOpen(unknownKey, listKey)
    local s = call('GET', unknownKey)
    if not s or load(s).closed ~= 1 then return 0 end
    for _, d in ipairs(loadList(listKey)) do
      if known({d}, d.id) and not has(d.closed, 2 ^ channel) then return 0 end
    end
    return 1
  end

  run[2] = function() -- settle
    -- KEYS: subject lane, list, rates, device lane if any, nonce
    local granted, kind, o, onList, enrol, till, reported = unstruct('<I6BBBI4I2B', packed, rest)
    local tagged = has(flags, FLAG_TAGGED)
    onList, reported = onList == 1, reported == 1
    -- A clock that went back by more than a reservation's life ends it as well.
    if not reported and (now >= granted + U.pending or now < granted - U.pending) then
      return pack('<I4BBBI4I4BB', echo, 0, 1, 0, 0, 0, 0, 0)
    end
    local nonce = KEYS[base + keys]
    if not call('SET', nonce, o, 'NX', 'PX', 2 * U.pending + GRACE) then
      return pack('<I4BBBI4I4BB', echo, tonumber(call('GET', nonce)), 0, 0, 0, 0, 0, 0)
    end
    local list = (reported or enrol ~= 0 or onList) and loadList(KEYS[base + 2]) or {}
    if reported then onList = known(list, device) ~= nil end
    local key, r = KEYS[base + 1], U
    if onList then key, r = KEYS[base + keys - 1], K end
    local p = settle(load(call('GET', key)), r)
    local wasClosed, wiped = p.closed == 1, 0
    if reported then
      kind, wiped = report(p, r, tagged, o)
    else
      wiped = finish(p, r, kind, tagged, o)
    end
    local closedIt = p.closed == 1 and not wasClosed
    save(key, p)
    if not onList then settleRates(lanesFrom(3), kind, o, reported) end
    local enrolled = 0
    if enrol ~= 0 or closedIt and onList then
      local own = known(list, device)
      if own and closedIt and onList and not has(own.closed, 2 ^ channel) then
        own.closed = own.closed + 2 ^ channel
      end
      if enrol ~= 0 then
        enrolled = enrol
        if own and onList then enrolled = device end
        local d = known(list, enrolled)
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
      saveList(KEYS[base + 2], list)
    end
    local none = p.closed == 1 and run.noneOpen(KEYS[base + 1], KEYS[base + 2]) or 0
    return pack('<I4BBBI4I4BB', echo, 0, 0, onList and 1 or 0, enrolled, wiped, closedIt and 1 or 0, none)
  end

  run[5] = function() -- list
    -- KEYS: list. Answers the numbers of the known devices.
    local out = {pack('<I4I6', echo, now)}
    for _, d in ipairs(loadList(KEYS[base + 1])) do
      if known({d}, d.id) then out[#out + 1] = pack('<I4', d.id) end
    end
    return table.concat(out)
  end

  run[6] = function() -- pool
    -- KEYS: one guess lane. Answers what is counted on it.
    local p = settle(load(call('GET', KEYS[base + 1])), U)
    local m, latest = charged(p)
    local till = latest + wait(U, m)
    if till <= now then till = 0 end
    return pack('<I4I6I2I2I6B', echo, now, m, m - p.fails, till, p.closed)
  end

  run[8] = function() -- reset
    -- KEYS: list, then what is forgotten
    for i = 2, keys do call('DEL', KEYS[base + i]) end
    local l = loadList(KEYS[base + 1])
    for _, d in ipairs(l) do d.closed = 0 end
    if #l > 0 then saveList(KEYS[base + 1], l) end
    return pack('<I4', echo)
  end

  run[9] = function() -- forget
    -- KEYS: what is forgotten
    for i = 1, keys do call('DEL', KEYS[base + i]) end
    return pack('<I4', echo)
  end
end
