-- SPDX-License-Identifier: Apache-2.0
-- Copyright 2026 The watchword authors

-- The decisions of one run, one after the other. It follows the other parts.

local answers, sets, set, time = {}, tonumber(ARGV[1]), 0
for i = 2 + sets, #ARGV do
  local op, rules
  packed = ARGV[i]
  op, keys, rules, now, channel, device, tag, flags, echo, rest = unstruct('<BBBI6BI4I2BI4', packed)
  if rules ~= set then
    set = rules
    U.free, U.close, U.first, U.longest, U.slowCost, U.slowRoom, U.pending,
      K.free, K.close, K.first, K.longest, K.slowCost, K.slowRoom, K.pending,
      PAIR.cost, PAIR.room, NEAR.cost, NEAR.room, MIDDLE.cost, MIDDLE.room, FAR.cost, FAR.room =
      unstruct('<I2I2I6I6I6I6I6I2I2I6I6I6I6I6I6I6I6I6I6I6I6I6', ARGV[1 + rules])
  end
  if now == 0 then -- the server's own time, one for all
    if not time then
      local t = call('TIME')
      time = tonumber(t[1]) * 1000 + floor(tonumber(t[2]) / 1000)
    end
    now = time
  end
  answers[i - 1 - sets] = run[op]()
  base = base + keys
end
return answers
