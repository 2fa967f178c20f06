-- SPDX-License-Identifier: Apache-2.0
-- Copyright 2026 The watchword authors

-- The arithmetic of package throttle, run where the lanes are kept. Times are
-- whole milliseconds; every number stays far below 2^53. A test holds every
-- step equal to the Go code, so read the comments there.
--
-- Records, little-endian:
--   subject  B 2 I6 base I6 slow I6 last I6 repeat I2 fails B n + 128 * closed,
--            then n guesses, I4 what I2 tag, where what is
--              base - at                                     if it was wrong,
--              2^31 + tagged * 2^30 + refs * 2^24 + base - at  if it is awaited,
--            and base is when the youngest was charged; then, unless it is
--            empty, the book of addresses it was tried from. ONE_TAGGED and
--            ONE_OTHER are what follows I6 slow, up to I4 what, if one guess is
--            awaited and nothing else is known
--   address  B 1 I6 rate of the whole prefix I6 latest, when the last rate of
--            all is drained; then the book of the narrower prefixes
--   book     I6 rest I6 rest of the middle prefixes, then entries, I4 id I6 rate
--   list     B n, n times I4 id I2 day B closed
--   nonce    decimal text
-- A book has room for so many entries; while it is full of rates that are not
-- drained, whoever has no entry shares one rate with all others who have none,
-- and gets nothing back. So it never admits more than entries of their own
-- would, and a record has a bounded size.
--
-- Every write sets when the key ends. One run makes any number of decisions,
-- each seeing what those before it wrote. ARGV is all rule sets in one string,
-- and then the decisions, each packed; a decision takes the next of the KEYS.
-- The answer is an array of packed strings, or that of a single decision alone.
--
-- A server does little else than this while it is guessed at. What costs is a
-- key, a call, a table and a string; and a function, which is made anew for
-- every run and looks for each outer variable it names among all of those that
-- are named. So a decision reads and writes one key for the subject and one for
-- the address; one about a subject nobody knows, as most are, makes no table;
-- functions take what they need as arguments, or find it among the globals,
-- and are made where they are needed; numbers seldom become text; a value is
-- packed at once, and what is always the same in it as one string; and names in
-- capitals are replaced before the script is sent:
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
--   MINUTE = 60000
--   HEAD = 28
--   RULES = 122
--   ENTRY = 6
--   AWAITED = 2147483648
--   TAGGED = 1073741824
--   REF = 16777216
--   FRONT = 13
--   SHELF = 12
--   PLACE = 10
--   PAIRS = 8
--   PREFIXES = 256
--   SWEEP = 16
--   WAITS = 1
--   CLOSED = 2
--   TOO_PARALLEL = 4
--   SLOW = 8
--   NEAR_FULL = 16
--   MIDDLE_FULL = 32
--   FAR_FULL = 64
--   PAIR_FULL = 128
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
--   FLAG_SHARE = 8
--   FLAG_ADDRESS = 16
--   ONE_TAGGED = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\193'
--   ONE_OTHER = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\129'
--   EMPTY = '\0\0\0\0\0\0\0\0\0\0\0\0'
--   BEGIN = 1
--   RATES = 3

local call, pack, unstruct = redis.call, struct.pack, struct.unpack
local texts = {} -- of times to live, which cost as much to write as the rest of a command

-- put keeps a value for so many milliseconds, and a grace, up to a whole minute.
-- Of the commands that set both in one, this is the quickest.
local function put(key, value, life)
  life = (life - life % MINUTE) / MINUTE + 2
  local text = texts[life]
  if not text then
    text = 60 * life .. ''
    texts[life] = text
  end
  call('SETEX', key, text, value)
end

-- cost is what an attempt of a kind books.
local function cost(c, kind)
  if kind == CHARGED then return c end
  return math.max(1, math.floor(c / REPEAT_SHARE))
end

-- more returns a rate with the cost c added, by how much that is over its room,
-- and whether it was more than full already: then the clock went back, and were
-- that not written down, it would hold until the clock is where it was.
local function more(rate, c, room, now)
  local full, back = now + room, false
  if rate > full then rate, back = full, true end
  if rate < now then rate = now end
  return rate + c, rate + c - full, back
end

-- seek returns the rate of an id in a book, and where its entry begins. The
-- rate of one that has no entry is the rest, kept at the given place.
local function seek(book, id, shared)
  if book == '' then return 0 end
  local i = string.find(book, id, SHELF + 1, true)
  while i and (i - SHELF - 1) % PLACE ~= 0 do i = string.find(book, id, i + 1, true) end
  return unstruct('<I6', book, i and i + 4 or shared), i
end

-- enter returns front and the book with a rate in it, at i or as a new entry.
-- Every string that is made costs by its length.
local function enter(front, book, i, id, rate, shared, most, now)
  if i then return front .. string.sub(book, 1, i + 3) .. pack('<I6', rate) .. string.sub(book, i + PLACE) end
  local n = (#book - SHELF) / PLACE
  if n < 0 then return front .. pack('<I6I6c4I6', 0, 0, id, rate) end
  if n == most or n >= SWEEP and bit.band(n, n - 1) == 0 then -- seldom, the longer it is
    local kept = {string.sub(book, 1, SHELF)}
    for k = SHELF + 1, #book, PLACE do
      if unstruct('<I6', book, k + 4) > now then kept[#kept + 1] = string.sub(book, k, k + PLACE - 1) end
    end
    book = table.concat(kept)
    if #book == SHELF + PLACE * most then
      local all = unstruct('<I6', book, shared)
      return front .. string.sub(book, 1, shared - 1) .. pack('<I6', math.max(rate, all)) .. string.sub(book, shared + 6)
    end
  end
  return front .. book .. pack('<c4I6', id, rate)
end

-- lower returns the book with the rate of a lane no higher than to.
local function lower(book, i, rate, to, shared)
  if book == '' or rate <= to then return book end
  local at = i and i + 4 or shared
  return string.sub(book, 1, at - 1) .. pack('<I6', to) .. string.sub(book, at + 6)
end

-- prefix reads the record of an address: the rate of the whole, when the last
-- of all is drained, at most the given time, and the book. One that nobody
-- wrote is full.
local function prefix(s, most)
  if #s >= FRONT + SHELF and (#s - FRONT - SHELF) % PLACE == 0 then
    local version, far, latest = unstruct('<BI6I6', s)
    if version == 1 then return far, latest < most and latest or most, string.sub(s, FRONT + 1) end
  end
  return most, most, pack('<I6I6', most, most)
end

local subjects -- makes the operations on subjects, in the script that has them

-- addresses makes the operations on addresses that are seldom needed. They
-- take a table of what the decision is about.
local function addresses(run)
  -- strike returns the book without the entry at i.
  function run.strike(book, i) return string.sub(book, 1, i - 1) .. string.sub(book, i + PLACE) end

  -- unbook takes the cost c from the rate of an entry; what has drained is struck out.
  function run.unbook(book, i, rate, c, now)
    if rate - c <= now then return run.strike(book, i) end
    return enter('', book, i, nil, rate - c)
  end

  -- full books the cost c on a rate, whatever it is.
  function run.full(rate, c, room, now)
    return math.min(math.max(math.min(rate, now + room), now) + c, now + room)
  end

  local function store(x, key, far, latest, book)
    put(key, pack('<BI6I6', 1, far, latest) .. book, math.max(latest - x.now, 0))
  end

  -- settleAddress books an outcome.
  function run.settleAddress(x, key, kind, o, reported)
    local failed = o == BAD or o == SECOND
    if failed ~= reported or failed and kind ~= CHARGED then return end
    local s = call('GET', key)
    if not failed and not s then return end
    local far, latest, book, rate, i = 0, 0, ''
    if s then far, latest, book = prefix(s, x.most) end
    local ids, costs, rooms = {x.near or false, x.middle or false}, {x.nearCost, x.middleCost}, {x.nearRoom, x.middleRoom}
    if failed then
      if x.farCost > 0 then far = run.full(far, x.farCost, x.farRoom, x.now) end
      latest = math.max(latest, far)
      for k = 1, 2 do
        if ids[k] then
          rate, i = seek(book, ids[k], 6 * k - 5)
          rate = run.full(rate, costs[k], rooms[k], x.now)
          book, latest = enter('', book, i, ids[k], rate, 6 * k - 5, PREFIXES, x.now), math.max(latest, rate)
        end
      end
      if book == '' then book = pack('<I6I6', 0, 0) end
      return store(x, key, far, latest, book)
    end
    if x.farCost > 0 then far = far - cost(x.farCost, kind) end
    if far <= x.now then far = 0 end
    for k = 1, 2 do
      if ids[k] then
        rate, i = seek(book, ids[k], 6 * k - 5)
        if i then book = run.unbook(book, i, rate, cost(costs[k], kind), x.now) end
      end
    end
    local one, two = unstruct('<I6I6', book)
    if far == 0 and #book == SHELF and one <= x.now and two <= x.now then
      call('DEL', key)
    else
      store(x, key, far, latest, book)
    end
  end

  run[4] = function(x) -- refund
    -- KEYS: address; further: B kind B outcome B reported
    local kind, o, reported = unstruct('<BBB', x.packed, x.rest)
    run.settleAddress(x, x[1], kind, o, reported == 1)
    return pack('<I4', x.echo)
  end

  run[7] = function(x) -- booked
    -- KEYS: address. Answers how much is booked on each prefix.
    local s, far, book, _ = call('GET', x[1]), 0, ''
    if s then far, _, book = prefix(s, x.most) end
    local function left(rate, room) return math.max(0, math.min(rate, x.now + room) - x.now) end
    return pack('<I4I6I6I6I6', x.echo, x.now,
      x.near and left(seek(book, x.near, 1), x.nearRoom) or 0,
      x.middle and left(seek(book, x.middle, 7), x.middleRoom) or 0, left(far, x.farRoom))
  end

  run[9] = function(x) -- clear
    -- KEYS: address. Empties its rates.
    local s = call('GET', x[1])
    if s then
      local _, latest, book = prefix(s, x.most)
      local i
      if x.near then _, i = seek(book, x.near, 1) end
      if i then book, i = run.strike(book, i) end
      if x.middle then _, i = seek(book, x.middle, 7) end
      if i then book = run.strike(book, i) end
      if #book == SHELF then
        call('DEL', x[1])
      else
        store(x, x[1], 0, latest, pack('<I6I6', 0, 0) .. string.sub(book, SHELF + 1))
      end
    end
    return pack('<I4', x.echo)
  end
end
