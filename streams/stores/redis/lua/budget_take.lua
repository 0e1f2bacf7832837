-- Take one from a budget that all processes share.
--
-- KEYS[1]  the budget: `left`, and the time in microseconds at which that was left
-- ARGV[1]  the refill a second
-- ARGV[2]  the maximum of `left`
-- returns  1 if one was taken, otherwise 0
--
-- In any second at most ARGV[1] + ARGV[2] are taken. Uses only this node's clock.
-- Atomic, because two processes that read first would both take the last one.

local now = redis.call('TIME')
local now_us = now[1] * 1000000 + now[2]
local rate, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local stored = redis.call('HMGET', KEYS[1], 'left', 'at_us')
local left = tonumber(stored[1]) or most
local at_us = tonumber(stored[2]) or now_us
left = math.min(most, left + math.max(0, now_us - at_us) / 1000000 * rate)
local taken = 0
if left >= 1 then
  left, taken = left - 1, 1
end
redis.call('HSET', KEYS[1], 'left', left, 'at_us', string.format('%.0f', now_us))
redis.call('PEXPIRE', KEYS[1], 10000)
return taken
