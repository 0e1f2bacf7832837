-- Take one of the slots of a name, or hold it for longer.
--
-- KEYS[1]  the holders, by the time in milliseconds at which they lose their slot
-- ARGV[1]  the holder
-- ARGV[2]  the number of slots
-- ARGV[3]  for how many milliseconds the holder has the slot
-- returns  1 if the holder has a slot, otherwise 0
--
-- Atomic, because two processes that read first would both take the last slot.
-- Uses only this node's clock. At most ARGV[2] members are stored.

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], now_ms + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
