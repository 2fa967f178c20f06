-- SPDX-License-Identifier: Apache-2.0
-- Copyright 2026 The watchword authors

-- The decisions of one run, one after the other. It follows the other parts.

local max = math.max
local KEYS, ARGV = KEYS, ARGV
local answers, rules, set, base, lanes, run = {}, ARGV[1], 0, 0
local ladders -- the rules of the guess lanes, on demand
local room -- the longest that anything on an address lasts
local slowCost, pairCost, pairRoom, nearCost, nearRoom, middleCost, middleRoom, farCost, farRoom
local time = call('TIME') -- the server's own, one for all
time = time[1] * 1000 + math.floor(time[2] / 1000)
for decision = 2, #ARGV do
  local packed = ARGV[decision]
  local op, keys, own, now, channel, device, tag, flags, echo, near, middle, pair, spare, rest =
    unstruct('<BBBI6BI4I2BI4c4c4c4I2', packed)
  own = 1 + own * RULES
  if own ~= set then
    set, ladders = own, nil
    slowCost, pairCost, pairRoom, nearCost, nearRoom, middleCost, middleRoom, farCost, farRoom =
      unstruct('<I6I6I6I6I6I6I6I6I6', rules, own)
    room = max(nearRoom, middleRoom, farRoom)
  end
  if now == 0 then now = time end
  local answer
  near = near ~= '\0\0\0\0' and near
  middle = middle ~= '\0\0\0\0' and middle
  pair = pairCost > 0 and pair ~= '\0\0\0\0' and pair

  if op == BEGIN or op == RATES then
    -- begin has KEYS: subject lane, address if any, list, device lane if any.
    -- rates has KEYS: address; further: B kind. It books if none refuses.
    local tagged, challenged, address = flags % 2 >= 1, flags % 4 >= 2, flags >= 16 and KEYS[base + 2]
    local key, known, kind, why, retry, back = KEYS[base + 1], false, CHARGED, 0, 0, false
    local number, twin, marks, record, prefixes, p = tag, 0, 0
    if op == RATES then
      address, kind = key, unstruct('<B', packed, rest)
      prefixes = call('GET', address)
    else
      if device ~= 0 then
        lanes = lanes or subjects()
        if lanes.known(lanes.list(KEYS[base + keys - 1]), device, now) then
          key, known, address, pair = KEYS[base + keys], true, false, false
        end
      end
      record = call('GET', key)
      prefixes = address and call('GET', address)
      if record or known then
        lanes = lanes or subjects()
        ladders = ladders or lanes.rules(rules, own)
        p = lanes.ask(record, ladders[known], now, tag, tagged, flags % 16 >= 8, spare, challenged or known, pair, pairCost, pairRoom)
        kind, why, retry, number, tagged, twin = p.kind, p.why, p.retry, p.number, p.tagged, p.twin
      end
    end

    local far, latest, book, nearAt, middleAt, late = 0, 0, ''
    local farTo, nearTo, middleTo = 0, 0, 0
    if address then
      if prefixes then far, latest, book = prefix(prefixes, now + room) end
      if farCost > 0 then
        farTo, late, back = more(far, kind > CHARGED and cost(farCost, kind) or farCost, farRoom, now)
        if late > 0 then why, retry = why + FAR_FULL, max(retry, late) end
      end
      if near then
        local rate, gone
        rate, nearAt = seek(book, near, 1)
        nearTo, late, gone = more(rate, kind > CHARGED and cost(nearCost, kind) or nearCost, nearRoom, now)
        if late > 0 then why, retry = why + NEAR_FULL, max(retry, late) end
        if gone then book, back = lower(book, nearAt, rate, now + nearRoom, 1), true end
      end
      if middle then
        local rate, gone
        rate, middleAt = seek(book, middle, 7)
        middleTo, late, gone = more(rate, kind > CHARGED and cost(middleCost, kind) or middleCost, middleRoom, now)
        if late > 0 then why, retry = why + MIDDLE_FULL, max(retry, late) end
        if gone then book, back = lower(book, middleAt, rate, now + middleRoom, 7), true end
      end
    end

    local go = why == 0 and (known or challenged or flags % 8 < 4)
    if address and go then
      if farTo > latest then latest = farTo end
      if nearTo > latest then latest = nearTo end
      if middleTo > latest then latest = middleTo end
      local front = pack('<BI6I6', 1, farTo, latest)
      if middle then
        book = enter('', book, middleAt, middle, middleTo, 7, PREFIXES, now)
        if near and not middleAt then nearAt = select(2, seek(book, near, 1)) end
      end
      if near then
        book = enter(front, book, nearAt, near, nearTo, 1, PREFIXES, now)
      else
        book = front .. (book == '' and pack('<I6I6', 0, 0) or book)
      end
      put(address, book, latest - now)
    elseif back then
      if farCost > 0 then far = math.min(far, now + farRoom) end
      put(address, pack('<BI6I6', 1, far, latest) .. book, max(latest - now, 0))
    end
    if op == RATES then
      answer = pack('<I4I4I6', echo, why, retry)
    else
      if not go then kind, tagged = 0, false end
      if p then
        number = lanes.book(p, key, ladders[known], now, go)
        if p.closed == 1 then
          marks = 16 * lanes.noneOpen(KEYS[base + 1], KEYS[base + keys - (device ~= 0 and 1 or 0)], now, channel)
        end
        marks = marks + (known and 2 or 0) + (go and 0 or 4 * twin) + 8 * p.firm
      elseif go then
        -- A subject about whom nothing is known.
        local slow, one, life = slowCost > 0 and now + slowCost or 0, tagged and ONE_TAGGED or ONE_OTHER, max(slowCost, 2 * QUIET_LIFE)
        if pair then
          put(key, pack('<BI6I6c19I2c12c4I6', 2, now, slow, one, number, EMPTY, pair, now + pairCost), max(life, pairCost))
        else
          put(key, pack('<BI6I6c19I2', 2, now, slow, one, number), life)
        end
      end
      answer = pack('<I4I4I6BI2BI6', echo, why, retry, kind, go and number or 0, tagged and marks + 1 or marks, now)
    end
  else
    if not run then
      run = {}
      addresses(run)
      if subjects then
        lanes = lanes or subjects()
        lanes.operations(run)
      end
    end
    if lanes then ladders = ladders or lanes.rules(rules, own) end
    local x = {
      now = now, most = now + room, channel = channel, device = device, tag = tag, tagged = flags % 2 >= 1, echo = echo,
      near = near, middle = middle, pair = pair, packed = packed, rest = rest, rules = ladders, address = flags >= 16,
      pairCost = pairCost, pairRoom = pairRoom, nearCost = nearCost, nearRoom = nearRoom,
      middleCost = middleCost, middleRoom = middleRoom, farCost = farCost, farRoom = farRoom,
    }
    for i = 1, keys do x[i] = KEYS[base + i] end
    answer = run[op](x)
  end
  answers[decision - 1] = answer
  base = base + keys
end
return answers[2] and answers or answers[1]
