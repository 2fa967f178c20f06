-- SPDX-License-Identifier: Apache-2.0
-- Copyright 2026 The watchword authors

-- The lanes of a subject. It follows rates.lua, whose head says what all is about.

subjects = function()
  -- A pool's guesses are p.g, each with at, tag, tagged and refs; one whose
  -- outcome is awaited has refs over 0. p.book is its book of addresses.

  local function fresh(book)
    return {last = 0, slow = 0, rep = 0, fails = 0, closed = 0, g = {}, book = book or ''}
  end

  local function load(s)
    local unstruct, p = struct.unpack, fresh()
    if not s then return p end
    local all, n, left, youngest, from, _ = p.g, 0, -1
    if #s >= HEAD and s:byte() == 2 then
      _, youngest, p.slow, p.last, p.rep, p.fails, n, from = unstruct('<BI6I6I6I6I2B', s)
      if n >= 128 then n, p.closed = n - 128, 1 end
      left = #s - HEAD - n * ENTRY
    end
    if n > ENTRIES or left < 0 or left > 0 and (left < SHELF or left > SHELF + PLACE * PAIRS or (left - SHELF) % PLACE ~= 0) then
      -- Not what was written: the lane is closed until somebody looks at it.
      p = fresh()
      p.closed = 1
      return p
    end
    for i = 1, n do
      local what, kept
      what, kept, from = unstruct('<I4I2', s, from)
      if what < AWAITED then
        all[i] = {at = youngest - what, tag = kept, tagged = true, refs = 0}
      else
        what = what - AWAITED
        local tagged = what >= TAGGED
        if tagged then what = what - TAGGED end
        all[i] = {at = youngest - what % REF, tag = kept, tagged = tagged, refs = math.floor(what / REF)}
      end
    end
    if left > 0 then p.book = string.sub(s, from) end
    return p
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
    return math.min(w, r.longest)
  end

  local function expiry(p, now)
    if p.closed == 1 then return now + CLOSED_LIFE end
    local till = math.max(p.slow, p.rep)
    local m, latest = charged(p)
    if m > 0 then till = math.max(till, latest + QUIET_LIFE * math.min(m + 1, QUIET_MOST)) end
    return till
  end

  local function fail(p, r, at)
    if p.fails < 65535 then p.fails = p.fails + 1 end
    p.last = math.max(p.last, at)
    if p.fails >= r.close then p.closed = 1 end
  end

  local function keepWrong(p, i)
    local g = p.g[i]
    if g.tagged then g.refs = 0 else table.remove(p.g, i) end
  end

  -- settle returns the pool brought up to now, and whether time has changed it.
  local function settle(p, r, now)
    local moved, slow, rep, all = false, now + r.slowRoom, now + REPEAT_ROOM, p.g
    if p.last > now or p.slow > slow or p.rep > rep then
      p.last, p.slow, p.rep, moved = math.min(p.last, now), math.min(p.slow, slow), math.min(p.rep, rep), true
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
        table.remove(all, i)
        moved = true
      else
        i = i + 1
      end
    end
    if expiry(p, now) <= now then return fresh(p.book), true end
    return p, moved
  end

  local function save(key, p, now)
    local all, youngest, book = p.g, 0, p.book
    local n = #all
    local neutral = n == 0 and p.last == 0 and p.slow == 0 and p.rep == 0 and p.fails == 0 and p.closed == 0
    if neutral and book == '' then
      redis.call('DEL', key)
      return
    end
    local till = neutral and now or math.max(now, expiry(p, now))
    if book ~= '' then
      till = math.max(till, (struct.unpack('<I6', book)))
      for i = SHELF + 5, #book, PLACE do till = math.max(till, (struct.unpack('<I6', book, i))) end
    end
    for i = 1, n do if all[i].at > youngest then youngest = all[i].at end end
    local s = struct.pack('<BI6I6I6I6I2B', 2, youngest, p.slow, p.last, p.rep, p.fails, n + 128 * p.closed)
    for i = 1, n do
      local g = all[i]
      local what = youngest - g.at
      if g.refs > 0 then
        what = what + AWAITED + g.refs * REF
        if g.tagged then what = what + TAGGED end
      end
      s = s .. struct.pack('<I4I2', what, g.tag)
    end
    put(key, s .. book, till - now)
  end

  local function find(p, number, tagged)
    local all = p.g
    for i = 1, #all do
      if all[i].tag == number and all[i].tagged == tagged then return i end
    end
  end

  local function append(p, at, number, tagged, refs)
    local all = p.g
    if #all == ENTRIES then
      local oldest
      for i = 1, ENTRIES do
        if all[i].refs == 0 and (not oldest or all[i].at < all[oldest].at) then oldest = i end
      end
      if not oldest then return end
      table.remove(all, oldest)
    end
    all[#all + 1] = {at = at, tag = number, tagged = tagged, refs = refs}
  end

  -- admit returns the kind, the reason and the wait.
  local function admit(p, r, now, number, tagged, same, challenged)
    if p.closed == 1 then return 0, CLOSED, r.longest end
    local i = same and find(p, number, tagged)
    local late = math.max(p.rep, now) + REPEAT_COST - now - REPEAT_ROOM
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
      late = math.max(p.slow, now) + r.slowCost - now - r.slowRoom
      if late > 0 then return 0, SLOW, late end
    end
    return CHARGED, 0, 0
  end

  local lanes = {}

  -- rules reads the rules of unknown devices' lanes, and of a known one's under true.
  function lanes.rules(packed, set)
    local function ladder(from)
      local free, close, first, longest, slowCost, slowRoom, pending = struct.unpack('<I2I2I6I6I6I6I6', packed, set + from)
      return {free = free, close = close, first = first, longest = longest, slowCost = slowCost, slowRoom = slowRoom, pending = pending}
    end
    return {[false] = ladder(54), [true] = ladder(88)}
  end

  -- ask says what a record has against a guess, and against its address if pair
  -- is the id of one. What it returns is for book.
  function lanes.ask(s, r, now, number, tagged, share, spare, challenged, pair, pairCost, pairRoom)
    local p, moved = settle(load(s), r, now)
    p.twin, p.firm = 0, 0
    if tagged and not share then
      local i = find(p, number, true)
      if i and p.g[i].refs > 0 then p.twin, number, tagged = 1, spare, false end
    end
    p.kind, p.why, p.retry = admit(p, r, now, number, tagged, tagged or share, challenged)
    if (p.why == WAITS or p.why == CLOSED) and charged(p) == p.fails then p.firm = 1 end
    p.number, p.tagged, p.pair = number, tagged, pair
    if pair then
      local rate, i = seek(p.book, pair, 1)
      local to, late, back = more(rate, cost(pairCost, p.kind == 0 and CHARGED or p.kind), pairRoom, now)
      if late > 0 then p.why, p.retry = p.why + PAIR_FULL, math.max(p.retry, late) end
      if back then p.book, moved = lower(p.book, i, rate, now + pairRoom, 1), true end
      p.rate, p.entry = to, i
    end
    p.moved = moved
    return p
  end

  -- book charges what ask allowed, if go says so, and keeps what time has
  -- changed. It returns the number under which the guess is kept.
  function lanes.book(p, key, r, now, go)
    if not go then
      if p.moved then save(key, p, now) end
      return 0
    end
    local number, tagged = p.number, p.tagged
    if p.kind == CHARGED then
      while not tagged and find(p, number, false) do number = (number + 1) % 65536 end
      append(p, now, number, tagged, 1)
      p.slow = math.min(math.max(p.slow, now) + r.slowCost, now + r.slowRoom)
    else
      if p.kind == SHARED then
        local g = p.g[find(p, number, tagged)]
        g.refs = g.refs + 1
      end
      p.rep = math.max(p.rep, now) + REPEAT_COST
    end
    if p.pair then p.book = enter('', p.book, p.entry, p.pair, p.rate, 1, PAIRS, now) end
    save(key, p, now)
    return number
  end

  function lanes.list(key)
    local s, l = redis.call('GET', key), {}
    if not s then return l end
    local n, at = s:byte(1), 2
    if not n or #s ~= 1 + 7 * n then return l end
    for i = 1, n do
      local d = {}
      d.id, d.day, d.closed, at = struct.unpack('<I4I2B', s, at)
      l[i] = d
    end
    return l
  end

  function lanes.known(l, id, now)
    for _, d in ipairs(l) do
      if id ~= 0 and d.id == id and d.day >= math.min(math.floor(now / DAY), 65535) then return d end
    end
  end

  -- noneOpen reports, as a number, whether the subject lane and the lanes of all
  -- known devices are closed on the channel.
  function lanes.noneOpen(unknownKey, listKey, now, channel)
    local s = redis.call('GET', unknownKey)
    if not s or load(s).closed ~= 1 then return 0 end
    for _, d in ipairs(lanes.list(listKey)) do
      if lanes.known({d}, d.id, now) and math.floor(d.closed / 2 ^ channel) % 2 == 0 then return 0 end
    end
    return 1
  end

  -- operations makes all but begin.
  function lanes.operations(run)
    -- has reports whether the bit worth m is set in n.
    local function has(n, m) return math.floor(n / m) % 2 == 1 end

    local function saveList(x, key, l)
      if #l == 0 then redis.call('DEL', key) return end
      local out, last = {struct.pack('<B', #l)}, 0
      for i, d in ipairs(l) do
        out[i + 1] = struct.pack('<I4I2B', d.id, d.day, d.closed)
        last = math.max(last, d.day)
      end
      put(key, table.concat(out), math.max((last + 1) * DAY - x.now, 0))
    end

    local function finish(x, p, r, kind, o)
      local i, now = find(p, x.tag, x.tagged), x.now
      local open, wiped = i and p.g[i].refs > 0, 0
      if o == SUCCESS or o == CANCELLED then
        if kind == CHARGED then p.slow = math.max(0, p.slow - r.slowCost)
        elseif kind ~= 0 then p.rep = math.max(0, p.rep - REPEAT_COST) end
      end
      if o == SUCCESS then
        if p.closed == 0 then
          wiped, p.fails, p.last = p.fails, 0, 0
        end
        if open then table.remove(p.g, i) end
        local k = 1
        while k <= #p.g do
          if p.g[k].refs > 0 then k = k + 1 else table.remove(p.g, k) end
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
          if x.tagged then append(p, now, x.tag, true, 0) end
        end
      elseif o == SECOND then
        local at = now
        if open then at = p.g[i].at end
        if i then table.remove(p.g, i) end
        fail(p, r, at)
      end
      return wiped
    end

    local function report(x, p, r, o)
      if o == SUCCESS then return KNOWN, finish(x, p, r, 0, SUCCESS) end
      if o == CANCELLED then return KNOWN, 0 end
      if o == BAD then
        local i = x.tagged and find(p, x.tag, true)
        if i then
          if p.g[i].refs > 0 then
            fail(p, r, p.g[i].at)
            keepWrong(p, i)
            return CHARGED, 0
          end
          return KNOWN, 0
        end
        if x.tagged then append(p, x.now, x.tag, true, 0) end
      end
      fail(p, r, x.now)
      p.slow = math.min(math.max(p.slow, x.now) + r.slowCost, x.now + r.slowRoom)
      return CHARGED, 0
    end

    -- settlePair books an outcome on the lane of subject × address.
    local function settlePair(x, p, id, kind, o, reported)
      local rate, i = seek(p.book, id, 1)
      if reported and (o == BAD or o == SECOND) and kind == CHARGED then
        p.book = enter('', p.book, i, id, run.full(rate, x.pairCost, x.pairRoom, x.now), 1, PAIRS, x.now)
      elseif i and o == SUCCESS then
        p.book = run.strike(p.book, i)
      elseif i and o == CANCELLED and not reported then
        p.book = run.unbook(p.book, i, rate, cost(x.pairCost, kind), x.now)
      end
      if #p.book == SHELF and struct.unpack('<I6', p.book) <= x.now then p.book = '' end
    end

    run[2] = function(x) -- settle
      -- KEYS: subject lane, list, address if any, device lane if any, nonce; further:
      -- I6 granted B kind B outcome B onList I4 enrol I2 till B reported
      local granted, kind, o, onList, enrol, till, reported = struct.unpack('<I6BBBI4I2B', x.packed, x.rest)
      local now, pair, nonce = x.now, x.pair, x[#x]
      onList, reported = onList == 1, reported == 1
      -- A clock that went back by more than a reservation's life ends it as well.
      if not reported and (now >= granted + x.rules[false].pending or now < granted - x.rules[false].pending) then
        return struct.pack('<I4BBBI4I4BBB', x.echo, 0, 1, 0, 0, 0, 0, 0, 0)
      end
      if not redis.call('SET', nonce, o, 'NX', 'PX', 2 * x.rules[false].pending + MINUTE) then
        return struct.pack('<I4BBBI4I4BBB', x.echo, tonumber(redis.call('GET', nonce)), 0, 0, 0, 0, 0, 0, 0)
      end
      local list = (reported or enrol ~= 0 or onList) and lanes.list(x[2]) or {}
      if reported then onList = lanes.known(list, x.device, now) ~= nil end
      local key, r = x[1], x.rules[false]
      if onList then key, r = x[#x - 1], x.rules[true] end
      local s = redis.call('GET', key)
      local p = settle(load(s), r, now)
      local wasClosed, wiped = p.closed == 1, 0
      if reported then
        kind, wiped = report(x, p, r, o)
      else
        wiped = finish(x, p, r, kind, o)
      end
      local closedIt = p.closed == 1 and not wasClosed
      if not onList and pair then settlePair(x, p, pair, kind, o, reported) end
      save(key, p, now)
      if not onList and x.address then run.settleAddress(x, x[3], kind, o, reported) end
      local enrolled = 0
      if enrol ~= 0 or closedIt and onList then
        local own = lanes.known(list, x.device, now)
        if own and closedIt and onList and not has(own.closed, 2 ^ x.channel) then
          own.closed = own.closed + 2 ^ x.channel
        end
        if enrol ~= 0 then
          enrolled = enrol
          if own and onList then enrolled = x.device end
          local d = lanes.known(list, enrolled, now)
          if d then
            d.day = math.max(d.day, till)
          elseif #list < DEVICES then
            list[#list + 1] = {id = enrolled, day = till, closed = 0}
          else
            local first = 1
            for i, x in ipairs(list) do if x.day < list[first].day then first = i end end
            list[first] = {id = enrolled, day = till, closed = 0}
          end
        end
        saveList(x, x[2], list)
      end
      local none = p.closed == 1 and lanes.noneOpen(x[1], x[2], now, x.channel) or 0
      return struct.pack('<I4BBBI4I4BBB', x.echo, 0, 0, onList and 1 or 0, enrolled, wiped, closedIt and 1 or 0, none, kind)
    end

    run[5] = function(x) -- list
      -- KEYS: list. Answers the numbers of all devices on it, and which are known still.
      local out = {struct.pack('<I4I6', x.echo, x.now)}
      for _, d in ipairs(lanes.list(x[1])) do
        out[#out + 1] = struct.pack('<I4B', d.id, lanes.known({d}, d.id, x.now) and 1 or 0)
      end
      return table.concat(out)
    end

    run[6] = function(x) -- pool
      -- KEYS: one guess lane. Answers what is counted on it.
      local s = redis.call('GET', x[1])
      local p = settle(load(s), x.rules[false], x.now)
      local m, latest = charged(p)
      local till = latest + wait(x.rules[false], m)
      if till <= x.now then till = 0 end
      return struct.pack('<I4I6I2I2I6B', x.echo, x.now, m, m - p.fails, till, p.closed)
    end

    run[8] = function(x) -- reset
      -- KEYS: list, then guess lanes. What addresses have used up stays.
      for i = 2, #x do
        local s = redis.call('GET', x[i])
        if s then save(x[i], fresh(load(s).book), x.now) end
      end
      local l = lanes.list(x[1])
      for _, d in ipairs(l) do d.closed = 0 end
      if #l > 0 then saveList(x, x[1], l) end
      return struct.pack('<I4', x.echo)
    end

    run[10] = function(x) -- forget
      -- KEYS: what is forgotten
      for i = 1, #x do redis.call('DEL', x[i]) end
      return struct.pack('<I4', x.echo)
    end
  end

  return lanes
end
